"""How many workers an execution engine of a large team needs: a simulation, no measurement.

    python -m benchmarks workers [--workers 4 8 16 32 64] [--days 9] [--slots 32] [--models 10000] ...

The company is that of `benchmarks.company`, as in `team`; every assumption is an option and is printed. Its builds hand
wheel layers, bytecode and tests of packages to an engine, in the order they come, and all else stays where they
run. On the last day one of five bases gets other packages, and all models on it are tested again. The same numbers
give the same figures everywhere.
"""

import argparse
import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import count
from statistics import quantiles
from typing import NamedTuple

from benchmarks.company import GB, MB, Assumptions, Build, Company

Content = tuple[object, int]  # what it is, and its bytes
DAY = 86_400
REBASED = 10 * 3600  # when on the last day
KEPT = 7


@dataclass(frozen=True)
class Engine:
    """What is assumed of steps, engine and workers. Seconds of steps are those of the examples, on one processor."""

    overhead: float = 1.0  # seconds of a worker that a task costs besides
    slots: int = 32  # tasks that one command has under way
    shards: int = 4  # jobs of CI that the tests of a new base are spread over
    wheels: int = 80 * MB  # bytes a second of a wheel layer
    bytecode: float = 2.6  # seconds for a layer of wheels
    compiled: float = 0.07  # bytes of bytecode, of those of its layer
    test: float = 4.0  # seconds of a package test: each build by CI, and what developers start
    heaviest: int = 1 * GB  # that is sent for a test; with more it stays where it is
    link: int = 110 * MB  # bytes a second of a worker
    uplink: int = 1_100 * MB  # bytes a second of the storage, for all together
    machine: int = 4  # workers that share what they have fetched
    room: int = 400 * GB  # content that a machine keeps
    calls: int = 4  # of a task to the scheduler, those of its worker among them; and as many to the storage,
    # besides one for each content that is sent or fetched
    poll: float = 1.0  # seconds between the questions of a worker


class Task(NamedTuple):
    """A step that goes away: its run in seconds, what its worker reads and makes."""

    seconds: float
    reads: Sequence[Content]
    makes: Sequence[Content] = ()


class Job(NamedTuple):
    """What a command hands over: the tasks of a phase follow those of the one before it."""

    at: float
    phases: list[list[Task]]
    rebased: bool = False


class Storage:
    """The content of the engine, when it was last used, and what clients send, by day."""

    def __init__(self) -> None:
        self.there: dict[object, int] = {}
        self.used: dict[object, int] = {}
        self.sent: Counter[int] = Counter()
        self.calls: Counter[int] = Counter()
        self.stayed = 0  # tests

    def keep(self, content: Iterable[Content], day: int, *, sent: bool) -> None:
        """Have it; what was not there is counted, if it is `sent` by a client."""
        for what, size in content:
            if what not in self.there:
                self.there[what] = size
                self.sent[day] += size * sent
                self.calls[day] += 1
            self.used[what] = day


def jobs_of(company: Company, said: Engine, days: int, storage: Storage) -> Iterator[Job]:
    """What all builds of these days hand over. What is under way is taken for what is there."""
    main: set[object] = set()
    pulls: set[object] = set()
    own: list[set[object]] = [set() for _ in range(company.said.developers)]
    for day in range(days):
        for build in company.day():
            known = main if build.merged else pulls if build.who is None else own[build.who]
            if phases := [tasks for tasks in _phases(build, said, known, main, storage, day) if tasks]:
                yield Job(day * DAY + build.second, phases)
    shards: list[list[Task]] = [[] for _ in range(said.shards)]
    for number, build in enumerate(company.rebased(REBASED)):
        shards[number % said.shards] += list(_phases(build, said, main, main, storage, day))[-1]
    yield from (Job(day * DAY + REBASED, [tasks], True) for tasks in shards)


def _phases(
    build: Build, said: Engine, known: set[object], main: set[object], storage: Storage, day: int
) -> Iterator[list[Task]]:
    """Layers of wheels, their bytecode, the test: of each what nobody has made that this build believes."""
    base, *wheels, model, code, image = build.steps
    fresh = [step for step in wheels if step.key not in known and step.key not in main]
    tested = ("test", image.key)
    tests = (build.who is None or build.started) and tested not in known and tested not in main
    known.update(step.key for step in fresh)
    compiled = {step.key: (("bytecode", step.key), round(step.size * said.compiled)) for step in wheels}
    sources = [(("wheel", step.key), step.size) for step in fresh]
    storage.keep(sources, day, sent=True)
    layers = [(step.key, step.size) for step in fresh]
    yield [Task(source[1] / said.wheels, [source], [made]) for source, made in zip(sources, layers, strict=True)]
    yield [Task(said.bytecode, [source], [compiled[made[0]]]) for source, made in zip(sources, layers, strict=True)]
    storage.keep([*layers, *(compiled[step.key] for step in fresh)], day, sent=False)
    content = [(step.key, step.size) for step in (base, *wheels, model, code, image)] + list(compiled.values())
    lacking = sum(size for what, size in content if what not in storage.there)
    if tests and lacking <= said.heaviest:
        known.add(tested)
        storage.keep(content, day, sent=True)
        yield [Task(said.test, content)]
    storage.stayed += tests and lacking > said.heaviest


@dataclass
class Command:
    """A job under way."""

    job: Job
    phase: int = -1
    left: deque[Task] = field(default_factory=deque)
    open: int = 0


class Fleet:
    """Workers, which take tasks in order. `waits` has when each was handed over and the seconds until it was taken."""

    def __init__(self, said: Engine, workers: int) -> None:
        self._said = said
        self._idle = deque(range(workers))
        self._stores: list[OrderedDict[object, int]] = [OrderedDict() for _ in range(0, workers, said.machine)]
        self._full = [0] * len(self._stores)
        self._events: list[tuple[float, int, int, Command]] = []  # when, order, worker (-1: it begins), whose
        self._order = count()
        self._fetching: list[float] = []  # until when
        self.waits: list[tuple[float, float]] = []  # but for those of the new base
        self.fetched: Counter[int] = Counter()  # bytes by day
        self.calls: Counter[int] = Counter()
        self.tasks: Counter[int] = Counter()
        self.busy: Counter[int] = Counter()  # milliseconds by hour
        self.rebased = 0.0  # seconds until all on the new base was tested

    def run(self, jobs: Iterable[Job]) -> "Fleet":
        """All of it."""
        for job in jobs:
            self._later(job.at, -1, Command(job))
        queue: deque[tuple[float, Task, Command]] = deque()
        while self._events:
            now, _, worker, command = heapq.heappop(self._events)
            if worker >= 0:
                self._idle.append(worker)
                command.open -= 1
                if command.job.rebased:
                    self.rebased = now - command.job.at
            if not command.left and not command.open and command.phase + 1 < len(command.job.phases):
                command.phase += 1
                command.left.extend(command.job.phases[command.phase])
            while command.left and command.open < self._said.slots:
                command.open += 1
                queue.append((now, command.left.popleft(), command))
            while queue and self._idle:
                self._begin(now, *queue.popleft())
        return self

    def _later(self, when: float, worker: int, command: Command) -> None:
        heapq.heappush(self._events, (when, next(self._order), worker, command))

    def _begin(self, now: float, since: float, task: Task, command: Command) -> None:
        worker, day = self._idle.popleft(), int(now // DAY)
        self._fetching = [until for until in self._fetching if until > now]
        lacking = self._fetched(worker // self._said.machine, task)
        took = sum(lacking) / min(self._said.link, self._said.uplink / (1 + len(self._fetching)))
        self._fetching.append(now + took)
        seconds = self._said.overhead + took + task.seconds
        self.fetched[day] += sum(lacking)
        self.calls[day] += len(lacking)
        self.tasks[day] += 1
        self.busy[int(now // 3600)] += round(seconds * 1000)
        if not command.job.rebased:
            self.waits.append((since, now - since))
        self._later(now + seconds, worker, command)

    def _fetched(self, machine: int, task: Task) -> list[int]:
        """Bytes of what a machine lacks; it has it afterwards, and what it makes, and not what was used longest ago."""
        store, lacking = self._stores[machine], []
        for what, size in (*task.reads, *task.makes):
            if what in store:
                store.move_to_end(what)
                continue
            if (what, size) in task.reads:
                lacking.append(size)
            store[what] = size
            self._full[machine] += size
        while self._full[machine] > self._said.room:
            self._full[machine] -= store.popitem(last=False)[1]
        return lacking


def rows(said: Engine, fleet: Fleet, storage: Storage, workers: int, days: int) -> list[tuple[str, str]]:
    """(what, figure): of the day before the last, and of the new base on the last."""
    day, rebased = days - 2, (days - 1) * DAY + REBASED
    usual = [wait for since, wait in fleet.waits if since // DAY == day]
    beside = [wait for since, wait in fleet.waits if rebased <= since <= rebased + fleet.rebased]
    hours = [fleet.busy[hour] / 3_600_000 / workers for hour in range(24 * day, 24 * day + 24)]
    asked = said.calls * fleet.tasks[day] + DAY * workers / said.poll
    kept = sum(storage.there[what] for what, used in storage.used.items() if used > days - 1 - KEPT)
    return [
        ("tasks a day; seconds in all", f"{fleet.tasks[day]:,}; {sum(hours) * 3600 * workers:,.0f}"),
        ("busy in the day; in its busiest hour", f"{sum(hours) / 24:.0%}; {max(hours):.0%}"),
        ("a task waits: p50; p95; longest", _waits(usual)),
        ("a new base is tested in", f"{fleet.rebased / 60:,.0f} min"),
        ("what others ask for meanwhile waits", _waits(beside)),
        ("calls of the scheduler in a second", f"{asked / DAY:.1f}"),
        ("calls of the storage a day", f"{said.calls * fleet.tasks[day] + storage.calls[day] + fleet.calls[day]:,}"),
        ("sent to it a day", f"{storage.sent[day] / GB:,.0f} GB"),
        ("fetched by workers a day", f"{fleet.fetched[day] / GB:,.0f} GB"),
        ("fetched on the day of the new base", f"{fleet.fetched[day + 1] / GB:,.0f} GB"),
        (f"content used in {KEPT} days", f"{kept / GB:,.0f} GB"),
    ]


def _waits(waits: Sequence[float]) -> str:
    cuts = quantiles(waits, n=20) if len(waits) > 1 else [0.0] * 20
    return f"{cuts[9]:.1f} s; {cuts[18]:.1f} s; {max(waits, default=0):.0f} s"


def main(arguments: Sequence[str] = ()) -> None:
    """Simulate and print. Arguments are those of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks workers")
    parser.add_argument("--days", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    for one in (*fields(Assumptions), *fields(Engine)):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    given = vars(parser.parse_args(arguments))
    company = Assumptions(**{one.name: given[one.name] for one in fields(Assumptions)})
    said = Engine(**{one.name: given[one.name] for one in fields(Engine)})
    print("assumed: " + ", ".join(f"{one.name} {given[one.name]:,}" for one in (*fields(company), *fields(said))))
    days, storage = given["days"], Storage()
    jobs = list(jobs_of(Company(company, given["seed"]), said, days, storage))
    columns = [rows(said, Fleet(said, some).run(jobs), storage, some, days) for some in given["workers"]]
    print(
        f"\n## Workers, {days} days, seed {given['seed']}; {storage.stayed:,} tests stay, their content is too large\n"
    )
    print("| | " + " | ".join(f"{some} workers" for some in given["workers"]) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for cells in zip(*columns, strict=True):
        print(f"| {cells[0][0]} | " + " | ".join(figure for _, figure in cells) + " |")
