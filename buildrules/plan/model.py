"""Plans how models and inputs get into an image, or to a container when it starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.params import FetchedModelParams, FilesParams, ModelParams, StartParams
from buildrules.actions.python.target import minor_of
from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.errors import LoadError
from buildrules.locking.locks import LockedBase, Locks
from buildrules.locking.placing import globbed, grouped_files, locked_files, workspace_files
from buildrules.rules.package import Placed
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label

_FETCHES = (3, 9)  # the Python that `start/` is written for


class ModelPlanner:
    """Plans models and inputs, each once per place."""

    def __init__(self, plan: Plan, locks: Locks) -> None:
        self._plan = plan
        self._locks = locks

    def actions(
        self, placed: Sequence[Placed], package: ResolvedTarget, groups: Mapping[Label, Sequence[ResolvedTarget]]
    ) -> dict[str, str]:
        """The actions that bring a package its models and inputs, in mode copy and download, and what they hold.

        `groups` are the file groups that come with them.

        Raises as `layers`.
        """
        found: dict[str, str] = {}
        for one in placed:
            shared = grouped_files(one, groups)
            found |= {self._group(group, one): "files" for group in shared}
            if one.mode == "copy" and not (shared and one.target.values["srcs"] == []):
                found[self.layers(one)] = one.target.provides
        late = [one for one in placed if one.mode == "download"]
        return {**found, self.start(late, package): "downloads at start"} if late else found

    def _group(self, group: ResolvedTarget, placed: Placed) -> str:
        prefix = placed.directory.strip("/")
        return self._plan.add(
            Action(
                id=f"{group.id} files {prefix}",
                target=str(group.label),
                kind="files_layer",
                title=f"files {group.label.name}",
                params=FilesParams(prefix)._asdict(),
                sources=(globbed(group),),
                weight=0.1,
            )
        )

    def layers(self, placed: Placed) -> str:
        """The action that lays a model or input where it goes; returns its id.

        Raises LoadError.
        """
        if placed.target.values["uri"] is not None:
            return self._from_lock(placed)
        source, prefix = workspace_files(placed, self._locks.folders)
        return self._plan.add(
            Action(
                id=f"{placed.target.id} model {prefix}",
                target=str(placed.target.label),
                kind="model_layers",
                title=f"{placed.target.provides} {placed.target.name}",
                params=ModelParams(prefix)._asdict(),
                sources=(source._replace(layer_prefix=prefix),),
                weight=5.0,
            )
        )

    def start(self, placed: Sequence[Placed], package: ResolvedTarget) -> str:
        """The action of the layers that fetch `placed` when the container starts; returns its id.

        Raises as `layers`, and LoadError where nothing says where the files of a model of the workspace will be.
        """
        downloads: list[dict[str, Any]] = []
        sources: list[SourceSet] = []
        for one in placed:
            if one.target.values["uri"] is not None:
                downloads.append(self._download(one, package))
                continue
            source, prefix = workspace_files(one, self._locks.folders)
            sources.append(source)
            downloads.append(self._entry(one, prefix, self._source(one.target, package), None))
        return self._plan.add(
            Action(
                id=f"{package.id} start",
                target=str(package.label),
                kind="start_layers",
                title="downloads at start",
                params=StartParams(self._locks.fetcher, downloads)._asdict(),
                sources=tuple(sources),
                weight=1.0,
            )
        )

    def _from_lock(self, placed: Placed) -> str:
        target, locked = placed.target, self._locks.models[placed.target.label]
        files, prefix, _ = locked_files(placed, locked.lock)
        rows = [{name: row[name] for name in ("path", "size", "sha256")} for row in files]
        return self._plan.add(
            Action(
                id=f"{target.id} model {prefix}",
                target=str(target.label),
                kind="fetched_model",
                title=f"{target.provides} {target.name}",
                params=FetchedModelParams(prefix, rows)._asdict(),
                places=locked.places,
                weight=0.1 + locked.lock.size / 100e6,
            )
        )

    def _download(self, placed: Placed, package: ResolvedTarget) -> dict[str, Any]:
        lock = self._locks.models[placed.target.label].lock
        files, prefix, drop = locked_files(placed, lock)
        # An ETag may change with an upload of the same bytes, and nobody asks for it at start.
        kept = [{name: value for name, value in row.items() if name != "etag"} for row in files]
        rows = [{**row, **_where(row, drop + row["path"])} for row in kept]
        used = {row.get("archive") for row in rows}
        archives = [archive.to_dict() for archive in lock.archives if archive.sha256 in used]
        return {**self._entry(placed, prefix, self._source(placed.target, package), rows), "archives": archives}

    def _entry(
        self, placed: Placed, prefix: str, source: dict[str, Any], files: list[dict[str, Any]] | None
    ) -> dict[str, Any]:
        target = placed.target
        return {
            "name": target.name,
            "kind": target.provides,
            "directory": f"/{prefix}",
            "source": source,
            "files": files,
        }

    def _source(self, target: ResolvedTarget, package: ResolvedTarget) -> dict[str, Any]:
        """Where the files of a model will be when the container starts, without what only people read of it."""
        from buildrules.start.sources import needed

        if target.label in self._locks.sources:
            return needed(self._locks.sources[target.label])
        raise LoadError(
            f"{package.label} fetches {target.label} at start, and nothing says where from: it is in the workspace",
            hint="set `download_uri:` to where the same files will lie, or use `mode: copy`",
            position=target.position_of("rule"),
        )


def launcher(base: LockedBase, package: ResolvedTarget) -> list[str]:
    """What runs before the server where something is to be fetched. Raises LoadError where the base has no Python."""
    from buildrules.actions.models.start import launcher as words

    if base.python is None or not base.interpreter:
        raise LoadError(
            f"{package.label} fetches files at start, which needs a Python, and {base.target.label} has none",
            hint='set `python: true` on a debian_base or `python: "3.12"` on an oci_base, or use `mode: copy`',
            position=package.position_of("mode"),
        )
    if tuple(map(int, minor_of(base.python).split("."))) < _FETCHES:
        raise LoadError(
            f"{package.label} fetches files at start, which takes Python 3.9: {base.target.label} has {base.python}",
            hint="use `mode: copy`, or a newer Python",
            position=package.position_of("mode"),
        )
    return words(base.interpreter)


def _where(row: dict[str, Any], path: str) -> dict[str, str]:
    """How the source finds a file: its key, and the archive it is in."""
    found = {name: str(row[name]) for name in ("key", "archive", "version") if row.get(name)}
    return found if "key" in found or path == row["path"] else {**found, "key": path}
