"""Locks an environment so that the servers that are going to stand on it fit.

An environment is resolved first and holds for every server, so it must not take, of what nobody asked for in a
certain version, one that a server refuses. Which servers there will be is known: the packages say. Versions are chosen
with them in view; the lock's digest knows nothing of it, and another server later changes no lock.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from buildrules.errors import BuildrulesError, ResolutionError
from buildrules.locking.python import resolve
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.lock import Lock
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirements import collect
from buildrules.net.session import Session
from buildrules.rules.package import PackageParts
from buildrules.workspace.labels import Label


class Need(NamedTuple):
    """What one server asks for: requirements, and limits on what these bring along."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


def server_needs(packages: Iterable[PackageParts]) -> dict[Label, list[Need]]:
    """What each server on an environment asks for, by the environment's label.

    A package without an environment counts for its model's own.
    """
    asked: dict[Label, list[Need]] = {}
    for parts in packages:
        foundation = parts.env or parts.model
        need = Need(tuple(parts.server_part.requirements), tuple(parts.server_part.constraints))
        if foundation is not None and need.requirements and need not in asked.setdefault(foundation.label, []):
            asked[foundation.label].append(need)
    return asked


def lock_for_servers(
    request: EnvironmentRequest,
    servers: Sequence[Need],
    session: Session,
    *,
    existing: Lock | None,
    upgrade: bool | Collection[str],
    portable: bool,
    warn: Callable[[str], None],
) -> Lock:
    """The lock for `request`; where a server of `servers` cannot stand on it, one on which it can, if there is one.

    Raises as `resolve.make_lock` does, for `request` alone: that a server does not fit is said when it is locked.
    """
    lock = resolve.make_lock(request, session, existing=existing, upgrade=upgrade, portable=portable, warn=warn)
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


def _parsed(request: EnvironmentRequest, need: Need, session: Session) -> Requirements | None:
    """A server's requirements; None where they cannot be read, which is said when the server is locked."""
    try:
        asked = need._asdict()
        return collect(request.root, request.folder, **asked, connections=session.connections, asker="the server")
    except BuildrulesError:
        return None


def _with(request: EnvironmentRequest, asked: Sequence[Requirements]) -> EnvironmentRequest:
    own = request.asked
    items = [*own.items, *(item for one in asked for item in one.items)]
    constraints = [*own.constraints, *(item for one in asked for item in one.constraints)]
    return replace(request, asked=replace(own, items=items, constraints=constraints))


def _fits(request: EnvironmentRequest, lock: Lock, asked: Requirements, session: Session) -> bool:
    on_top = replace(request.asked, items=asked.items, constraints=asked.constraints, exclude=[])
    try:
        resolve.make_lock(replace(request, asked=on_top, base=lock), session)
    except ResolutionError:
        return False
    return True
