"""What `buildrules why --not-cached` says: which steps the shared cache lacks, and how they differ from what it has."""

import re
from collections.abc import Iterable, Iterator

from buildrules.cli.sharing import Sharing
from buildrules.cli.why_other import first_of, names_of
from buildrules.engine.action import Action
from buildrules.engine.borrowed import Nearest
from buildrules.engine.build import Build
from buildrules.engine.changes import INPUT, differences
from buildrules.typed import NamedTuple

_VERSIONS = re.compile(r"(?P<name>\S+) (?P<theirs>\d\S*) -> (?P<mine>\d\S*)")
_LOCKED = ("conda_layer", "wheel_layer", "installed")


class Compared(NamedTuple):
    """One step: whether the cache has it; where not, what it has that is nearest, and what differs (theirs, mine)."""

    action: Action
    cached: bool = False
    shared: bool = True  # False where it depends on programs of this host, and is nobody else's
    waits: bool = False  # what it needs was not built here, and is not in the cache: its key is not known
    nearest: Nearest | None = None
    differs: tuple[str, ...] = ()


def not_cached_lines(build: Build, others: Sharing, *, verbose: bool) -> Iterator[str]:
    """Lines for people: what differs in locks first, then step by step. Raises what reading sources raises."""
    rows = list(_compared(build, others))
    for writer, names in _locks(rows).items():
        whose = f"{writer}'s" if writer else "that of the nearest record"
        yield f"your requirements lock differs from {whose}: {', '.join(names)}"
    for row in rows:
        yield from _lines(row, verbose=verbose)
    cached = sum(row.cached for row in rows)
    yield f"  {cached} of {len(rows)} steps are in the cache"


def _locks(rows: Iterable[Compared]) -> dict[str, list[str]]:
    """By writer of the nearest record, what is of another version: "numpy 2.3.1 / 2.3.2", theirs and mine."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.nearest is not None and row.action.kind in _LOCKED:
            for match in filter(None, map(_VERSIONS.fullmatch, row.differs)):
                text = f"{match['name']} {match['theirs']} / {match['mine']}"
                if text not in said.setdefault(row.nearest.writer, []):
                    said[row.nearest.writer].append(text)
    return said


def _lines(row: Compared, *, verbose: bool) -> Iterator[str]:
    title = row.action.title
    if row.cached or row.waits:
        if verbose:
            yield f"  {title}: {'in the cache' if row.cached else 'depends on what is not in the cache'}"
    elif not row.shared:
        yield f"  {title}: made with programs of this machine, and shared with nobody"
    elif row.nearest is None:
        yield f"  {title}: not in the cache, and nothing like it is"
    elif not row.differs:
        yield f"  {title}: its record was in the cache, and is gone or cannot be used"
    else:
        by = f", made by {row.nearest.writer}," if row.nearest.writer else ""
        yield f"  {title}: not in the cache; the nearest record{by} differs (there -> here)"
        rows = row.differs if verbose else sorted(row.differs, key=lambda line: line.startswith(INPUT))
        yield from first_of(rows, verbose=verbose)


def _compared(build: Build, others: Sharing) -> Iterator[Compared]:
    """Each step that the goals of a build need, dependencies first; none is run."""
    for name in build.plan.needed():
        action = build.plan.actions[name]
        if any(dep not in build.outcomes for dep in action.deps):
            yield Compared(action, waits=True)
            continue
        look = build.look(action)
        outcome = build.outcomes.get(name) or build.found(action, look)
        if outcome is not None:
            build.outcomes[name] = outcome
        if not build.kinds.named(action.kind).traits.shareable:
            yield Compared(action, shared=False)
            continue
        if others.get(look.key) is not None:
            yield Compared(action, cached=True)
            continue
        nearest = others.nearest(action.target, action.title)
        lines: list[str] = []
        if nearest is not None:
            names = names_of(build.kinds, build.plan, action)
            lines = differences(action, dict(nearest.sees), look.listing.sees, names)
        yield Compared(action, nearest=nearest, differs=tuple(lines))
