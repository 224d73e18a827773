"""Locks Python environments, and the packages of a server on top of one."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from buildrules.errors import BuildrulesError, LoadError, UsageError
from buildrules.locking.bases import need_python
from buildrules.locking.keeper import LockKeeper, moves
from buildrules.locking.locks import LockedBase, LockedEnvironment
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.servers import Need, ServerNeeds, lock_for_servers
from buildrules.rules.contribution import Contribution
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.disk import CONTENT

if TYPE_CHECKING:
    from buildrules.actions.python.feeds import Feeds
    from buildrules.locking.python.lock import Lock
    from buildrules.locking.python.locked import LockedPackage
    from buildrules.locking.python.request import Request
    from buildrules.locking.python.requirements import Requirements


class EnvironmentLocks:
    """The environments of one workspace, each looked at once per base and platform."""

    def __init__(self, keeper: LockKeeper, needs: ServerNeeds, models: ModelEnvironments, *, portable: bool) -> None:
        self._keeper = keeper
        self._needs = needs
        self._models = models
        self._portable = portable
        self._done: dict[tuple[str, ...], LockedEnvironment] = {}
        self._named: dict[str, str] = {}  # path of a lock -> the name it is for
        self._servers: dict[tuple[str, str, str], str] = {}  # who has a name on an environment

    def environment(self, target: ResolvedTarget, base: LockedBase) -> LockedEnvironment:
        """The environment `target` on `base`. Raises LoadError, ResolutionError and what locking raises."""
        key = (str(target.label), str(base.target.label), base.platform)
        if key not in self._done:
            self._done[key] = self._environment(target, base)
        return self._done[key]

    def _environment(self, target: ResolvedTarget, base: LockedBase) -> LockedEnvironment:
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
            target=Target(base.platform, python, base.glibc),
            requirements=tuple(found.items),
            constraints=tuple(found.constraints),
            exclude=tuple(target.values["exclude"]),
            prerelease=found.prerelease,
            feeds=self._feeds(target, found),
        )
        lock, path = self._lock(request, str(target.label), self._needs.of(target.label))
        return self._locked(target, base, request, lock, path, lock.packages, frame=True)

    def _locked(
        self,
        target: ResolvedTarget,
        base: LockedBase,
        request: "Request",
        lock: "Lock",
        path: str,
        added: "Sequence[LockedPackage]",
        *,
        frame: bool,
    ) -> LockedEnvironment:
        from buildrules.actions.python.uvtool import builder_for

        built = any(package.kind != "wheel" for package in added)
        return LockedEnvironment(
            target=target,
            base=base,
            name=request.name,
            lock=lock,
            path=path,
            digest=self._keeper.digest(path),
            added=added,
            frame=frame,
            feeds=request.feeds,
            pins=lock.pins(),
            exclude=request.exclude,
            builder=builder_for(lock.target.python_minor) if built else "",
        )

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
        from buildrules.locking.python.requirements import collect_target

        if target.deps.get("model"):
            return self._models.collect(target)
        return collect_target(self._keeper.root, target, self._keeper.session.connections)

    def _check_python(self, target: ResolvedTarget, python: str, found: "Requirements") -> None:
        from buildrules.locking.python.conda import check_python

        try:
            check_python(found.python, python, target.values["python"])
            self._models.check_python(target, python)
        except BuildrulesError as error:
            error.position = error.position or target.position_of("python")
            raise

    def server(
        self,
        server: ResolvedTarget,
        part: Contribution,
        base: LockedBase,
        env: LockedEnvironment | None,
    ) -> LockedEnvironment | None:
        """What `server`, which contributes `part`, needs on top of `env`, whose pins are constraints, or on the base.

        None where it needs nothing. One lock per pair of environment and server, whichever package asks. Raises as
        `environment` does.
        """
        if not part.requirements:
            return None
        folder = env.lock.folder if env else base.target.label.package
        name = env.target.label.name if env else base.target.label.name
        server_name = self._server_name(server, folder, name)
        key = (folder, name, server_name, base.platform)
        if key not in self._done:
            self._done[key] = self._server(server, part, base, env, folder, name, server_name)
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
        self,
        server: ResolvedTarget,
        part: Contribution,
        base: LockedBase,
        env: LockedEnvironment | None,
        folder: str,
        name: str,
        server_name: str,
    ) -> LockedEnvironment:
        from buildrules.actions.python.feeds import Feeds
        from buildrules.actions.python.target import Target
        from buildrules.locking.python.request import Request
        from buildrules.locking.python.requirements import collect

        python = need_python(base, server)
        found = collect(
            self._keeper.root,
            folder,
            requirements=part.requirements,
            constraints=part.constraints,
            connections=self._keeper.session.connections,
            asker=f"the server {server.rule.reference}",
            place=lambda attribute, _=None: server.position_of(attribute),
        )
        request = Request(
            name=f"{name}+{server_name}",
            root=self._keeper.root,
            folder=folder,
            target=Target(base.platform, python, base.glibc),
            requirements=tuple(found.items),
            constraints=tuple(found.constraints),
            exclude=env.exclude if env else (),
            feeds=(env.feeds if env else None) or Feeds(),
            base=env.lock if env else None,
            base_asker=f"the environment {name}",
        )
        lock, path = self._lock(request, f"the server {server.rule.reference} on {name}")
        below = {package.name for package in env.lock.packages} if env else set()
        added = [package for package in lock.packages if package.name not in below]
        return self._locked(server, base, request, lock, path, added, frame=env is None)

    def _lock(self, request: "Request", what: str, servers: Sequence[Need] = ()) -> "tuple[Lock, str]":
        from buildrules.locking.python import resolve
        from buildrules.locking.python.lock import lock_filename, read_lock, write_lock

        path = os.path.join(request.folder, lock_filename(request.name, request.target.platform))
        if self._named.setdefault(path, request.name) != request.name:
            raise LoadError(
                f"two environments would have the lock '{path}': {self._named[path]!r} and {request.name!r}",
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
