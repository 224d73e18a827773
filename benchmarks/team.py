"""What a shared cache of a large team has to hold and answer: a simulation, no measurement.

    python -m benchmarks team [--days 50] [--seed 1] [--models 10000] [--developers 500] ...

Every assumption of `benchmarks.company` is an option. Nothing is built, sent or timed: the same numbers give the same
figures everywhere. Compared are two rules for who writes (CI alone, or developers too), and two for what a hit moves
(the digests of layers, or the layers).
"""

import argparse
import gc
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

from benchmarks.company import GB, Assumptions, Build, Company, Step

RECORDS, CONTENT = 30, 45
"""Days after which records go, and then content that no record names: what `buildrules cache gc --remote` does."""


class Kept:
    """Things with sizes and the day they were written."""

    def __init__(self) -> None:
        self.written: dict[int, int] = {}
        self.sizes: dict[int, int] = {}

    def add(self, step: Step, day: int) -> bool:
        """Whether it is new."""
        new = step.key not in self.written
        self.written[step.key] = day
        self.sizes[step.key] = step.size
        return new

    def has(self, step: Step) -> bool:
        """Whether it is there."""
        return step.key in self.written

    def offer(self, step: Step, day: int) -> int:
        """Bytes that are sent: none where it is there."""
        return step.size if step.key not in self.written and self.add(step, day) else 0

    def expire(self, before: int, needed: Callable[[int], bool] = lambda _: False) -> None:
        """Forget what was written before a day and is not needed."""
        for key in [key for key, day in self.written.items() if day < before and not needed(key)]:
            del self.written[key], self.sizes[key]

    def size(self) -> int:
        """Bytes."""
        return sum(self.sizes.values())


class Laptop:
    """What a developer's machine knows, and the layers it would keep if hits fetched them, and those it has to have."""

    def __init__(self, room: int) -> None:
        self.known: set[int] = set()
        self.needed: set[int] = set()
        self._room, self._full = room, 0
        self._layers: OrderedDict[int, int] = OrderedDict()

    def fetch(self, step: Step) -> int:
        """Bytes that come from elsewhere if every hit is fetched; what was used longest ago has to go."""
        if step.key in self._layers:
            self._layers.move_to_end(step.key)
            return 0
        self.keep(step)
        return step.size

    def keep(self, step: Step) -> None:
        """A layer that was made here, or fetched."""
        self._layers[step.key] = step.size
        self._full += step.size
        while self._full > self._room:
            self._full -= self._layers.popitem(last=False)[1]


@dataclass
class Day:
    """Counts of one day."""

    asked: Counter[str] = field(default_factory=Counter)  # look-ups over the network, by who asks
    steps: Counter[str] = field(default_factory=Counter)  # steps that were not known on the machine itself
    hits: Counter[str] = field(default_factory=Counter)
    fetched: Counter[str] = field(default_factory=Counter)  # bytes, if every hit moves its layers
    started: int = 0  # bytes of layers for images that are started
    steps_written: int = 0
    content: int = 0  # bytes written into the cache: of layers without a recipe
    layers: int = 0  # bytes that would be written if it kept layers
    pushed: int = 0  # bytes of new layers of images that the main branch pushes
    seconds: Counter[int] = field(default_factory=Counter)  # look-ups in each second

    def count(self, who: str, second: int, *, asked: int, steps: int, hits: int, fetched: int) -> None:
        """Add a build's."""
        self.asked[who] += asked
        self.steps[who] += steps
        self.hits[who] += hits
        self.fetched[who] += fetched
        self.seconds[second] += asked


class Team:
    """A cache and everybody's machines. `all_write`: developers write as CI does."""

    def __init__(self, said: Assumptions, *, all_write: bool) -> None:
        self._said, self._all_write = said, all_write
        self._main, self._pulls = Kept(), Kept()
        self.content, self.layers, self.pushed = Kept(), Kept(), Kept()
        self._laptops = [Laptop(said.laptop) for _ in range(said.developers)]

    def run(self, builds: Sequence[Build], day: int) -> Day:
        """A day's builds, and the expiry at its end."""
        found = Day()
        for build in builds:
            if build.who is None:
                self._by_ci(build, day, found)
            else:
                self._by_developer(build, self._laptops[build.who], day, found)
        for records in (self._main, self._pulls):
            records.expire(day - RECORDS)
        for kept in (self.content, self.layers, self.pushed):
            kept.expire(day - CONTENT, lambda key: key in self._main.written or key in self._pulls.written)
        return found

    def _by_ci(self, build: Build, day: int, found: Day) -> None:
        """A runner that knows nothing. A pull request has records of its own, and reads the main branch's too."""
        own = self._main if build.merged else self._pulls
        asked = hits = moved = 0
        for step in build.steps:
            asked += 1
            hit = own.has(step)
            if not hit and own is not self._main:
                asked += 1
                hit = self._main.has(step)
            if hit:
                hits += 1
                moved += step.size
            else:
                self._write(own, step, day, found)
            if build.merged:
                found.pushed += self.pushed.offer(step, day)
        found.count("CI", build.second, asked=asked, steps=len(build.steps), hits=hits, fetched=moved)

    def _by_developer(self, build: Build, laptop: Laptop, day: int, found: Day) -> None:
        """A machine that keeps what it knows; of layers, in either case, only those that fit."""
        asked = hits = moved = 0
        for step in build.steps:
            if step.key in laptop.known:
                moved += laptop.fetch(step)
                continue
            laptop.known.add(step.key)
            asked += 1
            if self._main.has(step):
                hits += 1
                moved += laptop.fetch(step)
            else:
                laptop.keep(step)
                laptop.needed.add(step.key)
                if self._all_write:
                    self._write(self._main, step, day, found)
        if build.started:
            found.started += sum(step.size for step in build.steps if step.key not in laptop.needed)
            laptop.needed.update(step.key for step in build.steps)
        found.count("developers", build.second, asked=asked, steps=asked, hits=hits, fetched=moved)

    def _write(self, records: Kept, step: Step, day: int, found: Day) -> None:
        found.steps_written += records.add(step, day)
        if not step.recipe:
            found.content += self.content.offer(step, day)
        found.layers += self.layers.offer(step, day)

    @property
    def steps(self) -> int:
        """How many have records."""
        return len(self._main.written) + len(self._pulls.written)


def simulate(said: Assumptions, seed: int, days: int, *, all_write: Sequence[bool]) -> list[tuple[Team, list[Day]]]:
    """The same days for a team of each kind: the team as it is then, and each day's counts."""
    company = Company(said, seed)
    found: list[tuple[Team, list[Day]]] = [(Team(said, all_write=how), []) for how in all_write]
    for day in range(days):
        builds = company.day()
        for team, counts in found:
            counts.append(team.run(builds, day))
    return found


def _share(days: Sequence[Day], who: str) -> str:
    steps = sum(day.steps[who] for day in days)
    return f"{100 * sum(day.hits[who] for day in days) / steps:.0f} %" if steps else "-"


def rows(said: Assumptions, team: Team, days: Sequence[Day]) -> list[tuple[str, str]]:
    """(what, figure) of the last five days."""
    last = days[-5:]
    asked = sum(sum(day.asked.values()) for day in last) / len(last)
    peak = max(max(day.seconds.values()) for day in last)
    busiest = max(_busiest(day) for day in last)

    def mean(values: Sequence[int]) -> float:
        return sum(values) / len(last)

    kept = len(days)
    return [
        ("look-ups a day", f"{asked:,.0f}"),
        ("of them by CI", f"{sum(day.asked['CI'] for day in last) / len(last):,.0f}"),
        ("look-ups in the busiest hour, each second", f"{busiest / 3600:.1f}"),
        ("look-ups in the busiest second", f"{peak:,}"),
        ("steps of CI that were there", _share(last, "CI")),
        ("steps of developers that were there, of those new to their machine", _share(last, "developers")),
        ("records written a day", f"{2 * mean([day.steps_written for day in last]):,.0f}"),
        ("content written a day", _bytes(mean([day.content for day in last]))),
        ("records answered a day", _bytes(asked * said.record)),
        (f"records kept after {kept} days", f"{2 * team.steps:,}, {_bytes(2 * team.steps * said.record)}"),
        (f"content kept after {kept} days", f"{len(team.content.sizes):,}, {_bytes(team.content.size())}"),
        ("layers pushed a day by the main branch", _bytes(mean([day.pushed for day in last]))),
        (f"layers pushed and kept after {kept} days", f"{len(team.pushed.sizes):,}, {_bytes(team.pushed.size())}"),
        ("layers of images that developers start, a day", _bytes(mean([day.started for day in last]))),
        ("if every hit fetched its layers: CI, a day", _bytes(mean([day.fetched["CI"] for day in last]))),
        (
            "if every hit fetched its layers: laptops, a day",
            _bytes(mean([day.fetched["developers"] for day in last])),
        ),
        ("if the cache kept layers: written a day", _bytes(mean([day.layers for day in last]))),
        (f"if the cache kept layers: kept after {kept} days", _bytes(team.layers.size())),
    ]


def _busiest(day: Day) -> int:
    hours: Counter[int] = Counter()
    for second, count in day.seconds.items():
        hours[second // 3600] += count
    return max(hours.values())


def _bytes(value: float) -> str:
    return f"{value / 1000**4:,.1f} TB" if value >= 1000 * GB else f"{value / GB:,.1f} GB"


def main(arguments: Sequence[str] = ()) -> None:
    """Simulate and print. Arguments are those of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks team")
    parser.add_argument("--days", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    for one in fields(Assumptions):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    options = parser.parse_args(arguments)
    said = Assumptions(**{one.name: getattr(options, one.name) for one in fields(Assumptions)})
    print("assumed: " + ", ".join(f"{one.name} {getattr(said, one.name):,}" for one in fields(said)))
    gc.disable()  # millions of small things, and no circles
    teams = simulate(said, options.seed, options.days, all_write=(False, True))
    columns = [rows(said, team, days) for team, days in teams]
    print(f"\n## A team's cache, {options.days} days, seed {options.seed}; means of the last five\n")
    print("| what | only CI writes | developers write too |")
    print("|---|---|---|")
    for (what, first), (_, second) in zip(*columns, strict=True):
        print(f"| {what} | {first} | {second} |")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
