"""Equal versions in several locks: those of environments that cannot have one lock together.

Each lock is resolved with the versions of those before it. Where that has no answer, the versions that it takes by
itself are asked of all; what one of the others cannot take then is left to differ. Locks for older Pythons come first,
since newer ones mostly take what they take.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from packaging.version import Version

from buildrules.errors import ResolutionError
from buildrules.locking.python.lock import Lock
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.workspace.labels import Label

Made = Callable[[EnvironmentRequest, Lock | None, Sequence[Label]], Lock]
"""Makes the lock for a request, with an old one, for environments with these labels."""


class Unit(NamedTuple):
    """One lock: what it is for people, its path, what it is asked for, by which environments, and the old one."""

    what: str
    path: str
    request: EnvironmentRequest
    labels: Sequence[Label]
    old: Lock | None


def synced(units: Sequence[Unit], made: Made, known: Mapping[str, str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The versions that each lock is to have, by path, and in words what differs and why. `known` are versions to keep
    where they fit. Raises what `made` raises for a lock by itself.
    """
    units = sorted(units, key=lambda unit: unit.request.target.version)
    asked: dict[str, str] = {}  # what one lock takes by itself, of all others
    apart: set[str] = set()
    while True:
        locks: dict[str, Lock] = {}
        equal = {name: version for name, version in asked.items() if name not in apart}
        for unit in units:
            limits = {name: version for name, version in equal.items() if name not in apart}
            try:
                lock = _lock(unit, made, limits, {**known, **equal})
            except ResolutionError:
                lock = _lock(unit, made, {}, {**known, **equal})
                clash = {name: one for name, one in lock.from_indexes().items() if limits.get(name, one) != one}
                apart |= clash.keys() & asked.keys() or (set() if clash else limits.keys())
                asked |= {name: one for name, one in clash.items() if name not in apart}
                break
            locks[unit.path] = lock
            equal = lock.from_indexes() | equal
        else:
            found = {path: lock.from_indexes() for path, lock in locks.items()}
            return found, list(_differences(units, found, made))


def newest(locks: Sequence[Lock]) -> dict[str, str]:
    """The newest version of each package that any of the locks has."""
    found: dict[str, str] = {}
    for name, version in (row for lock in locks for row in lock.from_indexes().items()):
        if name not in found or Version(version) > Version(found[name]):
            found[name] = version
    return found


def _lock(unit: Unit, made: Made, limits: Mapping[str, str], preferred: Mapping[str, str]) -> Lock:
    return made(replace(unit.request, limits=limits, preferred=preferred), unit.old, unit.labels)


def _differences(units: Sequence[Unit], found: Mapping[str, Mapping[str, str]], made: Made) -> Iterator[str]:
    for name in sorted({name for versions in found.values() for name in versions}):
        have = [(unit, found[unit.path][name]) for unit in units if name in found[unit.path]]
        if len({version for _, version in have}) > 1:
            yield f"{name} differs: " + ", ".join(f"{version} in {unit.what}" for unit, version in have)
            yield from (f"    {line}" for line in _why(name, have, found, made).splitlines())


def _why(name: str, have: Sequence[tuple[Unit, str]], found: Mapping[str, Mapping[str, str]], made: Made) -> str:
    """Why one of them cannot have the version of another: what the resolver says of it."""
    first, version = have[0]
    other, another = next(one for one in have if one[1] != version)
    for unit, wanted in ((other, version), (first, another)):
        try:
            _lock(unit, made, {name: wanted}, found[unit.path])
        except ResolutionError as error:
            return f"{unit.what} cannot have {name} {wanted}:\n{error.log or error.message}"
    return "either could have the version of the other, but not with the versions of all else"
