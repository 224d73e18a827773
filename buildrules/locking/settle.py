"""Looks at the world for a plan: locks are read, made where they are missing, and written; bases looked into."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.analysis.selection import Selection
from buildrules.document.problems import Problems
from buildrules.engine.events import Stream
from buildrules.errors import ResolutionError, UsageError
from buildrules.locking.bases import BUILDERS, BaseLocks
from buildrules.locking.checks import PathChecks
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedConda, LockedParts, Locks
from buildrules.locking.models.locks import ModelLocks
from buildrules.locking.overlap import check_overlap
from buildrules.locking.python.asked import AskedFor
from buildrules.locking.python.environments import EnvironmentLocks
from buildrules.locking.python.gpu import GpuWarnings
from buildrules.locking.python.groups import environments_of, group_of, members_of
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.open_bases import OpenBases
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.servers import server_needs
from buildrules.rules.mlflow_example import MLFLOW_EXAMPLE, may_send_example
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.serving.platform import emulated, emulator_path, host_platform
from buildrules.workspace.disk import SHAPE
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.locking.python.collector import Requirements


def settle(loaded: Loaded, selection: Selection, options: Options, keeper: LockKeeper, stream: Stream) -> Locks:
    """What a plan for `selection` needs to know of the world; `loaded` knows it afterwards where locks were made.

    Raises LoadError for files that are not there or are in each other's way, ResolutionError, LockError, FetchError and
    what else the locks raise.
    """
    with keeper.all_or_none():
        return _Settling(loaded, selection, options, keeper, stream).run()


@dataclass
class _Settling:
    loaded: Loaded
    selection: Selection
    options: Options
    keeper: LockKeeper
    stream: Stream
    locks: Locks = field(default_factory=Locks)

    def run(self) -> Locks:
        loaded, keeper = self.loaded, self.keeper
        self._models = ModelLocks(keeper)
        self._targets = [loaded.resolution.of(label) for label in self.selection.labels]
        if self.options.sync:
            self._targets = list(environments_of(self.options.sync, loaded.resolution))
        if self.options.locking:
            self._targets += self._grouped()
        for target in self._targets:
            keeper.named |= self._locked_with(target)
        settings = loaded.workspace.settings
        keeper.session.connect(settings.rows(), keeper.root)
        self._lock_models()
        self._look_at_paths()
        needs = server_needs(loaded.packages.values())
        self._bases = BaseLocks(keeper, settings, loaded.resolution)
        self._implied = ModelEnvironments(keeper, loaded.resolution, self._models, self.stream)
        self._open = OpenBases(keeper, loaded.resolution, self._implied, settings.debian.suite)
        self._gpu = GpuWarnings(keeper, loaded.packages.values())
        asked = AskedFor(keeper, loaded.resolution, self._implied, Projects(keeper.root))
        portable, whole = settings.locks.portable, self.options.locking
        self._environments = EnvironmentLocks(
            keeper, loaded.resolution, needs, asked, self._conda, self._found_base, portable, whole
        )
        if self.options.sync:
            self.locks.differences = self._environments.sync(self.options.sync, self.selection.platforms)
        for platform in self.selection.platforms:
            for target in self._targets:
                with keeper.refusing():
                    self._target(target, platform)
        if keeper.made or self.options.locking:
            from buildrules.locking.python.owners import check_owners

            check_owners(self.locks, keeper, whole=self.options.locking)
        if any(os.path.basename(path).startswith("pylock.") for path in keeper.replaced) and not self.options.locked:
            self._tell_what_is_not_asked()
        return self.locks

    def _tell_what_is_not_asked(self) -> None:
        """Of pip's settings on this machine, after all that is of more weight."""
        from buildrules.actions.python.credentials import IndexLogins
        from buildrules.actions.python.pip_settings import not_read

        root = self.keeper.root
        if text := not_read(root, [one.url for one in self.keeper.session.own(IndexLogins).indexes(root)]):
            self.keeper.warn(text)

    def _grouped(self) -> list[ResolvedTarget]:
        """The environments that have one lock with what is selected, and the packages on them: these move with it."""
        envs = {target.label: target for target in self._targets if target.provides == "env"}
        envs |= {parts.env.label: parts.env for parts in self._packages() if parts.env is not None}
        for group in {group_of(env): None for env in envs.values()}:
            found = members_of(group, self.loaded.resolution) if group is not None else []
            envs |= {env.label: env for env in found}
        there = {target.label for target in self._targets}
        shared = {label: env for label, env in envs.items() if env.values.get("group") is not None}
        packages = self.loaded.packages.values()
        shared |= {
            one.package.label: one.package for one in packages if one.env is not None and one.env.label in shared
        }
        return [target for label, target in shared.items() if label not in there]

    def _conda(self, target: ResolvedTarget, found: "Requirements", base: LockedBase) -> tuple[LockedConda, LockedBase]:
        from buildrules.locking.conda.bytecode import bytecode
        from buildrules.locking.conda.environments import lock_conda

        conda, there = lock_conda(target, found, base, self.keeper)
        settings, host = self.loaded.workspace.settings, host_platform()
        if not (settings.python.bytecode and target.values["bytecode"]):
            return conda, there
        here, libc = conda, base
        try:
            if base.platform != host and host in BUILDERS:  # the same packages for this machine, which compiles
                libc = self._bases.of(base.target, host)
                here, _ = lock_conda(target, found, libc, self.keeper)
            known = here.lock if libc.platform == host else None
            made = bytecode(conda.lock, known, libc, settings, self.keeper.root)
        except (ResolutionError, UsageError) as error:
            self.keeper.context.warn(f"{target.label} for {base.platform}: {error.message}")
            return conda, there
        return conda, replace(there, bytecode=made)

    def _locked_with(self, target: ResolvedTarget) -> set[Label]:
        """The targets whose locks are those of `target`: a package's are all but that of its base."""
        parts = self._package_of(target)
        if parts is None:
            return {target.label}
        own = (parts.env, parts.server, *parts.models, *parts.inputs)
        return {target.label, *(one.label for one in own if one is not None)}

    def _lock_models(self) -> None:
        """Have the locks of models that are not in the workspace: their files decide what a package is made of."""
        targets = [target for parts in self._packages() for target in (*parts.models, *parts.inputs)]
        if self.options.locking:
            targets += [target for target in self._targets if target.provides in ("model", "input")]
        for target in targets:
            if target.values["uri"] is not None and target.label not in self.locks.models:
                with self.keeper.refusing():
                    self.locks.models[target.label] = self._models.of(target)
        if self.keeper.written:
            self.loaded.look_again()

    def _packages(self) -> Iterator[PackageParts]:
        """The packages that are selected, or tested by what is."""
        for target in self._targets:
            parts = self._package_of(target)
            if parts is not None:
                yield parts

    def _package_of(self, target: ResolvedTarget) -> PackageParts | None:
        label = target.deps["package"][0] if target.provides == "test" else target.label
        return self.loaded.packages.get(label)

    def _look_at_paths(self) -> None:
        """Find the files that targets name. Raises LoadError for all that are not there."""
        problems = Problems()
        checks = PathChecks(self.keeper.disk, problems)
        for target in self._targets:
            if target.label in self.loaded.packages:
                checks.package(self.loaded.packages[target.label])
            elif target.provides == "test":
                checks.test(target)
        problems.raise_all()
        for path in self._paths():
            if self.keeper.disk.is_directory(path):
                self.locks.folders.add(path)
        for parts in self._packages():
            with self.keeper.refusing():
                check_overlap(parts, self.keeper.root, self._models, self.locks.folders)

    def _paths(self) -> Iterator[str]:
        """The paths that may be those of folders."""
        for parts in self._packages():
            yield from (
                path for target in (*parts.models, *parts.inputs) if (path := target.values["path"]) is not None
            )
            yield from (parts.package.values["files"] or {}).values()
            if parts.server_part.job is not None and (path := parts.package.values["sample_request"]) is not None:
                yield path
        jobs = (target.values["job"] for target in self._targets if target.provides == "test")
        yield from (job["input"] for job in jobs if job is not None)

    def _target(self, target: ResolvedTarget, platform: str) -> None:
        parts = self._package_of(target)
        if parts is not None:
            if not self.options.test or (self._asks(target, parts) and self._starts(platform)):
                self._package(parts, platform)
        elif self.options.test:
            return  # a base or an environment is not tested by itself
        elif target.provides == "base":
            self.locks.bases[target.label, platform] = self._bases.of(target, platform)
        elif target.provides == "env":
            with self.keeper.refusing(lambda: self._require_env(target, None, platform)):
                base, chosen = self._found_base(target, platform)
                env = self._environments.environment(target, base, chosen)
                self.locks.environments[target.label, platform] = env
                self._gpu.look(env, base)

    def _package(self, parts: PackageParts, platform: str) -> None:
        key = (parts.package.label, platform)
        if key in self.locks.packages:
            return
        with self.keeper.refusing(lambda: self._require(parts, platform)):
            parts = self._open.completed(parts)
            assert parts.base is not None
            base = self._bases.of(parts.base, platform)
            parts = self._implied.completed(parts, base)
            env = None
            if parts.env is not None:
                said = self._open.said.get(parts.env.label, "")
                env = self._environments.environment(parts.env, base, said)
            server = self._environments.server(parts.server, parts.server_part, base, env)
            base = env.base if env is not None else base  # with the environment's own Python, if it has one
            self.locks.packages[key] = found = LockedParts(parts, base, env, server)
            for one in found.installed:
                self._gpu.look(one, base)
        self._at_start(parts)

    def _found_base(self, env: ResolvedTarget, platform: str) -> tuple[LockedBase, str]:
        """The base of an environment, and why it has that, where it leaves it open."""
        named = env.deps.get("base")
        found = self.loaded.resolution.of(named[0]) if named else self._open.of_environment(env)
        return self._bases.of(found, platform), self._open.said.get(env.label, "")

    def _require(self, parts: PackageParts, platform: str) -> None:
        """Find what locks of a package are missing, where more cannot be said of them."""
        if parts.env is not None or parts.flavour != "mlflow":  # else its model's environment follows from the base
            server = parts.server if parts.server_part.requirements else None
            below = parts.env or parts.base
            if below is not None:
                self._require_env(below, server, platform)

    def _require_env(self, below: ResolvedTarget, server: ResolvedTarget | None, platform: str) -> None:
        if below.values.get("solver") == "conda":
            from buildrules.locking.conda.environments import require

            require(below, platform, self.keeper)
        self._environments.require(below, server, platform)

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
        if self.options.platform or platform == host_platform():
            return True
        self.keeper.disk.note(SHAPE, emulator_path(platform))
        if emulated(platform):
            return True
        self.locks.unstartable[platform] = f"it is built for {platform}, and this machine runs {host_platform()}"
        return False
