"""What `buildrules why --not-cached` says."""

import re
from collections.abc import Iterable, Iterator

from buildrules.engine.changes import INPUT
from buildrules.engine.comparison import Compared

_LINES = 5
_VERSIONS = re.compile(r"(?P<name>\S+) (?P<theirs>\d\S*) -> (?P<mine>\d\S*)")
_LOCKED = ("conda_layer", "wheel_layer", "installed")


def not_cached_lines(found: Iterable[Compared], *, verbose: bool) -> Iterator[str]:
    """Lines for people: what differs in locks first, then step by step."""
    rows = list(found)
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
        lines = row.differs if verbose else sorted(row.differs, key=lambda line: line.startswith(INPUT))[:_LINES]
        yield from (f"      {line}" for line in lines)
        if len(row.differs) > len(lines):
            yield f"      and {len(row.differs) - len(lines)} more (--verbose shows all)"
