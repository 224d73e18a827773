"""One test of a package: start it, wait until it is ready, ask, compare, stop."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from buildrules.errors import ExitedError, Interrupted, NotReadyError, PackageTestError, ServingError
from buildrules.serving.expect import Failure, failures
from buildrules.serving.probe import wait_ready
from buildrules.serving.request import ask
from buildrules.serving.route import Route
from buildrules.serving.runner import Package, Runner, Running, State, Stopped

_REQUEST_SECONDS = 120.0
_LOG_LINES = 30
_DYING_SECONDS = 1.0
STOPPED = (0, 130, 143)
"""What a server exits with that was asked to stop and did: 0, or 128 and the number of SIGINT or SIGTERM."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what must come back (see `serving.expect`). `name` is what reports call it."""

    name: str
    method: str
    route: Route
    headers: Mapping[str, str]
    body: bytes | None
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a test asks for. Times in seconds; without `exit_codes` nobody looks how the package stops."""

    exchanges: Sequence[Exchange]
    ready: Route | None = None
    port: int | None = None  # what keeps connections once it is ready, where there is no route for that
    ready_timeout: float = 60.0
    stop_timeout: float = 10.0
    exit_codes: Sequence[int] | None = STOPPED


@dataclass(slots=True)
class Outcome:
    """How it went. Seconds: until it was ready, and in all."""

    passed: int = 0
    ready_seconds: float = 0.0
    seconds: float = 0.0
    problems: list[Failure] = field(default_factory=list)


class Watch(Protocol):
    """Who is told about it."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Something began; it ends with `done` == `total`."""

    def at_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, Ctrl-C calls `stop`."""


def try_out(package: Package, trial: Trial, runner: Runner, watch: Watch) -> Outcome:
    """Try a package. Raises PackageTestError with everything that was wrong; UsageError, DockerError, ServingError and
    the like where it could not be tried at all.
    """
    began = time.monotonic()
    outcome = Outcome()
    breaker = _Breaker()
    with contextlib.ExitStack() as stack:
        stack.enter_context(watch.at_cancel(breaker.stop))
        with _said(watch, f"starting {package.title} ({runner.name})"):
            running = breaker.start(stack, runner, package)
        running.grace = trial.stop_timeout
        try:
            _try(running, trial, watch, outcome)
        except BaseException:
            running.grace = 0.0  # it serves nobody any more
            raise
    outcome.seconds = time.monotonic() - began
    if outcome.problems:
        raise PackageTestError(_summary(package.title, trial, outcome), outcome.problems)
    return outcome


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


def _try(running: Running, trial: Trial, watch: Watch, outcome: Outcome) -> None:
    try:
        with _said(watch, f"waiting for {running.title}"):
            ready = wait_ready(running, trial.ready, port=trial.port, timeout=trial.ready_timeout)
        outcome.ready_seconds = ready.seconds
        for exchange in trial.exchanges:
            with _said(watch, f"asking {running.title}: {exchange.name}"):
                found = [{"request": exchange.name, **item} for item in _ask(running, exchange)]
            outcome.problems += found
            outcome.passed += not found
            state = _state(running, patience=_DYING_SECONDS if any(i["kind"] == "no answer" for i in found) else 0.0)
            if not state.running:
                reason = "ran out of memory" if state.out_of_memory else f"exited with code {state.exit_code}"
                raise ExitedError(
                    f"{running.title!r} {reason} after the request '{exchange.name}'", log=running.log(_LOG_LINES)
                )
    except (ExitedError, NotReadyError) as error:
        kind = "exited" if isinstance(error, ExitedError) else "never ready"
        outcome.problems.append(_with_log({"kind": kind, "message": error.message}, error.log))
        running.grace = 0.0
        return
    with _said(watch, f"stopping {running.title}"):
        log = running.log(_LOG_LINES)
        stopped = running.stop()
    if trial.exit_codes is not None:
        outcome.problems += _stop_problem(stopped, trial, log)


def _state(running: Running, patience: float) -> State:
    """Where it stands. One that is about to end closes its connections first: it gets `patience` seconds."""
    deadline = time.monotonic() + patience
    while (state := running.state()).running and time.monotonic() < deadline:
        time.sleep(0.05)
    return state


def _ask(running: Running, exchange: Exchange) -> Iterator[Failure]:
    try:
        answer = ask(
            running,
            exchange.route,
            method=exchange.method,
            body=exchange.body,
            headers=exchange.headers,
            timeout=_REQUEST_SECONDS,
        )
    except ServingError as error:
        yield _with_log({"kind": "no answer", "message": error.message}, error.log)
        return
    found = list(failures(exchange.expect, answer))
    if found and answer.status >= 500:
        found[0] = _with_log(found[0], running.log(_LOG_LINES))
    yield from found


def _stop_problem(stopped: Stopped | None, trial: Trial, log: str) -> Iterator[Failure]:
    if stopped is None:
        return
    if stopped.killed:
        message = (
            f"still ran {trial.stop_timeout:g} s after its stop signal and was killed; process 1 of a container gets "
            "only the signals it has handlers for: handle SIGTERM, or set stop_signal in the rule of its server"
        )
        yield _with_log({"kind": "did not stop", "message": message}, log)
    elif stopped.exit_code is not None and trial.exit_codes is not None and stopped.exit_code not in trial.exit_codes:
        wanted = " or ".join(map(str, trial.exit_codes))
        message = f"exited with code {stopped.exit_code} instead of {wanted} when it was asked to stop"
        yield _with_log({"kind": "did not stop", "message": message}, log)


def _with_log(failure: Failure, log: str | None) -> Failure:
    return {**failure, "log": log} if log else failure


def _summary(title: str, trial: Trial, outcome: Outcome) -> str:
    kinds = list(dict.fromkeys(item["kind"] for item in outcome.problems))
    return f"{title} failed: {', '.join(kinds)} ({outcome.passed} of {len(trial.exchanges)} requests passed)"


@contextlib.contextmanager
def _said(watch: Watch, what: str) -> Iterator[None]:
    """Say that something begins and that it has ended."""
    watch.progress(what, 0, None)
    try:
        yield
    finally:
        watch.progress(what, 1, 1)
