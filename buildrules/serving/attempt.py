"""One test of a package: start it, try what it is for, stop it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from buildrules.errors import Interrupted, PackageTestError
from buildrules.serving.expect import Failure
from buildrules.serving.room import Room
from buildrules.serving.runner import Package, Runner, Running

LOG_LINES = 30
"""How much of a package's log a failure carries."""


@dataclass(slots=True)
class Outcome:
    """How it went. Seconds: until it was ready, and in all. `flaky` says what was wrong where that was tried twice."""

    passed: int = 0
    ready_seconds: float = 0.0
    seconds: float = 0.0
    flaky: str = ""
    problems: list[Failure] = field(default_factory=list)


class Watch(Protocol):
    """Who is told about it."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Something began; it ends with `done` == `total`."""

    def at_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, Ctrl-C calls `stop`."""


class Attempt(Protocol):
    """What is tried with a started package."""

    @property
    def total(self) -> int:
        """How many things are to pass."""

    @property
    def stop_timeout(self) -> float:
        """Seconds the package gets to stop by itself."""

    def run(self, running: Running, watch: Watch, outcome: Outcome) -> None:
        """Try it, and note in `outcome` how it went. Raises ServingError and the like where it cannot be tried."""


_OF_TIME = {"never ready", "exited", "no answer", "did not stop", "did not end"}
"""What can go wrong with a sound package where it is kept waiting: by limits of ours, or of its own."""


def try_out(package: Package, attempt: Attempt, runner: Runner, watch: Watch, room: Room) -> Outcome:
    """Try a package as soon as there is room for it, and once more, alone, where a busy machine may be to blame.

    Raises PackageTestError with everything that was wrong; BusyError, UsageError, DockerError, ServingError and the
    like where it could not be tried at all.
    """
    outcome, busy = _try(package, attempt, runner, watch, room)
    if busy and outcome.problems and {item["kind"] for item in outcome.problems} <= _OF_TIME:
        first = _summary(package.title, attempt, outcome)
        outcome, _ = _try(package, attempt, runner, watch, room, alone=True)
        outcome.flaky = first
    if outcome.problems:
        raise PackageTestError(_summary(package.title, attempt, outcome), outcome.problems)
    return outcome


def _try(
    package: Package, attempt: Attempt, runner: Runner, watch: Watch, room: Room, *, alone: bool = False
) -> tuple[Outcome, bool]:
    """How it went, and whether this machine was busy meanwhile."""
    outcome = Outcome()
    breaker = _Breaker()
    with contextlib.ExitStack() as stack:
        with said(watch, f"waiting for room for {package.title}"):
            stack.enter_context(room.take(sum(layer.size for layer in package.image.layers), alone=alone))
        began = time.monotonic()
        stack.enter_context(watch.at_cancel(breaker.stop))
        with said(watch, f"starting {package.title} ({runner.name})"):
            running = breaker.start(stack, runner, package)
        running.grace = attempt.stop_timeout
        try:
            attempt.run(running, watch, outcome)
        except BaseException:
            running.grace = 0.0  # it serves nobody any more
            raise
    outcome.seconds = time.monotonic() - began
    return outcome, running.clock.read().busy


class _Breaker:
    """Ends a package at Ctrl-C, from another thread: also one that is only being started, as soon as it can be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._stopped = False

    def start(self, stack: contextlib.ExitStack, runner: Runner, package: Package) -> Running:
        """Start it, to be stopped when `stack` is left. Raises Interrupted where it is too late."""
        with self._lock:
            if self._stopped:
                raise Interrupted("interrupted")
            self._running = stack.enter_context(runner.start(package))
            return self._running

    def stop(self) -> None:
        """End it. Whoever starts it meanwhile is waited for: half a start would leave something behind."""
        self._stopped = True
        with self._lock:
            if self._running is not None:
                self._running.kill()


def with_log(failure: Failure, log: str | None) -> Failure:
    """The failure with the last lines of the package's log, if there are any."""
    return {**failure, "log": log} if log else failure


@contextlib.contextmanager
def said(watch: Watch, what: str) -> Iterator[None]:
    """Say that something begins and that it has ended."""
    watch.progress(what, 0, None)
    try:
        yield
    finally:
        watch.progress(what, 1, 1)


def _summary(title: str, attempt: Attempt, outcome: Outcome) -> str:
    kinds = list(dict.fromkeys(item["kind"] for item in outcome.problems))
    return f"{title} failed: {', '.join(kinds)} ({outcome.passed} of {attempt.total} passed)"
