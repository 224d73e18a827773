"""One lock for many environments: those of a group are resolved together, and each takes what it needs of the answer.

What a member needs is found out by the resolver, too: it is asked once more for the member alone, with the versions of
the group. The lock tells members apart by the digest of what they ask for, so a member with another name, or a second
one that asks for the same, changes nothing; and who builds one model need not look at what the others ask for.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from buildrules.errors import LoadError, LockError, ResolutionError, UsageError
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase
from buildrules.locking.python import resolve
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.lock import Lock, lock_filename, read_lock, write_lock
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirement import Requirement
from buildrules.locking.python.sync import Made, Unit, newest
from buildrules.net.session import Session
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.store.lockfile import inputs_digest
from buildrules.workspace.labels import Label
from buildrules.workspace.suggest import did_you_mean


class Member(NamedTuple):
    """One environment of a group, and what it asks for. `base` is the label of what it stands on."""

    target: ResolvedTarget
    base: Label
    request: EnvironmentRequest


@dataclass(slots=True)
class GroupLocks:
    """The locks of the groups of one workspace. `member` says what an environment asks for on a platform; `made` makes
    a lock, on which the servers of these environments are to stand. With `whole` a lock has to have all members of its
    group and no others.
    """

    keeper: LockKeeper
    resolution: Resolution
    member: Callable[[ResolvedTarget, str], Member]
    made: Made
    whole: bool
    _members: dict[tuple[str, str], tuple[list[Member], str]] = field(default_factory=dict)
    _read: dict[str, Lock] = field(default_factory=dict)
    _labels: dict[str, Label] = field(default_factory=dict)

    def of(self, target: ResolvedTarget, base: LockedBase, request: EnvironmentRequest) -> tuple[Lock, str]:
        """What `target`, which asks for `request`, gets of the lock of its group, and the path of that.

        It is made for all members where it has to be. Raises as `resolve.make_lock`, and LoadError.
        """
        group = str(group_of(target))
        if group not in self._labels:
            self._labels[group] = group_label(group, members_of(group, self.resolution))
        label = self._labels[group]
        path = lock_filename(label.name, base.platform)
        keeper = self.keeper
        if target.label in keeper.named:  # nobody can name it
            keeper.named.add(label)

        def stale(lock: Lock) -> str | None:
            part = lock.part(request.digest())
            asking = self._all(group, base.platform)[0] if self.whole else ()
            lacking = [one.target.label for one in asking if lock.part(one.request.digest()) is None]
            if (part is None or lacking) and lock.target == request.target:
                return f"it has nothing for what {lacking[0] if lacking else target.label} asks for"
            reason = resolve.stale(part or lock, request, shared=True)
            if reason is None and self.whole and self._all(group, base.platform)[1] != lock.inputs:
                return "the members of the group have changed"
            return reason

        lock = keeper.obtain(
            path,
            f"the group '{group}'",
            read=lambda _: self._at(path),
            stale=stale,
            make=lambda old: self._make(group, path, base.platform, old),
            write=lambda _, made: write_lock(made, keeper.root),
            of=label,
            on=(base.target.label,),
            versions=lambda lock: lock.versions(),
        )
        if label in keeper.unlocked:
            keeper.unlocked.add(str(target.label))
        return lock.part(request.digest()) or lock, path

    def _all(self, group: str, platform: str) -> tuple[list[Member], str]:
        """The members of a group, and what its lock is to be made of."""
        key = (group, platform)
        if key not in self._members:
            found = [self.member(one, platform) for one in members_of(group, self.resolution)]
            self._members[key] = found, _inputs(one.request.digest() for one in found)
        return self._members[key]

    def versions(self, path: str) -> dict[str, str]:
        """The versions in the lock of a group; none where another lock has this path."""
        return self._read[path].from_indexes() if path in self._read else {}

    def _at(self, path: str) -> Lock:
        if path not in self._read:
            self._read[path] = read_lock(self.keeper.root, path)
        return self._read[path]

    def _make(self, group: str, path: str, platform: str, old: Lock | None) -> Lock:
        members, _ = self._all(group, platform)
        for note in (note for member in members for note in member.request.asked.notes):
            self.keeper.warn(note)
        together = joined(group, members)
        if old is None and not self.keeper.upgrade:  # they keep what they had in locks of their own
            locks = (_read(self.keeper.root, member.request) for member in members)
            together = replace(together, preferred=newest([lock for lock in locks if lock is not None]))
        try:
            made = self.made(together, old, [member.target.label for member in members])
        except ResolutionError as error:
            error.hint = error.hint or "change what one of them asks for, or write `lock: own` on one of them"
            raise
        self._read[path] = shared_out(made, together, members, old, self.keeper.session)
        return self._read[path]


def joined(group: str, members: Sequence[Member]) -> EnvironmentRequest:
    """What the members ask for together. Raises LoadError where they cannot have one lock."""
    first = members[0]
    together = Requirements()
    for member in members:
        _check_alike(first, member)
        _add(together, member)
    excluded = [set(member.request.asked.exclude) for member in members]
    together.exclude = sorted(set.intersection(*excluded))
    feeds = replace(first.request.feeds, sources=tuple(together.sources))
    count = f"{len(members)} environment{'s' * (len(members) != 1)}"
    return replace(
        first.request,
        name=group_label(group, (member.target for member in members)).name,
        folder="",
        asked=together,
        feeds=feeds,
        assigned={name: source for one in members for name, source in one.request.assigned.items()},
        called=f"the group {group!r} ({count})",
    )


def unit_of(what: str, members: Sequence[Member], root: str) -> Unit:
    """A lock to be synced: that of a group's members, or of one that has its own."""
    first = members[0]
    group = group_of(first.target)
    request = joined(group, members) if group is not None else first.request
    return Unit(what, request.path, request, [member.target.label for member in members], _read(root, request))


def _read(root: str, request: EnvironmentRequest) -> Lock | None:
    """The lock that there is for a request; None where there is none that can be read."""
    with contextlib.suppress(LockError):
        return read_lock(root, request.path)
    return None


def _check_alike(first: Member, other: Member) -> None:
    ours, theirs = first.request, other.request
    if ours.target != theirs.target:
        target = ours.target
        raise other.target.error(
            "group",
            f"{first.target.label} and {other.target.label} cannot have one lock: they stand on {first.base} with"
            f" Python {target.python} and glibc {target.glibc}, and {other.base} with Python"
            f" {theirs.target.python} and glibc {theirs.target.glibc}",
            f"write lock: own on {other.target.label}, and 'buildrules lock --sync {other.target.values['group']}'"
            " keeps both on equal versions; or give it another group",
        )
    if (ours.feeds.names, ours.feeds.urls) != (theirs.feeds.names, theirs.feeds.urls):
        raise LoadError(
            f"{first.target.label} and {other.target.label} cannot have one lock: they name other indexes",
            hint="give all environments of a group the same",
            position=other.target.position_of("connections") or other.target.position_of("group"),
        )


def _add(together: Requirements, member: Member) -> None:
    """Add what a member asks for; hashes are looked at for each by itself."""
    asked = member.request.asked
    together.items += asked.items
    together.constraints += asked.constraints
    together.prerelease |= asked.prerelease
    together.sources += [source for source in asked.sources if source not in together.sources]
    together.preferences = {**asked.preferences, **together.preferences}
    together.preferred_by = together.preferred_by or asked.preferred_by
    for path, declared in asked.declared.items():
        if together.declared.setdefault(path, declared) != declared:
            raise member.target.error(
                "group",
                f"the group of {member.target.label} has the project in {path!r} with two versions or variables",
                "say them on one python_library, and name that in the others' `deps`",
            )


def _inputs(digests: Iterable[str]) -> str:
    """What the lock of a group is made of: whatever its members ask for, whoever they are."""
    return inputs_digest({"members": sorted(set(digests))})


def shared_out(
    lock: Lock, together: EnvironmentRequest, members: Sequence[Member], old: Lock | None, session: Session
) -> Lock:
    """The `lock` of a group, with what each member gets of it. What `old` says of a member is taken where nothing of
    it has changed. Raises as `resolve.needed`.
    """
    direct = [replace(item, extras=()) for item in together.asked.items if _is_direct(item)]
    before = _pins(old) if old is not None else {}
    now = _pins(lock)
    gets: dict[str, tuple[str, ...]] = {}
    for member in members:
        digest = member.request.digest()
        if digest in gets:
            continue
        names = old.members.get(digest) if old is not None else None
        if names is None or any(name not in now or before.get(name) != now[name] for name in names):
            asked = replace(member.request, feeds=together.feeds, assigned=together.assigned)
            names = resolve.needed(asked, lock, direct, session)
        gets[digest] = names
    return replace(lock, inputs=_inputs(gets), members=gets)


def _is_direct(item: Requirement) -> bool:
    return bool(item.name) and (item.local or (" @ " in item.text and "[" not in item.text))


def _pins(lock: Lock) -> Mapping[str, tuple[str, ...]]:
    return {one.name: (one.version, one.file.sha256 if one.file else "", one.asks) for one in lock.packages}


def group_label(group: str, members: Iterable[ResolvedTarget]) -> Label:
    """The label of a group's lock. An @ is in its name, which no target of a BUILD.yaml can have.

    Where a member varies with a configuration it is a lock of its own.
    """
    variant = {one for target in members for one in target.variant.split(",") if one}
    return Label("", "@".join(["group", group, *([",".join(sorted(variant))] if variant else [])]))


def group_of(target: ResolvedTarget) -> str | None:
    """The group in whose lock an environment is; None where it has one of its own."""
    return target.values.get("group") if target.values.get("lock") == "shared" else None


def members_of(group: str, resolution: Resolution) -> list[ResolvedTarget]:
    """The environments of the workspace that are in the lock of a group, by label."""
    environments = (resolution.of(label) for label in resolution.labels("env"))
    return [target for target in environments if group_of(target) == group]


def environments_of(groups: Sequence[str], resolution: Resolution) -> list[ResolvedTarget]:
    """All environments that name one of the groups, whatever lock they are in. Raises UsageError for a group that no
    environment names.
    """
    found = [resolution.of(label) for label in resolution.labels("env")]
    known = {str(group) for target in found if (group := target.values.get("group")) is not None}
    for group in groups:
        if group not in known:
            hint = did_you_mean(group, known) or "write `group` on environments that are to have equal versions"
            raise UsageError(f"no environment has the group '{group}'", hint=hint)
    return [target for target in found if target.values.get("group") in groups]
