"""What an execution engine gives: the same digests, through faults too, and what a step costs besides its run.

    python -m benchmarks executors [--engines casd buildgrid dask] [--rows digests overhead ...]
        [--packages 100] [--kills 50] [--tests 200] [--clients 200]

Servers are real ones on this machine: buildbox-casd, BuildGrid with two workers, a Dask cluster with TLS. `digests`
with the examples fetches 360 MB for each engine; `kills`, `tests` and `clients` take minutes at the goals' numbers.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.common import EXAMPLES, table, verdict
from benchmarks.engines import ENGINES, Client, Digests, Running
from benchmarks.workspace import generate, name_of
from buildrules.actions.registry import Kinds
from buildrules.cli.away import opened
from buildrules.engine.action import Outputs
from buildrules.engine.build import Build
from buildrules.engine.events import Placed, Stream
from buildrules.engine.executor import Executor, LocalExecutor
from buildrules.engine.step import Step
from buildrules.executors.answer import LARGEST
from buildrules.executors.away import Away
from buildrules.net.session import Session
from buildrules.prepared import prepare
from buildrules.store.store import Store
from buildrules.workspace.globs import expand
from tests.support.dockerlab import static_busybox
from tests.support.space import make_base

ROWS = ("digests", "overhead", "restart", "kills", "clients", "tests")
OVERHEAD = {"casd": 0.25, "BuildGrid": 1.0, "Dask": 0.1}
SLEEP = 2.0  # seconds of a package test
TESTERS = 4  # workers
SLEEPERS = """\
workspace:
  name: sleepers
  platforms: [linux/amd64]
targets:
  base: {rule: oci_base, layout: busybox}
  server:
    rule: custom_server
    entrypoint: [/bin/busybox, sh, /app/start.sh]
    ports: [8080]
    routes: {liveness: 8080/ok, readiness: 8080/ok, scoring: 8080/ok}
"""
SLEEPER = """\
targets:
  code: {{rule: scoring_code, srcs: ["src/**"]}}
  {name}: {{rule: model_package, base_env: //:base, server: //:server, code: ":code"}}
  test: {{rule: package_test, package: ":{name}", requests: [{{route: liveness, expect: {{contains: [ok]}}}}]}}
"""
LISTEN = "/bin/busybox httpd -p 8080 -h /app\nwhile :; do /bin/busybox sleep 0.05; done\n"
Row = tuple[str, str, str]


class Bench:
    """Workspaces, and clients of `engine`; `tools` is a store that has the interpreters that steps bring along."""

    def __init__(self, folder: Path, engine: Running, tools: Path | None) -> None:
        self.folder, self.engine, self.tools = folder, engine, tools
        self._count = 0

    def client(self, workspace: Path, *, here: bool = False, **settings: object) -> Client:
        """A client for which no engine has answers yet."""
        self._count += 1
        name = f"run{self._count}-{random.randrange(1 << 30):x}"
        engine = None if here else self.engine
        return Client(self.folder / name, workspace, engine, self.tools, namespace=name, **settings)

    def generated(self, packages: int) -> Path:
        """A workspace of so many packages."""
        workspace = self.folder.parent / f"packages{packages}"
        if not workspace.exists():
            generate(workspace, packages)
        return workspace


class Serial(Away):
    """Hands over one step at a time: `overheads` are seconds that each took besides its run."""

    def __init__(self, client: Client, engine: Running, store: Store, session: Session) -> None:
        remote = [engine.variables["BUILDRULES_CACHE"]] if "BUILDRULES_CACHE" in engine.variables else []
        cache = {"remote": remote, "namespace": client.env["BUILDRULES_CACHE_NAMESPACE"]}
        settings = {**engine.settings, "shortest": 0}
        found = opened(str(engine.settings["url"]), settings, cache, str(client.root), session, Stream())
        super().__init__(*found, settings, store, session)
        self.overheads: list[float] = []
        self._turn = threading.Lock()

    def executor(self, here: LocalExecutor, waiting: Callable[[], AbstractContextManager[None]]) -> Executor:
        """See `engine.build.Elsewhere`."""
        return _InTurn(super().executor(here, waiting), self, self._turn)


class _InTurn:
    def __init__(self, executor: Executor, away: Serial, turn: threading.Lock) -> None:
        self._executor, self._away, self._turn = executor, away, turn

    def run(self, step: Step) -> Outputs:
        with self._turn:
            began = time.perf_counter()
            outputs = self._executor.run(step)
            took = time.perf_counter() - began
            placed = self._away.placement.placed() or Placed()
            self._away.placement.note(placed)
            if placed.seconds is not None and not placed.cached:
                self._away.overheads.append(took - placed.seconds)
            return outputs


def digests(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """All targets of both workspaces, here and there."""
    found = []
    workspaces = [("the examples", EXAMPLES)] if said.examples else []
    for name, workspace in (*workspaces, (f"{said.packages} packages", bench.generated(said.packages))):
        here, there = bench.client(workspace, here=True), bench.client(workspace)
        same = here.build() == there.build()
        found.append((f"{name}: digests", f"{len(there.away())} steps there", f"the same: {verdict(same)}"))
    return found


def overhead(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """One step at a time; the first one, which opens connections and sends an interpreter, does not count."""
    client = bench.client(bench.generated(said.steps))
    session, stream, store = Session(), Stream(), Store(str(client.store))
    kinds = session.own(Kinds)
    plan = prepare(str(client.root), "", ["//..."], {}, store, stream, session).plan()
    away = Serial(client, bench.engine, store, session)
    common = {"session": session, "kinds": kinds, "expand": expand, "stream": stream}
    build = Build(plan, store, str(client.root), **common, elsewhere=away)  # type: ignore[arg-type]
    build.run()
    away.close()
    store.close()
    if build.errors:
        raise build.errors[0]
    goal, times = OVERHEAD[bench.engine.name], sorted(away.overheads[1:])
    median = statistics.median(times)
    spread = f"{times[0] * 1000:.0f} to {times[-1] * 1000:.0f}"
    told = f"{median * 1000:.0f} ms, of {len(times)} steps; {spread}"
    return [("a step, besides its run", told, f"{goal * 1000:.0f} ms: {verdict(median <= goal)}")]


def restart(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """The scheduler is killed as soon as one step of a build was run there."""
    expected, _, workspace = _undisturbed(bench, said.steps)
    client = bench.client(workspace)
    events = client.profile.with_name("events")
    process = client.start("build", "//...", "--json", "--events", str(events))
    while process.poll() is None and not (events.exists() and '"sent"' in events.read_text()):
        time.sleep(0.02)
    running = process.poll() is None
    bench.engine.kill()
    bench.engine.start()
    good = _ended(client, process, expected)
    told = "the same digests" if good else "it failed"
    return [("scheduler killed and restarted", told + ("" if running else ", it had ended"), verdict(good and running))]


def kills(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """One worker of two is killed at random, in one build after the other."""
    if not bench.engine.workers:
        return []
    expected, usual, workspace = _undisturbed(bench, said.steps)
    draw, right, early, longest = random.Random(said.seed), 0, 0, 0.0
    for _ in range(said.kills):
        client, worker = bench.client(workspace), draw.randrange(bench.engine.workers) + 1
        began = time.perf_counter()
        process = client.start("build", "//...", "--json")
        time.sleep(draw.uniform(0.1, 0.9) * usual)
        early += process.poll() is not None
        bench.engine.kill_worker(worker)
        time.sleep(0.5)
        bench.engine.start_worker(worker)
        right += _ended(client, process, expected)
        longest = max(longest, time.perf_counter() - began)
    told = (
        f"{right} of {said.kills} right, {early} had ended before; {usual:.1f} s undisturbed, at most {longest:.1f} s"
    )
    return [(f"one of {bench.engine.workers} workers killed", told, f"all: {verdict(right == said.kills)}")]


def _undisturbed(bench: Bench, packages: int) -> tuple[Digests, float, Path]:
    workspace = bench.generated(packages)
    bench.client(workspace).build()  # sends interpreters
    client = bench.client(workspace)
    began = time.perf_counter()
    found = client.build()
    return found, time.perf_counter() - began, workspace


def _ended(client: Client, process: "object", expected: Digests) -> bool:
    try:
        return client.made(process) == expected  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - it is counted
        print(f"{error}\n{getattr(error, 'stderr', '')}")
        return False


def clients(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """Two clients of the same steps; what ran once has one worker and one time."""
    workspace = bench.generated(said.clients)
    bench.client(workspace).build()
    first = bench.client(workspace)
    folder = first.root.parent.with_name("second")
    second = Client(folder, workspace, bench.engine, bench.tools, namespace=first.env["BUILDRULES_CACHE_NAMESPACE"])
    began = [first.start("build", "//...", "--json", "--profile", str(first.profile))]
    time.sleep(0.2)
    began.append(second.start("build", "//...", "--json", "--profile", str(second.profile)))
    made = [client.made(process) for client, process in zip((first, second), began, strict=True)]
    steps = [row for client in (first, second) for row in client.away()]
    runs = {(row["name"], row["args"]["placed"].get("worker"), row["args"]["placed"]["seconds"]) for row in steps}
    different = max(len(first.away()), len(second.away()))
    same = made[0] == made[1]
    once = "each once" if bench.engine.workers else "equal digests; it shares nothing"
    good = same and bool(steps) and (len(runs) == different or not bench.engine.workers)
    told = f"{len(steps)} asked for, {different} different, {len(runs)} runs; digests {'equal' if same else 'DIFFER'}"
    return [(f"two clients, the same {said.clients} packages, 0.2 s apart", told, f"{once}: {verdict(good)}")]


def tests(bench: Bench, said: argparse.Namespace) -> list[Row]:
    """Package tests that sleep, on four workers; the packages are built before."""
    if bench.engine.workers != TESTERS:
        return []
    workspace = _sleepers(bench, said.tests)
    client = bench.client(workspace, runners=["rootfs"])
    client.build()
    began, passed = time.perf_counter(), bench.engine.passed()
    process = client.start("test", "//...")
    out, _ = process.communicate()
    took, ideal = time.perf_counter() - began, said.tests * SLEEP / TESTERS
    if process.returncode:
        print(out[-5000:])
    told = f"{took:.1f} s, {took / ideal:.2f} x ideal; {out.strip().rpartition(chr(10))[2]}"
    good = not process.returncode and took <= 1.3 * ideal
    passed = bench.engine.passed() - passed
    through = f"{passed / 1000:,.0f} kB of {bench.engine.content() / 1000:,.0f} kB"
    less = passed <= 2 * LARGEST * said.tests
    return [
        (f"{said.tests} package tests of {SLEEP:.0f} s on {TESTERS} workers", told, f"1.3 x: {verdict(good)}"),
        ("passed the scheduler meanwhile, of the content there", through, f"tasks and answers: {verdict(less)}"),
    ]


def _sleepers(bench: Bench, count: int) -> Path:
    """Packages of a web server that sleeps before it listens."""
    workspace = bench.folder / "sleepers"
    workspace.mkdir()
    busybox = static_busybox(workspace.parent)
    make_base(workspace / "busybox", "", files={"bin/busybox": busybox, "bin/sh": busybox}, mode=0o755)
    (workspace / "BUILD.yaml").write_text(SLEEPERS)
    for number in range(count):
        package = workspace / name_of(number)
        (package / "src").mkdir(parents=True)
        (package / "BUILD.yaml").write_text(SLEEPER.format(name=name_of(number)))
        (package / "src" / "start.sh").write_text(
            f"trap 'exit 0' TERM  # {number}\n/bin/busybox sleep {SLEEP}\n{LISTEN}"
        )
        (package / "src" / "ok").write_text("ok\n")
    return workspace


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print. Arguments are those of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks executors")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["digests", "overhead", "restart", "kills"])
    parser.add_argument("--examples", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--packages", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20, help="packages of rows that are about faults and overhead")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args(arguments)
    measures = {"digests": digests, "overhead": overhead, "restart": restart, "kills": kills, "clients": clients}
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as name:
        tools: Path | None = None
        for engine in said.engines:
            for workers, rows in ((2, [row for row in said.rows if row != "tests"]), (TESTERS, ["tests"])):
                if not set(rows) & set(said.rows):
                    continue
                folder = Path(name, f"{engine}{workers}")
                folder.mkdir()
                with ENGINES[engine](folder / "server", workers) as running:
                    bench = Bench(folder, running, tools)
                    found = [row for one in rows for row in ({**measures, "tests": tests}[one])(bench, said)]
                if found:
                    table(running.name, found)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
