"""Locks Python environments, and the packages of a server on top of one."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from buildrules.authoring.release import ended, minor_of_patch
from buildrules.errors import LoadError
from buildrules.locking.bases import need_python
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedConda, LockedEnvironment
from buildrules.locking.python.membership import group_label, group_of, members_of
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.servers import Need, lock_for_servers
from buildrules.rules.contribution import Contribution
from buildrules.rules.libraries import installed_projects
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.sha256 import digest_of
from buildrules.workspace.disk import CONTENT, NAMES
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.python.feeds import Feeds
    from buildrules.actions.python.target import Target
    from buildrules.locking.python.collector import Requirements
    from buildrules.locking.python.groups import GroupLocks, Member
    from buildrules.locking.python.lock import Lock
    from buildrules.locking.python.locked import LockedPackage
    from buildrules.locking.python.request import EnvironmentRequest


BaseOf = Callable[[ResolvedTarget, str], tuple[LockedBase, str]]
"""The base of an environment on a platform, and why it stands on that, where it leaves it open."""
Conda = Callable[[ResolvedTarget, "Requirements", LockedBase], tuple[LockedConda, LockedBase]]
"""Locks the conda packages that an environment on a base asks for: gives them, and the base with their Python."""


class EnvironmentLocks:
    """The environments of one workspace, each looked at once per base and platform."""

    def __init__(
        self,
        keeper: LockKeeper,
        resolution: Resolution,
        needs: Mapping[Label, Sequence[Need]],
        models: ModelEnvironments,
        conda: Conda,
        base_of: BaseOf,
        *,
        portable: bool,
        whole: bool,
    ) -> None:
        """With `whole` the lock of a group is to have all its members and no others."""
        self._keeper = keeper
        self._base_of = base_of
        self._whole = whole
        self._conda = conda
        self._resolution = resolution
        self._needs = needs
        self._models = models
        self._portable = portable
        self._groups: GroupLocks | None = None
        self._synced: dict[str, dict[str, str]] = {}  # path of a lock -> the versions that it is to have
        self._done: dict[tuple[str, ...], LockedEnvironment] = {}
        self._named: dict[str, str] = {}  # path of a lock -> the name it is for
        self._projects = Projects(keeper.root)
        self._servers: dict[tuple[str, str, str], str] = {}  # who has a name on an environment

    def environment(self, target: ResolvedTarget, base: LockedBase, chosen: str = "") -> LockedEnvironment:
        """The environment `target` on `base`; `chosen` says why on that, where the target leaves it open.

        Raises LoadError, ResolutionError and what locking raises.
        """
        key = (str(target.label), str(base.target.label), base.platform)
        if key not in self._done:
            self._done[key] = replace(self._environment(target, base, chosen), chosen=chosen)
        return self._done[key]

    def _environment(self, target: ResolvedTarget, base: LockedBase, chosen: str) -> LockedEnvironment:
        from buildrules.locking.python.requirements import is_conda

        _check_attributes(target)
        conda = None
        if is_conda(target):
            conda, base = self._conda(target, self._collect(target, None), base)
        request = self._request(target, base, chosen, conda)
        self._keeper.disk.by(target.label).note(CONTENT, *request.asked.files)
        self._keeper.disk.by(target.label).note(NAMES, *request.asked.folders)
        self._note_settings()
        if group_of(target) is not None:
            if self._groups is None:
                from buildrules.locking.python.groups import GroupLocks

                self._groups = GroupLocks(self._keeper, self._resolution, self._member, self._made, whole=self._whole)
            lock, path = self._groups.of(target, base, request)
        else:
            told = f"{target.label} gets Python {request.target.number}: {chosen}" if chosen else ""
            labels = (target.label, base.target.label)  # the first is a model's, where the environment is
            servers, notes = (target.label,), request.asked.notes
            lock, path = self._lock(request, str(target.label), target.label, labels, servers, notes, told)
        for package in lock.packages:
            if package.directory is not None:
                asking = self._projects.asking(package.directory)
                self._keeper.disk.by(target.label).note(CONTENT, *asking.files)
                self._keeper.disk.by(target.label).note(NAMES, *asking.folders)
        return self._locked(target, base, request, lock, path, lock.packages, frame=True, conda=conda)

    def _member(self, target: ResolvedTarget, platform: str) -> "Member":
        from buildrules.locking.python.groups import Member

        _check_attributes(target)
        base, chosen = self._base_of(target, platform)
        return Member(target, base.target.label, self._request(target, base, chosen))

    def _request(
        self, target: ResolvedTarget, base: LockedBase, chosen: str, conda: LockedConda | None = None
    ) -> "EnvironmentRequest":
        """What an environment on a base asks for."""
        from buildrules.locking.python.request import EnvironmentRequest

        python = need_python(base, target)
        on = _on(base, python)
        found = self._collect(target, on)
        if conda is None:
            self._check_python(target, base, python, found, chosen)
        feeds = self._feeds(target, found)
        return EnvironmentRequest(
            name=target.lock_name,
            root=self._keeper.root,
            folder=target.label.package,
            target=on,
            asked=found,
            feeds=feeds,
            assigned=feeds.assigned(self._keeper.session.connections),
            projects=self._projects,
            provided=conda.lock.distributions() if conda is not None else {},
        )

    def _note_settings(self) -> None:
        """uv's settings at the workspace's root are part of what every environment asks for."""
        disk = self._keeper.disk
        disk.note(CONTENT, *(name for name in ("uv.toml", "pyproject.toml") if disk.is_file(name)))

    def _locked(
        self,
        target: ResolvedTarget,
        base: LockedBase,
        request: "EnvironmentRequest",
        lock: "Lock",
        path: str,
        added: "Sequence[LockedPackage]",
        *,
        frame: bool,
        conda: LockedConda | None = None,
    ) -> LockedEnvironment:
        from packaging.utils import canonicalize_name

        from buildrules.actions.python.uvtool import builder_for

        folders = [package.directory for package in added if package.directory is not None]
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
            pins=lock.pins() if conda is None or not frame else digest_of((conda.lock.pins() + lock.pins()).encode()),
            exclude=tuple(request.asked.exclude),
            prefer=tuple(canonicalize_name(name) for name in target.values.get("prefer") or ()),
            builder=builder_for(lock.target.python_minor) if built else "",
            sources={folder: self._projects.files_of(folder) for folder in folders},
            conda=conda,
        )

    def _feeds(self, target: ResolvedTarget, found: "Requirements") -> "Feeds":
        """The feeds the target names, or all. Raises UsageError for a name that is none."""
        from buildrules.actions.python.feeds import Feeds

        names = target.values["connections"]
        feeds = Feeds(None if names is None else tuple(names), tuple(found.indexes), tuple(found.sources))
        with target.errors_at("connections"):
            feeds.assigned(self._keeper.session.connections)
        return feeds

    def _collect(self, target: ResolvedTarget, on: "Target | None") -> "Requirements":
        from buildrules.locking.python.declared import add_projects
        from buildrules.locking.python.requirements import collect_target

        root = self._keeper.root
        if target.deps.get("model"):
            found = self._models.collect(target)
        else:
            environment = on.environment() if on is not None else None  # the Python is not known before conda's is
            found = collect_target(root, target, self._keeper.session.connections, environment)
        add_projects(found, root, target, installed_projects(self._resolution, target))
        return found

    def _check_python(
        self, target: ResolvedTarget, base: LockedBase, python: str, found: "Requirements", chosen: str
    ) -> None:
        """A base that was chosen has the minor version that is asked for, whatever patch release that is of."""
        from buildrules.locking.python.conda import check_python

        asked = target.values["python"]
        if chosen and asked is not None:
            asked = minor_of_patch(asked if asked[:1] == "=" else f"=={asked}") or asked
        elif chosen and found.python is not None:
            asked = found.python.minor
        with target.errors_at("python"):
            check_python(found.python, python, asked, free_threaded=base.free_threaded)
            self._models.check_python(target, python)

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
        from buildrules.locking.python.request import EnvironmentRequest
        from buildrules.locking.python.requirements import collect

        base = env.base if env else base
        conda = env.conda if env else None
        python = need_python(base, server)
        found = collect(
            self._keeper.root,
            folder,
            requirements=part.requirements,
            constraints=part.constraints,
            exclude=env.exclude if env else (),
            connections=self._keeper.session.connections,
            asker=f"the server {server.rule.reference}",
            place=lambda attribute, _=None: server.position_of(attribute),
        )
        feeds = (env.feeds if env else None) or Feeds()
        request = EnvironmentRequest(
            name=f"{name}+{server_name}",
            root=self._keeper.root,
            folder=folder,
            target=_on(base, python),
            asked=found,
            feeds=feeds,
            assigned=feeds.assigned(self._keeper.session.connections),
            base=env.lock if env else None,
            base_asker=f"the environment {name}",
            preferred=self._groups.versions(env.path) if env and self._groups else {},
            projects=self._projects,
            provided=conda.lock.distributions() if conda is not None else {},
        )
        lock, path = self._lock(request, _called(server, name), server.label, ((env or base).target.label,))
        below = {package.name for package in env.lock.packages} if env else set()
        added = [package for package in lock.packages if package.name not in below]
        return self._locked(server, base, request, lock, path, added, frame=env is None, conda=conda)

    def require(self, below: ResolvedTarget, server: ResolvedTarget | None, platform: str) -> None:
        """With `--locked`: refuse what is not there of the locks of an environment, and of a server on it or a base."""
        from buildrules.locking.python.lock import lock_filename

        names = {below.lock_name: str(below.label)} if below.provides == "env" else {}
        if (group := group_of(below)) is not None:
            names = {}
            name = group_label(group, members_of(group, self._resolution)).name
            self._keeper.require(lock_filename(name, platform), f"the group '{group}'")
        if server is not None:
            name = self._server_name(server, below.label.package, below.lock_name)
            names[f"{below.lock_name}+{name}"] = _called(server, below.lock_name)
        for name, what in names.items():
            self._keeper.require(os.path.join(below.label.package, lock_filename(name, platform)), what)

    def _lock(
        self,
        request: "EnvironmentRequest",
        what: str,
        of: Label,
        on: Sequence[Label],
        on_top: Sequence[Label] = (),
        notes: Sequence[str] = (),
        told: str = "",
    ) -> "tuple[Lock, str]":
        from buildrules.locking.python import resolve
        from buildrules.locking.python.lock import lock_filename, read_lock, write_lock

        root = self._keeper.root
        path = os.path.join(request.folder, lock_filename(request.name, request.target.platform))
        if self._named.setdefault(path, request.name) != request.name:
            raise LoadError(
                f"two environments would have the lock '{path}': {self._named[path]!r} and {request.name!r}",
                hint="rename one of them: in the names of locks a dot is a dash",
            )

        def make(old: "Lock | None") -> "Lock":
            if told:
                self._keeper.tell(told)
            for note in notes:
                self._keeper.warn(note)
            return self._made(request, old, on_top)

        lock = self._keeper.obtain(
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

    def _made(self, request: "EnvironmentRequest", old: "Lock | None", foundations: Sequence[Label]) -> "Lock":
        """A lock for `request`, with the servers in view that are to stand on these."""
        from buildrules.locking.python.lock import lock_filename

        path = os.path.join(request.folder, lock_filename(request.name, request.target.platform))
        request = replace(request, limits=self._synced.get(path, request.limits))
        servers = list(dict.fromkeys(need for label in foundations for need in self._needs.get(label, ())))
        if note := ended(request.target.python_minor, date.today()):
            self._keeper.warn(note)
        return lock_for_servers(
            request,
            servers,
            self._keeper.session,
            existing=old,
            upgrade=self._keeper.upgrade,
            portable=self._portable,
            warn=self._keeper.warn,
        )

    def sync(self, groups: Sequence[str], platforms: Sequence[str]) -> list[str]:
        """From now on the locks of all environments of these groups are made with equal versions, as far as that goes;
        gives what differs, in words. Raises as `environment`, and UsageError for a group that there is not.
        """
        from buildrules.locking.python.groups import unit_of
        from buildrules.locking.python.membership import environments_of
        from buildrules.locking.python.sync import newest, synced

        members = [
            self._member(target, platform)
            for target in environments_of(groups, self._resolution)
            for platform in platforms
        ]
        locks: dict[tuple[str, str], list[Member]] = {}
        for member in members:
            name = group_of(member.target)
            what = f"the group '{name}'" if name is not None else str(member.target.label)
            locks.setdefault((what, member.request.target.platform), []).append(member)
        units = [
            unit_of(what if len(platforms) == 1 else f"{what} on {platform}", found, self._keeper.root)
            for (what, platform), found in locks.items()
        ]
        upgrade = self._keeper.upgrade
        known = newest([unit.old for unit in units if unit.old is not None])
        known = {} if upgrade is True else {name: known[name] for name in known.keys() - set(upgrade or ())}
        self._synced, differences = synced(units, self._made, known)
        return differences


def _on(base: LockedBase, python: str) -> "Target":
    """What wheels on a base, whose version of Python is `python`, have to fit."""
    from buildrules.actions.python.target import Target

    return Target(base.platform, f"{python}t" if base.free_threaded else python, base.glibc)


def _check_attributes(target: ResolvedTarget) -> None:
    from buildrules.actions.python.exclusion import NAME_OR_GLOB

    for number, name in enumerate(target.values["exclude"]):
        if not NAME_OR_GLOB.fullmatch(name):
            raise LoadError(
                f"{name!r} is not the name of a distribution",
                hint='write the name alone, without a version; or a glob of names, such as "nvidia-*"',
                position=target.position_of("exclude", number),
            )
    for name in ("channels", "cuda"):
        if target.values.get(name) is not None and target.values["solver"] != "conda":
            hint = "write `solver: conda`, or leave it out"
            raise LoadError(f"'{name}' has no effect on wheels", hint=hint, position=target.position_of(name))
    if target.values.get("group") is not None and target.values["solver"] == "conda":
        hint = "leave out `group`, or take wheels: `solver: uv`"
        raise LoadError("locks of a group have wheels only", hint=hint, position=target.position_of("group"))


def _called(server: ResolvedTarget, below: str) -> str:
    return f"the server {server.rule.reference} on {below}"
