"""Locks Python environments, and the packages of a server on top of one."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from packaging.utils import canonicalize_name

from buildrules.actions.python.uvtool import builder_for
from buildrules.authoring.release import ended
from buildrules.errors import LoadError
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedConda, LockedEnvironment
from buildrules.locking.python import resolve
from buildrules.locking.python.asked import AskedFor, check_attributes
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.groups import (
    GroupLocks,
    Member,
    environments_of,
    group_label,
    group_of,
    members_of,
    unit_of,
)
from buildrules.locking.python.lock import Lock, lock_filename, read_lock, write_lock
from buildrules.locking.python.locked import LockedPackage
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirements import is_conda
from buildrules.locking.python.servers import Need, lock_for_servers
from buildrules.locking.python.sync import newest, synced
from buildrules.rules.contribution import Contribution
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.sha256 import digest_of
from buildrules.workspace.disk import CONTENT, NAMES
from buildrules.workspace.labels import Label

BaseOf = Callable[[ResolvedTarget, str], tuple[LockedBase, str]]
"""The base of an environment on a platform, and why it stands on that, where it leaves it open."""
Conda = Callable[[ResolvedTarget, Requirements, LockedBase], tuple[LockedConda, LockedBase]]
"""Locks the conda packages that an environment on a base asks for: gives them, and the base with their Python."""


@dataclass(slots=True)
class EnvironmentLocks:
    """The environments of one workspace, each looked at once per base and platform. `needs` are the servers that are to
    stand on them, by label. With `whole` the lock of a group is to have all its members and no others.
    """

    keeper: LockKeeper
    resolution: Resolution
    needs: Mapping[Label, Sequence[Need]]
    asked: AskedFor
    conda: Conda
    base_of: BaseOf
    portable: bool
    whole: bool
    _groups: GroupLocks = field(init=False)
    _synced: dict[str, dict[str, str]] = field(default_factory=dict)  # path of a lock -> the versions it is to have
    _done: dict[tuple[str, ...], LockedEnvironment] = field(default_factory=dict)
    _named: dict[str, str] = field(default_factory=dict)  # path of a lock -> the name it is for
    _servers: dict[tuple[str, str, str], str] = field(default_factory=dict)  # who has a name on an environment

    def __post_init__(self) -> None:
        self._groups = GroupLocks(self.keeper, self.resolution, self._member, self._made, self.whole)

    def environment(self, target: ResolvedTarget, base: LockedBase, chosen: str = "") -> LockedEnvironment:
        """The environment `target` on `base`; `chosen` says why on that, where the target leaves it open.

        Raises LoadError, ResolutionError and what locking raises.
        """
        key = (str(target.label), str(base.target.label), base.platform)
        if key not in self._done:
            self._done[key] = replace(self._environment(target, base, chosen), chosen=chosen)
        return self._done[key]

    def _environment(self, target: ResolvedTarget, base: LockedBase, chosen: str) -> LockedEnvironment:
        check_attributes(target)
        conda, disk = None, self.keeper.disk
        if is_conda(target):
            conda, base = self.conda(target, self.asked.collect(target, None), base)
        request = self.asked.by(target, base, chosen, conda)
        disk.by(target.label).note(CONTENT, *request.asked.files)
        disk.by(target.label).note(NAMES, *request.asked.folders)
        # uv's settings at the workspace's root are part of what every environment asks for
        disk.note(CONTENT, *(name for name in ("uv.toml", "pyproject.toml") if disk.is_file(name)))
        if group_of(target) is not None:
            lock, path = self._groups.of(target, base, request)
        else:
            told = f"{target.label} gets Python {request.target.number}: {chosen}" if chosen else ""
            labels = (target.label, base.target.label)  # the first is a model's, where the environment is
            servers, notes = (target.label,), request.asked.notes
            lock, path = self._lock(request, str(target.label), target.label, labels, servers, notes, told)
        for package in lock.packages:
            if package.directory is not None:
                asking = self.asked.projects.asking(package.directory)
                disk.by(target.label).note(CONTENT, *asking.files)
                disk.by(target.label).note(NAMES, *asking.folders)
        return self._locked(target, base, request, lock, path, lock.packages, frame=True, conda=conda)

    def _member(self, target: ResolvedTarget, platform: str) -> Member:
        check_attributes(target)
        base, chosen = self.base_of(target, platform)
        return Member(target, base.target.label, self.asked.by(target, base, chosen))

    def _locked(
        self,
        target: ResolvedTarget,
        base: LockedBase,
        request: EnvironmentRequest,
        lock: Lock,
        path: str,
        added: Sequence[LockedPackage],
        *,
        frame: bool,
        conda: LockedConda | None = None,
    ) -> LockedEnvironment:
        folders = [package.directory for package in added if package.directory is not None]
        built = any(package.kind != "wheel" for package in added)
        return LockedEnvironment(
            target=target,
            base=base,
            name=request.name,
            lock=lock,
            path=path,
            digest=self.keeper.digest(path),
            added=added,
            frame=frame,
            feeds=request.feeds,
            pins=lock.pins() if conda is None or not frame else digest_of((conda.lock.pins() + lock.pins()).encode()),
            exclude=tuple(request.asked.exclude),
            prefer=tuple(canonicalize_name(name) for name in target.values.get("prefer") or ()),
            builder=(builder_for(lock.target.python_name) or builder_for(lock.target.python_minor)) if built else "",
            sources={folder: self.asked.projects.files_of(folder) for folder in folders},
            conda=conda,
        )

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
        folder = env.target.label.package if env else base.target.label.package
        name = (env or base).target.lock_name
        server_name = self._server_name(server, folder, name)
        key = (folder, name, server_name, base.platform)
        if key not in self._done:
            self._done[key] = self._server(server, part, base, env, folder, name, server_name)
        return self._done[key]

    def _server_name(self, server: ResolvedTarget, folder: str, name: str) -> str:
        """The server's part of the lock's name: its own name, as long as no other server has it on this environment."""
        label = str(server.label)
        short = server.rule.name if server.implicit else server.lock_name
        if self._servers.setdefault((folder, name, short), label) == label:
            return short
        raise server.error(
            "rule",
            f"two servers named '{short}' stand on one environment: {self._servers[folder, name, short]} and {label}",
            "rename one of the targets: the lock of the pair has its name",
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
        base = env.base if env else base
        found = self.asked.by_server(server, part, base, env, folder, f"{name}+{server_name}")
        request = replace(found, preferred=self._groups.versions(env.path) if env else {})
        lock, path = self._lock(request, _called(server, name), server.label, ((env or base).target.label,))
        below = {package.name for package in env.lock.packages} if env else set()
        added = [package for package in lock.packages if package.name not in below]
        return self._locked(
            server, base, request, lock, path, added, frame=env is None, conda=env.conda if env else None
        )

    def require(self, below: ResolvedTarget, server: ResolvedTarget | None, platform: str) -> None:
        """With `--locked`: refuse what is not there of the locks of an environment, and of a server on it or a base."""
        names = {below.lock_name: str(below.label)} if below.provides == "env" else {}
        if (group := group_of(below)) is not None:
            names = {}
            name = group_label(group, members_of(group, self.resolution)).name
            self.keeper.require(lock_filename(name, platform), f"the group '{group}'")
        if server is not None:
            name = self._server_name(server, below.label.package, below.lock_name)
            names[f"{below.lock_name}+{name}"] = _called(server, below.lock_name)
        for name, what in names.items():
            self.keeper.require(os.path.join(below.label.package, lock_filename(name, platform)), what)

    def _lock(
        self,
        request: EnvironmentRequest,
        what: str,
        of: Label,
        on: Sequence[Label],
        on_top: Sequence[Label] = (),
        notes: Sequence[str] = (),
        told: str = "",
    ) -> tuple[Lock, str]:
        root, path = self.keeper.root, request.path
        if self._named.setdefault(path, request.name) != request.name:
            raise LoadError(
                f"two environments would have the lock '{path}': {self._named[path]!r} and {request.name!r}",
                hint="rename one of them: in the names of locks a dot is a dash",
            )

        def make(old: Lock | None) -> Lock:
            if told:
                self.keeper.tell(told)
            for note in notes:
                self.keeper.warn(note)
            return self._made(request, old, on_top)

        lock = self.keeper.obtain(
            path,
            what,
            read=lambda found: replace(read_lock(root, os.path.relpath(found, root)), name=request.name),
            stale=lambda found: resolve.stale(found, request),
            make=make,
            write=lambda _, made: write_lock(made, root),
            of=of,
            on=on,
            versions=lambda lock: lock.versions(),
        )
        return lock, path

    def _made(self, request: EnvironmentRequest, old: Lock | None, foundations: Sequence[Label]) -> Lock:
        """A lock for `request`, with the servers in view that are to stand on these."""
        request = replace(request, limits=self._synced.get(request.path, request.limits))
        servers = list(dict.fromkeys(need for label in foundations for need in self.needs.get(label, ())))
        if note := ended(request.target.python_minor, date.today()):
            self.keeper.warn(note)
        return lock_for_servers(
            request,
            servers,
            self.keeper.session,
            existing=old,
            upgrade=self.keeper.upgrade,
            portable=self.portable,
            warn=self.keeper.warn,
        )

    def sync(self, groups: Sequence[str], platforms: Sequence[str]) -> list[str]:
        """From now on the locks of all environments of these groups are made with equal versions, as far as that goes;
        gives what differs, in words. Raises as `environment`, and UsageError for a group that there is not.
        """
        members = [
            self._member(target, platform)
            for target in environments_of(groups, self.resolution)
            for platform in platforms
        ]
        locks: dict[tuple[str, str], list[Member]] = {}
        for member in members:
            name = group_of(member.target)
            what = f"the group '{name}'" if name is not None else str(member.target.label)
            locks.setdefault((what, member.request.target.platform), []).append(member)
        units = [
            unit_of(what if len(platforms) == 1 else f"{what} on {platform}", found, self.keeper.root)
            for (what, platform), found in locks.items()
        ]
        upgrade = self.keeper.upgrade
        known = newest([unit.old for unit in units if unit.old is not None])
        known = {} if upgrade is True else {name: known[name] for name in known.keys() - set(upgrade or ())}
        self._synced, differences = synced(units, self._made, known)
        return differences


def _called(server: ResolvedTarget, below: str) -> str:
    return f"the server {server.rule.reference} on {below}"
