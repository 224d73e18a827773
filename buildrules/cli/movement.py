"""What `lock --upgrade` and `lock --sync` say before they write: which packages move, from and to which versions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from buildrules.locking.keeper import moves
from buildrules.locking.locks import LockedEnvironment, Locks

_LABELS = 8
"""Labels in one line."""


def movement_lines(
    locks: Iterable[Locks], replaced: Mapping[str, tuple[Any, Any]], asked: Collection[str] = ()
) -> Iterator[str]:
    """A line for each version that moves, with the packages, and environments without one, that get it; and for each
    name that was `asked` for, where it stays. `replaced` are the locks made now, old and new, by path.
    """
    moved: dict[str, dict[str, set[str]]] = {}  # line, platform, labels
    stays: dict[str, dict[str, set[str]]] = {}
    platforms: set[str] = set()
    for label, platform, installed in (row for one in locks for row in _targets(one)):
        platforms.add(platform)
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for one in reversed(installed):  # the environment's count, in which the server's lock is not always there
            before |= _before(one, replaced)
            after |= {**(one.conda.lock.versions() if one.conda is not None else {}), **one.lock.versions()}
        for line in moves(before, after):
            moved.setdefault(line, {}).setdefault(platform, set()).add(label)
        for name in asked:
            if name in after and before.get(name) == after[name]:
                stays.setdefault(f"{name} stays {after[name]}", {}).setdefault(platform, set()).add(label)
    if not moved:
        yield "nothing moves"
    for line, where in (*sorted(moved.items()), *sorted(stays.items())):
        if len({frozenset(labels) for labels in where.values()}) == 1 and where.keys() == platforms:
            yield f"{line}: {_listed(next(iter(where.values())))}"
        else:
            yield from (f"{line}  {platform}: {_listed(where[platform])}" for platform in sorted(where))


def _targets(locks: Locks) -> Iterator[tuple[str, str, list[LockedEnvironment]]]:
    covered = set()
    for (label, platform), parts in locks.packages.items():
        if parts.env is not None:
            covered.add((parts.env.target.label, platform))
        yield str(label), platform, parts.installed
    for (label, platform), env in locks.environments.items():
        if (label, platform) not in covered:
            yield str(label), platform, [env]


def _before(env: LockedEnvironment, replaced: Mapping[str, tuple[Any, Any]]) -> Mapping[str, str]:
    """The versions that it had."""
    had: dict[str, str] = {}
    if env.conda is not None:
        conda, _ = replaced.get(env.conda.path, (env.conda.lock, None))
        had |= conda.versions() if conda is not None else {}
    old, new = replaced.get(env.path, (env.lock, env.lock))
    if old is None:
        return had
    part = old.part(env.lock.inputs) if new.members else old
    versions: Mapping[str, str] = (part or old).versions()
    return had | {name: versions[name] for name in versions if part is not None or env.lock.get(name)}


def _listed(labels: Collection[str]) -> str:
    shown = sorted(labels)
    rest = f" and {len(shown) - _LABELS} more" if len(shown) > _LABELS else ""
    return f"{len(shown)} package{'s' * (len(shown) != 1)}: " * bool(rest) + ", ".join(shown[:_LABELS]) + rest
