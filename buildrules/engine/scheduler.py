"""Runs the nodes of a graph in parallel, longest remaining path first. Knows neither disk nor terminal."""

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

AWAY = 8
GRACE = 2.0  # seconds that work in other threads has to end after an interruption


class Scheduler:
    """`work(node, worker)` is called once per node, after all it depends on returned True.

    It returns False where the node failed: everything above it is then handed to `skip` instead,
    and without `keep_going` no further node is begun. The calling thread is worker 0. Threads that share one
    interpreter slow short work down: so one node is worked on at a time, but for those that called `more` because they
    take a while. `jobs` are at work at once, and up to `away` besides them that wait for servers. `interrupted` is
    called when the calling thread is (Ctrl-C), before the rest is waited for.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        deps: Mapping[str, Sequence[str]],
        weights: Mapping[str, float],
        *,
        work: Callable[[str, int], bool],
        skip: Callable[[str], None],
        jobs: int,
        away: int = AWAY,
        keep_going: bool = False,
        interrupted: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._interrupted = interrupted
        self._skip = skip
        self._jobs = max(1, jobs)
        self._most_away = away
        self._keep_going = keep_going
        self._waiting = {node: len(set(deps[node])) for node in nodes}
        self._above: dict[str, list[str]] = {node: [] for node in nodes}
        for node in nodes:
            for dep in set(deps[node]):
                self._above[dep].append(node)
        self._path = _longest_paths(nodes, self._above, weights)
        self._ready: list[tuple[float, int, str]] = []
        self._order = {node: number for number, node in enumerate(nodes)}
        self._skipped: set[str] = set()
        self._condition = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._idle = 0
        self._away = 0  # nodes that wait for servers now
        self._short: int | None = None  # the worker whose node has not called `more`
        self._stopped = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Run until everything is done, or until a failure without `keep_going`.

        Raises what `work` raised, after the workers have come to rest. KeyboardInterrupt does not wait longer than
        `GRACE` for them: one may hang in a transfer, and the threads do not keep the process alive.
        """
        with self._condition:
            for node, count in self._waiting.items():
                if count == 0:
                    self._push(node)
        try:
            self._worker(0)
        except BaseException:
            self.stop()
            self._interrupted()  # what runs elsewhere can look at it and end early
            deadline = time.monotonic() + GRACE
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Begin no further node."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def _push(self, node: str) -> None:
        heapq.heappush(self._ready, (-self._path[node], self._order[node], node))

    def _worker(self, number: int) -> None:
        with self._condition:
            node = self._next()
        while node is not None:
            done = False
            try:
                done = self._work(node, number)
            except BaseException:
                with self._condition:
                    self._finish(node, done)
                    self._condition.notify_all()
                raise
            with self._condition:
                self._finish(node, done)
                node = self._next()  # before another thread is woken: short nodes do not change hands

    def _next(self) -> str | None:
        """The next node for this thread, None where there is none and will be none."""
        self._idle += 1
        while self._running and not self._stopped and self._must_wait():
            self._condition.wait()
        self._idle -= 1
        if self._stopped or not self._ready:
            self._condition.notify_all()
            return None
        self._running += 1
        self._short = threading.get_ident()
        return heapq.heappop(self._ready)[2]

    def _must_wait(self) -> bool:
        return self._short is not None or not self._ready or self._running >= self._allowed()

    def _allowed(self) -> int:
        return self._jobs + min(self._away, self._most_away)

    @contextlib.contextmanager
    def waiting_for_servers(self) -> Iterator[None]:
        """While inside, the work of this thread is done by others, such as servers."""
        with self._condition:
            self._away += 1
            self._let_others()
        try:
            yield
        finally:
            with self._condition:
                self._away -= 1

    def more(self) -> None:
        """Let another worker go on meanwhile. Called by `work`, in its thread."""
        with self._condition:
            if self._short == threading.get_ident():
                self._let_others()

    def _let_others(self) -> None:
        if self._short == threading.get_ident():
            self._short = None
        if self._idle:
            self._condition.notify_all()
        elif self._ready and not self._stopped and len(self._threads) + 1 < self._allowed():
            self._start_thread()

    def _start_thread(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._guarded, args=(number,), name=f"worker-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, number: int) -> None:
        try:
            self._worker(number)
        except BaseException as error:  # noqa: BLE001 - raised again by run, in the calling thread
            with self._condition:
                self._failure = self._failure or error
                self._stopped = True
                self._condition.notify_all()

    def _finish(self, node: str, done: bool) -> None:
        self._running -= 1
        if self._short == threading.get_ident():
            self._short = None
        if not done:
            self._stopped = self._stopped or not self._keep_going
            self._skip_above(node)
            return
        for above in self._above[node]:
            self._waiting[above] -= 1
            if self._waiting[above] == 0 and above not in self._skipped:
                self._push(above)

    def _skip_above(self, node: str) -> None:
        stack = list(self._above[node])
        while stack:
            above = stack.pop()
            if above not in self._skipped:
                self._skipped.add(above)
                self._skip(above)
                stack.extend(self._above[above])


def _longest_paths(
    nodes: Sequence[str], above: Mapping[str, Sequence[str]], weights: Mapping[str, float]
) -> dict[str, float]:
    """For each node, the summed weights of the heaviest path from it to a goal. `nodes` has dependencies first."""
    path: dict[str, float] = {}
    for node in reversed(nodes):
        path[node] = weights[node] + max((path[item] for item in above[node]), default=0.0)
    return path
