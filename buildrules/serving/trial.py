"""Trying a server: wait until it is ready, ask, compare the answers, and see that it stops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.errors import ExitedError, NotReadyError, ServingError
from buildrules.serving.attempt import LOG_LINES, Outcome, Watch, said, with_log
from buildrules.serving.clock import joined
from buildrules.serving.expect import Failure, failures
from buildrules.serving.probe import wait_ready
from buildrules.serving.request import ask
from buildrules.serving.route import Route
from buildrules.serving.runner import Running, Stopped, quiet_log, wait_end

_REQUEST_SECONDS = 120.0
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
    """What a test asks a server for. Times in seconds; without `exit_codes` nobody looks how the package stops."""

    exchanges: Sequence[Exchange]
    ready: Route | None = None
    port: int | None = None  # what keeps connections once it is ready, where there is no route for that
    ready_timeout: float = 60.0
    stop_timeout: float = 10.0
    exit_codes: Sequence[int] | None = STOPPED

    @property
    def total(self) -> int:
        """The number of requests."""
        return len(self.exchanges)

    def run(self, running: Running, watch: Watch, outcome: Outcome) -> None:
        """See `attempt.Attempt`."""
        try:
            with said(watch, f"waiting for {running.title}"):
                outcome.ready_seconds = wait_ready(running, self.ready, port=self.port, timeout=self.ready_timeout)
            for exchange in self.exchanges:
                with said(watch, f"asking {running.title}: {exchange.name}"):
                    found = [{"request": exchange.name, **item} for item in _ask(running, exchange)]
                outcome.problems += found
                outcome.passed += not found
                dying = any(item["kind"] == "no answer" for item in found)  # it closes its connections first
                state = wait_end(running, running.clock.limit(_DYING_SECONDS if dying else 0.0))
                if not state.running:
                    message = f"{running.title!r} {state.reason} after the request '{exchange.name}'"
                    raise ExitedError(message, log=running.log(LOG_LINES))
        except (ExitedError, NotReadyError) as error:
            kind = "exited" if isinstance(error, ExitedError) else "never ready"
            outcome.problems.append(with_log({"kind": kind, "message": error.message}, error.log))
            running.grace = 0.0
            return
        with said(watch, f"stopping {running.title}"):
            log = running.log(LOG_LINES)
            stopped = running.stop()
        if self.exit_codes is not None:
            outcome.problems += _stop_problem(stopped, self, log)


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
        yield with_log({"kind": "no answer", "message": error.message}, error.log)
        return
    found = list(failures(exchange.expect, answer))
    if found and answer.status >= 500:
        found[0] = with_log(found[0], quiet_log(running, LOG_LINES))
    yield from found


def _stop_problem(stopped: Stopped | None, trial: Trial, log: str) -> Iterator[Failure]:
    if stopped is None:
        return
    if stopped.killed is not None:
        message = joined(
            f"still ran {trial.stop_timeout:g} s after its stop signal and was killed",
            stopped.killed,
            "process 1 of a container gets only the signals it has handlers for: handle SIGTERM, or set stop_signal in "
            "the rule of its server",
        )
        yield with_log({"kind": "did not stop", "message": message}, log)
    elif stopped.exit_code is not None and trial.exit_codes is not None and stopped.exit_code not in trial.exit_codes:
        wanted = " or ".join(map(str, trial.exit_codes))
        message = f"exited with code {stopped.exit_code} instead of {wanted} when it was asked to stop"
        yield with_log({"kind": "did not stop", "message": message}, log)
