"""Plans how models and inputs get into an image, or to a container when it starts."""

import os
import posixpath
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.errors import LoadError
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.models.locks import ModelLocks, connection_of, positioned
from buildrules.plan.base import Base
from buildrules.plan.overlap import Laid, paths_of
from buildrules.plan.sources import globbed, literal
from buildrules.rules.elsewhere import elsewhere
from buildrules.rules.package import Placed
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.disk import CONTENT

if TYPE_CHECKING:
    from buildrules.actions.models.lock import ModelLock


_ASKED = ("model", "models", "inputs")


class ModelPlanner:
    """Plans models and inputs, each once per place."""

    def __init__(self, plan: Plan, keeper: LockKeeper) -> None:
        self._plan = plan
        self._keeper = keeper
        self.root = keeper.root
        self.locks = ModelLocks(keeper)
        self.session = keeper.session
        self.disk = keeper.disk

    def actions(self, placed: Sequence[Placed], package: ResolvedTarget) -> dict[str, str]:
        """The actions that bring a package its models and inputs, in mode copy and download, and what they hold.

        Raises as `layers`.
        """
        found = {self.layers(one): one.target.provides for one in placed if one.mode == "copy"}
        late = [one for one in placed if one.mode == "download"]
        return {**found, self.start(late, package): "downloads at start"} if late else found

    def laid(self, placed: Placed, package: ResolvedTarget) -> Laid:
        """What a model or input lays where, to hold it against others. Raises as `layers`."""
        target = placed.target
        attribute = next((name for name in _ASKED if target.label in (package.deps.get(name) or ())), "model")
        index = None if attribute == "model" else package.deps[attribute].index(target.label)
        paths: Iterable[str]
        if target.values["uri"] is not None:
            files, prefix, _ = self._locked(placed, self.locks.of(target))
            paths = [f"{prefix}/{row['path']}" for row in files]
        else:
            source, prefix = self._sources(placed)
            paths = paths_of(self.root, source, prefix)
        return Laid(f"{target.provides} {target.label}", prefix, paths, package.position_of(attribute, index))

    def layers(self, placed: Placed) -> str:
        """The action that lays a model or input where it goes; returns its id.

        Raises LoadError, and for a model that is not in the workspace what locking raises.
        """
        if placed.target.values["uri"] is not None:
            return self._fetched(placed)
        source, prefix = self._sources(placed)
        return self._plan.add(
            Action(
                id=f"{placed.target.label} model {prefix}",
                target=str(placed.target.label),
                kind="model_layers",
                title=f"{placed.target.provides} {placed.target.name}",
                params={"prefix": prefix},
                sources=(source._replace(layer_prefix=prefix),),
                weight=5.0,
            )
        )

    def start(self, placed: Sequence[Placed], package: ResolvedTarget) -> str:
        """The action of the layers that fetch `placed` when the container starts; returns its id.

        Raises as `layers`, and LoadError where nothing says where the files of a model of the workspace will be.
        """
        from buildrules.actions.models.start import code_digest

        downloads: list[dict[str, Any]] = []
        sources: list[SourceSet] = []
        for one in placed:
            if one.target.values["uri"] is not None:
                downloads.append(self._download(one))
                continue
            source, prefix = self._sources(one)
            sources.append(source)
            downloads.append(self._entry(one, prefix, self._place(one.target, package), None))
        return self._plan.add(
            Action(
                id=f"{package.label} start",
                target=str(package.label),
                kind="start_layers",
                title="downloads at start",
                params={"code": code_digest(), "downloads": downloads},
                sources=tuple(sources),
                weight=1.0,
            )
        )

    def text(self, target: ResolvedTarget, path: str) -> bytes | None:
        """The file `path` of a model (below its own folder), wherever the model is; None where it has no such file.

        For small files that planning depends on. Raises what locking and fetching raise.
        """
        values = target.values
        if values["uri"] is None:
            if values["path"] is None:
                return None
            place = f"{values['path']}/{path}".lstrip("/")
            disk = self.disk.by(target.label)
            disk.note(CONTENT, place)
            try:
                with open(disk.path(place), "rb") as file:
                    return file.read()
            except OSError:
                return None
        from buildrules.actions.models.fetched import provide

        lock = self.locks.of(target)
        found = elsewhere(lock.files, values)
        for row in found.files:
            if row.path == found.folder + path:
                places = self.locks.places(target)
                context, digest = self._keeper.context, f"sha256:{row.sha256}"
                for _ in range(2):  # a second time where the store has it damaged
                    provide([{"path": row.path, "size": row.size, "sha256": row.sha256}], places, context)
                    if context.blobs.heal(digest):
                        break
                return context.blobs.read(digest)
        return None

    def path_source(self, path: str, place: str, *, keep: bool) -> tuple[SourceSet, str]:
        """A file or folder as a source set and the prefix its names go below; `keep` keeps its own name."""
        directory, name = posixpath.split(path)
        if self.disk.is_directory(path):
            return SourceSet(path, ("**",)), f"{place}/{name}" if keep and name else place
        if keep:
            return SourceSet(directory, (literal(name),)), place
        parent, wanted = posixpath.split(place)
        if wanted != name:
            raise LoadError(
                f"the file '{path}' cannot be placed as '/{place}': it keeps its name",
                hint=f"write '/{parent}/{name}', or rename the file",
            )
        return SourceSet(directory, (literal(name),)), parent

    def _sources(self, placed: Placed) -> tuple[SourceSet, str]:
        """The files of a model of the workspace, and the prefix they go below."""
        target, values = placed.target, placed.target.values
        place = placed.directory.strip("/")
        if values["path"] is None:
            return globbed(target), place
        source, prefix = self.path_source(values["path"], place, keep=True)
        if not placed.keep_folder and source.directory == values["path"]:
            prefix = place
        return (source._replace(exclude=tuple(values["exclude"])) if values["exclude"] else source), prefix

    def _fetched(self, placed: Placed) -> str:
        target, lock = placed.target, self.locks.of(placed.target)
        files, prefix, _ = self._locked(placed, lock)
        return self._plan.add(
            Action(
                id=f"{target.label} model {prefix}",
                target=str(target.label),
                kind="fetched_model",
                title=f"{target.provides} {target.name}",
                params={
                    "prefix": prefix,
                    "files": [{name: row[name] for name in ("path", "size", "sha256")} for row in files],
                },
                places=self.locks.places(target),
                weight=0.1 + lock.size / 100e6,
            )
        )

    def _locked(self, placed: Placed, lock: "ModelLock") -> tuple[list[dict[str, Any]], str, str]:
        """(files by their names below the prefix, the prefix, what was dropped from their paths in the lock)."""
        found = elsewhere(lock.files, placed.target.values)
        if not found.files:
            raise LoadError(
                f"`exclude` leaves no file of {placed.target.label}", position=placed.target.position_of("exclude")
            )
        place = placed.directory.strip("/")
        prefix = f"{place}/{found.basename}" if found.folder and placed.keep_folder else place
        rows = [file.to_dict() for file in found.files]
        return [{**row, "path": row["path"].removeprefix(found.folder)} for row in rows], prefix, found.folder

    def _download(self, placed: Placed) -> dict[str, Any]:
        lock = self.locks.of(placed.target)
        files, prefix, drop = self._locked(placed, lock)
        # An ETag may change with an upload of the same bytes, and nobody asks for it at start.
        kept = [{name: value for name, value in row.items() if name != "etag"} for row in files]
        rows = [{**row, **_where(row, drop + row["path"])} for row in kept]
        used = {row.get("archive") for row in rows}
        archives = [archive.to_dict() for archive in lock.archives if archive.sha256 in used]
        return {**self._entry(placed, prefix, dict(lock.source), rows), "archives": archives}

    def _entry(
        self, placed: Placed, prefix: str, source: dict[str, Any], files: list[dict[str, Any]] | None
    ) -> dict[str, Any]:
        target = placed.target
        connection = connection_of(target, source, self.session.connections)
        if connection is not None and connection.roles():
            from buildrules.actions.models.connection import scope

            source.update(scope(source, connection), credentials=connection.roles())
        return {
            "name": target.name,
            "kind": target.provides,
            "directory": f"/{prefix}",
            "source": source,
            "files": files,
        }

    def _place(self, target: ResolvedTarget, package: ResolvedTarget) -> dict[str, Any]:
        """Where the files of a model of the workspace will be when the container starts."""
        from buildrules.locking.models.origin import completed, place

        uri = target.values["download_uri"]
        if uri is None:
            raise LoadError(
                f"{package.label} fetches {target.label} at start, and nothing says where from: it is in the workspace",
                hint="set `download_uri:` to where the same files will lie, or use `mode: copy`",
                position=target.position_of("rule"),
            )
        source = positioned(target, "download_uri", lambda: place(self._above(target, uri)))
        connection = connection_of(target, source, self.session.connections)
        return completed(source, connection)

    def _above(self, target: ResolvedTarget, uri: str) -> str:
        """The address of the folder that a single file lies in, where `download_uri` is the file's own."""
        path = target.values["path"]
        if path is None or os.path.isdir(os.path.join(self.root, path)):
            return str(uri)
        folder, _, name = str(uri).rpartition("/")
        return folder if name in (posixpath.basename(path), quote(posixpath.basename(path))) else str(uri)


def launcher(base: Base, package: ResolvedTarget) -> list[str]:
    """What runs before the server where something is to be fetched. Raises LoadError where the base has no Python."""
    from buildrules.actions.models.start import launcher as words

    if base.python is None or not base.interpreter:
        raise LoadError(
            f"{package.label} fetches files at start, which needs a Python, and {base.target.label} has none",
            hint='set `python: true` on a debian_base or `python: "3.12"` on an oci_base, or use `mode: copy`',
            position=package.position_of("mode"),
        )
    return words(base.interpreter)


def _where(row: dict[str, Any], path: str) -> dict[str, str]:
    """How the source finds a file: its key, and the archive it is in."""
    found = {name: str(row[name]) for name in ("key", "archive", "version") if row.get(name)}
    return found if "key" in found or path == row["path"] else {**found, "key": path}
