"""Looks at the world for a plan: locks are read, made where they are missing, and written; bases looked into."""

from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.selection import Selection
from buildrules.document.problems import Problems
from buildrules.engine.events import Notice, Stream
from buildrules.locking.bases import BaseLocks
from buildrules.locking.checks import PathChecks
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedParts, Locks
from buildrules.locking.models.locks import ModelLocks
from buildrules.locking.overlap import check_overlap
from buildrules.locking.python.environments import EnvironmentLocks
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.servers import ServerNeeds
from buildrules.rules.mlflow_example import MLFLOW_EXAMPLE, may_send_example
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.serving.platform import emulated, emulator_path, host_platform
from buildrules.workspace.disk import SHAPE

__all__ = ["settle"]


def settle(
    loaded: Loaded, selection: Selection, options: Mapping[str, Any], keeper: LockKeeper, stream: Stream
) -> Locks:
    """What a plan for `selection` needs to know of the world; `loaded` knows it afterwards where locks were made.

    Options: `test`, where the images are to be tested; `locking`, where models and inputs are to be locked by
    themselves; `platform`, where the user named one. Raises LoadError for files that are not there or are in each
    other's way, ResolutionError, LockError, FetchError and what else the locks raise.
    """
    return _Settling(loaded, selection, options, keeper, stream).locks


class _Settling:
    def __init__(
        self, loaded: Loaded, selection: Selection, options: Mapping[str, Any], keeper: LockKeeper, stream: Stream
    ) -> None:
        self._loaded = loaded
        self._options = options
        self._keeper = keeper
        self._stream = stream
        self._targets = [loaded.resolution.of(label) for label in selection.labels]
        self.locks = Locks()
        settings = loaded.workspace.settings
        rows = [connection.row(name) for name, connection in settings.connections.items()]
        keeper.session.connect(rows, keeper.root)
        self._models = ModelLocks(keeper)
        self._lock_models()
        self._look_at_paths()
        self._warn_of_idle()
        needs = ServerNeeds()
        needs.add(loaded.packages.values())
        self._bases = BaseLocks(keeper, settings)
        self._implied = ModelEnvironments(keeper, loaded.resolution, self._models, stream)
        portable = settings.locks.portable
        self._environments = EnvironmentLocks(keeper, needs, self._implied, portable=portable)
        for platform in selection.platforms:
            for target in self._targets:
                self._target(target, platform)

    def _lock_models(self) -> None:
        """Have the locks of models that are not in the workspace: their files decide what a package is made of."""
        targets = [target for parts in self._packages() for target in (*parts.models, *parts.inputs)]
        if self._options.get("locking"):
            targets += [target for target in self._targets if target.provides in ("model", "input")]
        for target in targets:
            if target.values["uri"] is not None and target.label not in self.locks.models:
                self.locks.models[target.label] = self._models.locked(target)
        if self._keeper.written:
            self._loaded.look_again()

    def _packages(self) -> Iterator[PackageParts]:
        """The packages that are selected, or tested by what is."""
        for target in self._targets:
            parts = self._package_of(target)
            if parts is not None:
                yield parts

    def _package_of(self, target: ResolvedTarget) -> PackageParts | None:
        label = target.deps["package"][0] if target.provides == "test" else target.label
        return self._loaded.packages.get(label)

    def _look_at_paths(self) -> None:
        """Find the files that targets name. Raises LoadError for all that are not there."""
        problems = Problems()
        checks = PathChecks(self._keeper.disk, problems)
        for target in self._targets:
            if target.label in self._loaded.packages:
                checks.package(self._loaded.packages[target.label])
            elif target.provides == "test":
                checks.test(target)
        problems.raise_all()
        for path in self._paths():
            if self._keeper.disk.is_directory(path):
                self.locks.folders.add(path)
        for parts in self._packages():
            check_overlap(parts, self._keeper.root, self._models, self.locks.folders)

    def _paths(self) -> Iterator[str]:
        """The paths that may be those of folders."""
        for parts in self._packages():
            yield from (
                path for target in (*parts.models, *parts.inputs) if (path := target.values["path"]) is not None
            )
            yield from (parts.package.values["files"] or {}).values()
            if parts.server_part.job is not None and (path := parts.package.values["sample_request"]) is not None:
                yield path
        yield from (target.values["job"]["input"] for target in self._targets if _has_job(target))

    def _warn_of_idle(self) -> None:
        """Say what is accepted and does nothing, so that nobody relies on it."""
        if "cache" in self._loaded.workspace.settings.model_fields_set:
            self._stream.emit(Notice("workspace.cache has no effect yet", warning=True))

    def _target(self, target: ResolvedTarget, platform: str) -> None:
        """What the goal of one target needs."""
        parts = self._package_of(target)
        if parts is not None:
            if not self._options.get("test") or (self._asks(target, parts) and self._starts(platform)):
                self._package(parts, platform)
        elif self._options.get("test"):
            return  # a base or an environment is not tested by itself
        elif target.provides == "base":
            self.locks.bases[target.label, platform] = self._bases.of(target, platform)
        elif target.provides == "env":
            base = self._bases.of(self._loaded.resolution.of(target.deps["base"][0]), platform)
            self.locks.environments[target.label, platform] = self._environments.environment(target, base)

    def _package(self, parts: PackageParts, platform: str) -> None:
        key = (parts.package.label, platform)
        if key in self.locks.packages:
            return
        base = self._bases.of(parts.base, platform)
        parts = self._implied.completed(parts, base)
        env = self._environments.environment(parts.env, base) if parts.env is not None else None
        server = self._environments.server(parts.server, parts.server_part, base, env)
        self.locks.packages[key] = LockedParts(parts, base, env, server)
        self._at_start(parts)

    def _at_start(self, parts: PackageParts) -> None:
        """Where the models and inputs are that are fetched when a container starts."""
        late = [placed.target for placed in parts.placed if placed.mode == "download"]
        if late and not self.locks.fetcher:
            from buildrules.actions.models.start import code_digest

            self.locks.fetcher = code_digest()
        for target in late:
            known = target.values["uri"] is not None or target.values["download_uri"] is not None
            if known and target.label not in self.locks.sources:
                self.locks.sources[target.label] = self._models.source(target)

    def _asks(self, target: ResolvedTarget, parts: PackageParts) -> bool:
        """Whether a test target, or a package, may have something to be tested with."""
        if target.provides == "test":
            return bool(target.values["requests"] or target.values["job"])
        if parts.model is not None and may_send_example(parts) and parts.model.label not in self.locks.examples:
            self.locks.examples[parts.model.label] = self._models.text(parts.model, MLFLOW_EXAMPLE)
        example = self.locks.examples.get(parts.model.label) if parts.model is not None else None
        return parts.package.values["sample_request"] is not None or example is not None

    def _starts(self, platform: str) -> bool:
        """Whether images for `platform` can be started on this machine, or are to be where nobody asked."""
        if self._options.get("platform") or platform == host_platform():
            return True
        self._keeper.disk.note(SHAPE, emulator_path(platform))
        if emulated(platform):
            return True
        self.locks.unstartable[platform] = f"it is built for {platform}, and this machine runs {host_platform()}"
        return False


def _has_job(target: ResolvedTarget) -> bool:
    return target.provides == "test" and target.values["job"] is not None
