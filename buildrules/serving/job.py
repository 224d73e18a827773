"""Trying a package that works on a folder and ends: wait for its end, and look at what it left."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.errors import ServingError
from buildrules.serving.attempt import LOG_LINES, Outcome, Watch, said, with_log
from buildrules.serving.expect import Failure, file_failures
from buildrules.serving.runner import Running, State

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Result:
    """A file the package must leave, by its path in the image, and what is to be in it (see `serving.expect`).

    `name` is what reports call it.
    """

    name: str
    path: str
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What a test asks such a package for. `timeout` in seconds, from its start to its end."""

    results: Sequence[Result]
    exit_code: int = 0
    timeout: float = 300.0
    stop_timeout: float = 0.0

    @property
    def total(self) -> int:
        """One: it is run once."""
        return 1

    def run(self, running: Running, watch: Watch, outcome: Outcome) -> None:
        """See `session.Attempt`."""
        with said(watch, f"waiting for the end of {running.title}"):
            state = _end(running, self.timeout)
        if state.running:
            message = f"still ran after {self.timeout:g} s"
            outcome.problems.append(with_log({"kind": "did not end", "message": message}, running.log(LOG_LINES)))
            return
        if state.exit_code != self.exit_code:
            reason = "ran out of memory" if state.out_of_memory else f"exited with code {state.exit_code}"
            message = f"{reason} instead of {self.exit_code}{': ' + state.error if state.error else ''}"
            outcome.problems.append(with_log({"kind": "exited", "message": message}, running.log(LOG_LINES)))
            return
        for result in self.results:
            with said(watch, f"looking at {result.name} of {running.title}"):
                found = [{"request": result.name, **item} for item in _look(running, result)]
            outcome.problems += found
        if outcome.problems:
            outcome.problems[0] = with_log(outcome.problems[0], running.log(LOG_LINES))
        outcome.passed = int(not outcome.problems)


def _end(running: Running, timeout: float) -> State:
    """Where it stands when it has ended, or when `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while (state := running.state()).running and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return state


def _look(running: Running, result: Result) -> Iterator[Failure]:
    try:
        content = running.read(result.path)
    except ServingError as error:
        yield {"kind": "no result", "message": error.message}
        return
    if content is None:
        yield {"kind": "no result", "message": f"there is no file {result.path}"}
    else:
        yield from file_failures(result.expect, content)
