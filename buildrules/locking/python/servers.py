"""Locks an environment so that the servers that are going to stand on it fit.

An environment is resolved first and holds for every server, so it must not take, of what nobody asked for in a
certain version, one that a server refuses. Which servers there will be is known: the packages say. Versions are chosen
with them in view; the lock's digest knows nothing of it, and another server later changes no lock.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from buildrules.errors import BuildrulesError, ResolutionError
from buildrules.rules.package import PackageParts
from buildrules.workspace.labels import Label

if TYPE_CHECKING:
    from buildrules.locking.python.lock import Lock
    from buildrules.locking.python.request import Request
    from buildrules.locking.python.requirements import Requirements
    from buildrules.net.session import Session


class Need(NamedTuple):
    """What one server asks for: requirements, and limits on what these bring along."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


class ServerNeeds:
    """What servers ask for on each environment of a workspace."""

    def __init__(self) -> None:
        self._asked: dict[Label, dict[Need, None]] = {}

    def add(self, packages: Iterable[PackageParts]) -> None:
        """Note the server of each package. A package without an environment counts for its model's own."""
        for parts in packages:
            foundation = parts.env or parts.model
            need = Need(tuple(parts.server_part.requirements), tuple(parts.server_part.constraints))
            if foundation is not None and need.requirements:
                self._asked.setdefault(foundation.label, {}).setdefault(need)

    def of(self, label: Label) -> list[Need]:
        """What each server on the environment `label` asks for."""
        return list(self._asked.get(label, ()))


def lock_for_servers(
    request: "Request",
    servers: Sequence[Need],
    session: "Session",
    *,
    existing: "Lock | None",
    upgrade: bool | Collection[str],
    portable: bool,
) -> "Lock":
    """The lock for `request`; where a server of `servers` cannot stand on it, one on which it can, if there is one.

    Raises as `resolve.make_lock` does, for `request` alone: that a server does not fit is said when it is locked.
    """
    from buildrules.locking.python import resolve

    lock = resolve.make_lock(request, session, existing=existing, upgrade=upgrade, portable=portable)
    asked = [found for need in servers if (found := _parsed(request, need, session)) is not None]
    if all(_fits(request, lock, one, session) for one in asked):
        return lock
    for wanted in (asked, *([one] for one in asked)) if len(asked) > 1 else (asked,):
        together = _with(request, wanted)
        try:
            shared = resolve.make_lock(together, session, existing=existing, upgrade=upgrade)
            better = resolve.make_lock(request, session, existing=shared, portable=portable)
        except ResolutionError:
            continue
        if any(_fits(request, better, one, session) for one in asked):
            return better
    return lock


def _parsed(request: "Request", need: Need, session: "Session") -> "Requirements | None":
    """A server's requirements; None where they cannot be read, which is said when the server is locked."""
    from buildrules.locking.python.requirements import collect

    try:
        asked = need._asdict()
        return collect(request.root, request.folder, **asked, connections=session.connections, asker="the server")
    except BuildrulesError:
        return None


def _with(request: "Request", asked: "Sequence[Requirements]") -> "Request":
    from dataclasses import replace

    return replace(
        request,
        requirements=(*request.requirements, *(item for one in asked for item in one.items)),
        constraints=(*request.constraints, *(item for one in asked for item in one.constraints)),
    )


def _fits(request: "Request", lock: "Lock", asked: "Requirements", session: "Session") -> bool:
    from dataclasses import replace

    from buildrules.locking.python import resolve

    on_top = replace(
        request, requirements=tuple(asked.items), constraints=tuple(asked.constraints), exclude=(), base=lock
    )
    try:
        resolve.make_lock(on_top, session)
    except ResolutionError:
        return False
    return True
