"""Where steps were run, in a build that has other machines: words, rows, and the table of --explain-executor."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from buildrules.cli.harmless import in_line
from buildrules.cli.report import size_text
from buildrules.engine.build import Build

if TYPE_CHECKING:
    from buildrules.executors.away import Away

_COLUMNS = ("kind", "steps", "where", "expected", "took", "waited", "moved", "why here")


def placed_words(row: Mapping[str, Any]) -> str:
    """What `Placed.row` says: "on worker-1, which took 1.3 s, after 0.2 s of waiting; 3.1 MB there, 12 kB back"."""
    if "stayed" in row:
        return f"here: {row['stayed']}"
    words = f"on {in_line(str(row.get('worker') or 'another machine'))}"
    if row.get("cached"):
        words += ", which had made it before"
    elif row.get("seconds") is not None:
        words += f", which took {row['seconds']:.2f} s"
    if row.get("queued"):
        words += f", after {row['queued']:.2f} s of waiting"
    moved = [f"{size_text(row[name])} {way}" for name, way in (("sent", "there"), ("fetched", "back")) if row.get(name)]
    return "; ".join([words, *([", ".join(moved)] if moved else [])])


def explained(away: "Away | None", build: Build) -> tuple[dict[str, Any], str]:
    """What --explain-executor says, as a program and as people want it. The first is empty where all is run here."""
    if away is None:
        return {}, "no executor: every step is run here; --executor, or workspace.executor, names one\n"
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, outcome in build.outcomes.items():
        placed = outcome.placed
        if placed is None:
            continue
        kind = build.plan.actions[name].kind
        empty: dict[str, Any] = {
            "kind": kind,
            "where": "here" if placed.stayed else "there",
            "why": placed.stayed,
            "workers": [],
        }
        numbers = dict.fromkeys(("steps", "cached", "expected", "seconds", "waited", "sent", "fetched"), 0)
        row = rows.setdefault((kind, placed.stayed), {**empty, **numbers})
        seconds = outcome.seconds if placed.stayed else placed.seconds or 0.0
        added = (1, placed.cached, placed.expected, seconds, placed.queued, placed.sent, placed.fetched)
        for column, value in zip(numbers, added, strict=True):
            row[column] = None if value is None or row[column] is None else row[column] + value
        if placed.worker and placed.worker not in row["workers"]:
            row["workers"].append(placed.worker)
    for row in rows.values():
        row.update({name: row[name] and round(row[name], 4) for name in ("expected", "seconds", "waited")})
    away.remember()
    trip = {"address": away.engine.name, "shortest": away.placement.shortest, "round_trip": away.trips.median()}
    found = {**trip, "steps": sorted(rows.values(), key=lambda row: (row["where"] == "here", -row["seconds"]))}
    return found, "".join(f"{line}\n" for line in _lines(found)) if rows else ""


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    trip = found["round_trip"]
    measured = "nothing was measured there yet" if trip is None else f"a round trip takes {trip:.3f} s, as measured"
    yield f"steps of at least {found['shortest']:.3f} s go to {found['address']}; {measured}"
    table = [_COLUMNS, *map(_cells, found["steps"])]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = (0, 2, 7)  # columns of words
    for cells in table:
        columns = enumerate(zip(cells, widths, strict=True))
        yield "  " + "  ".join(f"{cell:<{w}}" if at in left else f"{cell:>{w}}" for at, (cell, w) in columns).rstrip()


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    workers = row["workers"]
    where = f"{len(workers)} workers" if len(workers) > 1 else in_line("".join(workers)) or row["where"]
    moved = size_text(row["sent"] + row["fetched"]) if row["where"] == "there" else ""
    times = ["?" if row[name] is None else f"{row[name]:.2f} s" for name in ("expected", "seconds", "waited")]
    steps = f"{row['steps']}" + (f" ({row['cached']} made before)" if row["cached"] else "")
    return (row["kind"], steps, where, *times[: 2 if row["why"] else 3], *[""] * bool(row["why"]), moved, row["why"])
