"""Plans Python environments, and the packages of a server on top of one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.errors import BuildrulesError, LoadError, UsageError
from buildrules.locking.keeper import LockKeeper, moves
from buildrules.locking.python.servers import Need, ServerNeeds, lock_for_servers
from buildrules.plan.base import Base, need_python
from buildrules.plan.mlflow import ModelEnvironments
from buildrules.rules.contribution import VENV, Contribution
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.disk import CONTENT

if TYPE_CHECKING:
    from buildrules.actions.python.feeds import Feeds
    from buildrules.actions.python.target import Target
    from buildrules.locking.python.lock import Lock
    from buildrules.locking.python.locked import LockedPackage
    from buildrules.locking.python.request import Request
    from buildrules.locking.python.requirements import Requirements

_PREFIX = VENV.strip("/")
_BYTES_PER_SECOND = 60e6  # for weights only


@dataclass(slots=True)
class Environment:
    """A planned environment: the actions of its layers in order, with what they hold, and its lock."""

    holds: dict[str, str]
    lock: "Lock | None"
    locks: dict[str, str] = field(default_factory=dict)
    feeds: "Feeds | None" = None  # where it was looked for; a server on top of it is looked for there too
    exclude: tuple[str, ...] = ()  # distributions it goes without; so does a server on top of it

    @property
    def actions(self) -> list[str]:
        """The ids of the actions."""
        return list(self.holds)

    @property
    def pins(self) -> str:
        """The digest of what the lock pins, wherever the lock lies; empty where there is none."""
        return self.lock.pins() if self.lock is not None else ""


class EnvironmentPlanner:
    """Plans the environments of one plan, each once per platform."""

    def __init__(self, plan: Plan, keeper: LockKeeper, *, portable: bool, models: ModelEnvironments) -> None:
        self._plan = plan
        self._keeper = keeper
        self._portable = portable
        self._models = models
        self.server_needs = ServerNeeds()
        self._done: dict[tuple[str, ...], Environment] = {}
        self._owners: dict[str, str] = {}  # path of a lock -> the name it is for
        self._servers: dict[tuple[str, str, str], str] = {}  # who has a name on an environment

    def completed(self, parts: PackageParts, base: Base) -> PackageParts:
        """`parts` with the environment that its MLflow model implies, where it names none. Raises LoadError."""
        return self._models.completed(parts, base)

    def environment(self, target: ResolvedTarget, base: Base, platform: str) -> Environment:
        """The environment `target` on `base`. Raises LoadError, ResolutionError and what locking raises."""
        key = (str(target.label), str(base.target.label), platform)
        if key not in self._done:
            self._done[key] = self._environment(target, base, platform)
        return self._done[key]

    def _environment(self, target: ResolvedTarget, base: Base, platform: str) -> Environment:
        from buildrules.actions.python.target import Target
        from buildrules.locking.python.request import Request

        python = need_python(base, target)
        found = self._collect(target)
        self._keeper.disk.by(target.label).note(CONTENT, *found.files)
        self._check_python(target, python, found)
        request = Request(
            name=target.label.name,
            root=self._keeper.root,
            folder=target.label.package,
            target=Target(platform, python, base.glibc),
            requirements=tuple(found.items),
            constraints=tuple(found.constraints),
            exclude=tuple(target.values["exclude"]),
            prerelease=found.prerelease,
            feeds=self._feeds(target, found),
        )
        lock, path = self._lock(request, str(target.label), self.server_needs.of(target.label))
        venv = self._venv(target, base, platform, python)
        wheels = self._wheels(
            lock, list(lock.packages), str(target.label), f"{target.label} {platform}", feeds=request.feeds
        )
        digests = {path: self._keeper.digest(path)}
        return Environment(venv | wheels, lock, digests, request.feeds, request.exclude)

    def _feeds(self, target: ResolvedTarget, found: "Requirements") -> "Feeds":
        """The feeds the target names, or all. Raises UsageError for a name that is none."""
        from buildrules.actions.python.feeds import Feeds

        names = target.values["connections"]
        feeds = Feeds(None if names is None else tuple(names), tuple(found.indexes))
        try:
            feeds.indexes(self._keeper.session.connections)
        except UsageError as error:
            error.position = target.position_of("connections")
            raise
        return feeds

    def _collect(self, target: ResolvedTarget) -> "Requirements":
        from buildrules.locking.python.requirements import collect

        if target.deps.get("model"):
            return self._models.collect(target)
        names = ("requirements", "constraints", "requirements_file", "pyproject", "extras", "groups", "conda_file")
        return collect(
            self._keeper.root,
            target.label.package,
            **{name: target.values[name] for name in names},
            exclude=target.values["exclude"],
            connections=self._keeper.session.connections,
            asker=f"the environment {target.label}",
            place=target.position_of,
        )

    def _check_python(self, target: ResolvedTarget, python: str, found: "Requirements") -> None:
        from buildrules.locking.python.conda import check_python

        try:
            check_python(found.python, python, target.values["python"])
            self._models.check_python(target, python)
        except BuildrulesError as error:
            error.position = error.position or target.position_of("python")
            raise

    def server(
        self, server: ResolvedTarget, part: Contribution, base: Base, env: Environment, name: str, platform: str
    ) -> Environment:
        """What `server`, which contributes `part`, needs on top of `env`, whose pins are constraints. `name` is the
        environment's.

        One lock per pair of environment and server, whichever package asks. Raises as `environment` does.
        """
        if not part.requirements:
            return Environment({}, None)
        folder = env.lock.folder if env.lock else base.target.label.package
        server_name = self._server_name(server, folder, name)
        key = (folder, name, server_name, platform)
        if key not in self._done:
            self._done[key] = self._server(server, part, base, env, f"{name}+{server_name}", platform)
        return self._done[key]

    def _server_name(self, server: ResolvedTarget, folder: str, name: str) -> str:
        """The server's part of the lock's name: its own name, as long as no other server has it on this environment."""
        label = str(server.label)
        short = server.rule.name if server.implicit else server.label.name
        if self._servers.setdefault((folder, name, short), label) == label:
            return short
        raise LoadError(
            f"two servers named '{short}' stand on one environment: {self._servers[folder, name, short]} and {label}",
            hint="rename one of the targets: the lock of the pair has its name",
            position=server.position_of("rule"),
        )

    def _server(
        self, server: ResolvedTarget, part: Contribution, base: Base, env: Environment, name: str, platform: str
    ) -> Environment:
        from buildrules.actions.python.feeds import Feeds
        from buildrules.actions.python.target import Target
        from buildrules.locking.python.request import Request
        from buildrules.locking.python.requirements import collect

        python = need_python(base, server)
        folder = env.lock.folder if env.lock else base.target.label.package
        asker = f"the server {server.rule.reference}"
        found = collect(
            self._keeper.root,
            folder,
            requirements=part.requirements,
            constraints=part.constraints,
            connections=self._keeper.session.connections,
            asker=asker,
            place=lambda attribute, _=None: server.position_of(attribute),
        )
        request = Request(
            name=name,
            root=self._keeper.root,
            folder=folder,
            target=Target(platform, python, base.glibc),
            requirements=tuple(found.items),
            constraints=tuple(found.constraints),
            exclude=env.exclude,
            feeds=env.feeds or Feeds(),
            base=env.lock,
            base_asker=f"the environment {name.partition('+')[0]}",
        )
        lock, path = self._lock(request, f"the server {server.rule.reference} on {name.partition('+')[0]}")
        below = {package.name for package in env.lock.packages} if env.lock else set()
        added = [package for package in lock.packages if package.name not in below]
        label = str(server.label)
        actions = self._wheels(lock, added, label, f"{folder}:{name} {platform}", f"{server.rule.name}: ", env.feeds)
        if env.lock is None:
            actions = self._venv(server, base, platform, python) | actions
        return Environment(actions, lock, {path: self._keeper.digest(path)})

    def _lock(self, request: "Request", what: str, servers: Sequence[Need] = ()) -> "tuple[Lock, str]":
        from buildrules.locking.python import resolve
        from buildrules.locking.python.lock import lock_filename, read_lock, write_lock

        path = os.path.join(request.folder, lock_filename(request.name, request.target.platform))
        if self._owners.setdefault(path, request.name) != request.name:
            raise LoadError(
                f"two environments would have the lock '{path}': {self._owners[path]!r} and {request.name!r}",
                hint="rename one of them: in the names of locks a dot is a dash",
            )
        lock = self._keeper.obtain(
            path,
            what,
            read=lambda: read_lock(self._keeper.root, path),
            stale=lambda found: resolve.stale(found, request),
            make=lambda old: lock_for_servers(
                request,
                servers,
                self._keeper.session,
                existing=old,
                upgrade=self._keeper.upgrade,
                portable=self._portable,
            ),
            write=lambda made: write_lock(made, self._keeper.root),
            describe=lambda old, new: moves(old.versions(), new.versions()),
        )
        return lock, path

    def _venv(self, target: ResolvedTarget, base: Base, platform: str, python: str) -> dict[str, str]:
        """The frame of the virtual environment (PEP 405): pyvenv.cfg and the links to the base's interpreter."""
        minor = ".".join(python.split(".")[:2])
        config = (
            f"home = {os.path.dirname(base.interpreter)}\ninclude-system-site-packages = false\nversion = {python}\n"
        )
        links = ("python", "python3", f"python{minor}")
        parts: list[dict[str, Any]] = [
            {"kind": "inline", "path": f"{_PREFIX}/pyvenv.cfg", "mode": 0o644, "text": config},
            {"kind": "symlink", "path": f"{_PREFIX}/lib64", "target": "lib"},
        ]
        parts += [{"kind": "symlink", "path": f"{_PREFIX}/bin/{link}", "target": base.interpreter} for link in links]
        title = "virtual environment"
        action = Action(
            id=f"venv {base.interpreter} {python} {platform}",
            target=str(target.label),
            kind="inline_layer",
            title=title,
            params={"parts": parts},
            weight=0.01,
        )
        return {self._plan.add(action): title}

    def _wheels(
        self,
        lock: "Lock",
        packages: "list[LockedPackage]",
        label: str,
        name: str,
        prefix: str = "",
        feeds: "Feeds | None" = None,
    ) -> dict[str, str]:
        """The layers of a lock's packages. `prefix` tells layers shared by small wheels apart, for people."""
        from buildrules.plan.partition import partition

        target = lock.target
        places = lock.places(self._keeper.root, feeds)
        fetched = [package.params() for package in packages if package.kind == "wheel"]
        holds = {}
        for words, group in partition(fetched):
            title = f"{prefix}{words}" if words.startswith("small") else words
            action = self._wheel_layer(title, [dict(wheel) for wheel in group], label, name, target, places)
            holds[self._plan.add(action)] = words
        for package in packages:
            if package.kind != "wheel":
                action_id = self._built_wheel(package, label, name, target, places)
                holds[action_id] = f"{package.name} {package.version}".strip()
        return holds

    def _wheel_layer(
        self,
        title: str,
        wheels: list[dict[str, Any]],
        label: str,
        name: str,
        target: "Target",
        places: dict[str, Any],
        *,
        deps: tuple[str, ...] = (),
    ) -> Action:
        return Action(
            id=f"{name} {title}",
            target=label,
            kind="wheel_layer",
            title=title,
            params={"wheels": wheels, "prefix": _PREFIX, "python": target.python_minor},
            deps=deps,
            places={
                "urls": {wheel["filename"]: places["urls"].get(wheel["filename"], []) for wheel in wheels},
                "index": places["index"],
            },
            weight=0.02 + sum(wheel["size"] or 0 for wheel in wheels) / _BYTES_PER_SECOND,
        )

    def _built_wheel(
        self, package: "LockedPackage", label: str, name: str, target: "Target", places: dict[str, Any]
    ) -> str:
        """A wheel made of a source archive, or of a folder of the workspace, in a layer of its own."""
        title = f"{package.name} {package.version}".strip()
        from buildrules.actions.python.uvtool import builder_for

        params: dict[str, Any] = {"name": package.name, "version": package.version, "target": target.to_dict()}
        params["builder"] = builder_for(target.python_minor)
        sources: tuple[SourceSet, ...] = ()
        if package.kind == "sdist":
            params["sdist"] = package.params()
        else:
            sources = (SourceSet(package.directory or "", ("**",), (".venv/**", "dist/**", "build/**")),)
        build = self._plan.add(
            Action(
                id=f"{name} {title} wheel",
                target=label,
                kind="build_wheel",
                title=f"{title} from source",
                params=params,
                sources=sources,
                places={"urls": places["urls"], "index": places["index"], "asked": package.direct},
                weight=20.0,
            )
        )
        return self._plan.add(self._wheel_layer(title, [], label, name, target, places, deps=(build,)))
