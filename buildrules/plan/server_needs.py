"""Locks an environment so that the servers that are going to stand on it fit.

An environment is resolved first and holds for every server, so it must not take, of what nobody asked for in a
certain version, one that a server refuses. Which servers there will be is known: the packages say. Versions are chosen
with them in view; the lock's digest knows nothing of it, and another server later changes no lock.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from buildrules.errors import BuildrulesError, ResolutionError
from buildrules.rules.package import PackageParts
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.actions.python.lock import Lock
    from buildrules.actions.python.request import Request


class ServerNeeds:
    """What servers ask for on each environment of a workspace."""

    def __init__(self) -> None:
        self._asked: dict[Label, dict[tuple[str, ...], None]] = {}

    def add(self, packages: Iterable[PackageParts]) -> None:
        """Note the server of each package. A package without an environment counts for its model's own."""
        for parts in packages:
            foundation = parts.env or parts.model
            asked = tuple(parts.server_part.requirements)
            if foundation is not None and asked:
                self._asked.setdefault(foundation.label, {}).setdefault(asked)

    def of(self, label: Label) -> list[tuple[str, ...]]:
        """The requirements of each server on the environment `label`."""
        return list(self._asked.get(label, ()))


def lock_for_servers(
    request: "Request",
    servers: Sequence[Sequence[str]],
    *,
    existing: "Lock | None",
    upgrade: bool | Collection[str],
    portable: bool,
) -> "Lock":
    """The lock for `request`; where a server of `servers` cannot stand on it, one on which it can, if there is one.

    Raises as `resolve.make_lock` does, for `request` alone: that a server does not fit is said when it is locked.
    """
    from buildrules.actions.python import resolve

    lock = resolve.make_lock(request, existing=existing, upgrade=upgrade, portable=portable)
    asked = [requirements for server in servers if (requirements := _parsed(request, server))]
    if all(_fits(request, lock, requirements) for requirements in asked):
        return lock
    everything = tuple(item for requirements in asked for item in requirements)
    for wanted in (everything, *asked) if len(asked) > 1 else (everything,):
        together = _with(request, wanted)
        try:
            shared = resolve.make_lock(together, existing=existing, upgrade=upgrade)
            better = resolve.make_lock(request, existing=shared, portable=portable)
        except ResolutionError:
            continue
        if any(_fits(request, better, requirements) for requirements in asked):
            return better
    return lock


def _parsed(request: "Request", texts: Sequence[str]) -> "tuple[object, ...]":
    """A server's requirements; none where they cannot be read, which is said when the server is locked."""
    from buildrules.actions.python.requirements import collect

    try:
        return tuple(collect(request.root, request.folder, requirements=texts, asker="the server").items)
    except BuildrulesError:
        return ()


def _with(request: "Request", items: "tuple[object, ...]") -> "Request":
    from dataclasses import replace

    return replace(request, requirements=(*request.requirements, *items))  # type: ignore[arg-type]


def _fits(request: "Request", lock: "Lock", requirements: "tuple[object, ...]") -> bool:
    from dataclasses import replace

    from buildrules.actions.python import resolve

    on_top = replace(request, requirements=requirements, constraints=(), exclude=(), base=lock)  # type: ignore[arg-type]
    try:
        resolve.make_lock(on_top)
    except ResolutionError:
        return False
    return True
