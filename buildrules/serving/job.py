"""Trying a package that works on a folder and ends: wait for its end, and look at what it left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.errors import ServingError
from buildrules.serving.attempt import LOG_LINES, Outcome, Watch, said, with_log
from buildrules.serving.clock import joined
from buildrules.serving.expect import Failure, file_failures
from buildrules.serving.runner import Running, wait_end


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
        """See `attempt.Attempt`."""
        with said(watch, f"waiting for the end of {running.title}"):
            limit = running.clock.limit(self.timeout)
            state = wait_end(running, limit)
        if state.running:
            message = joined(f"still ran after {self.timeout:g} s", limit.told())
            outcome.problems.append(with_log({"kind": "did not end", "message": message}, running.log(LOG_LINES)))
            return
        if state.exit_code != self.exit_code:
            message = f"{state.reason} instead of {self.exit_code}{': ' + state.error if state.error else ''}"
            outcome.problems.append(with_log({"kind": "exited", "message": message}, running.log(LOG_LINES)))
            return
        for result in self.results:
            with said(watch, f"looking at {result.name} of {running.title}"):
                found = [{"request": result.name, **item} for item in _look(running, result)]
            outcome.problems += found
        if outcome.problems:
            outcome.problems[0] = with_log(outcome.problems[0], running.log(LOG_LINES))
        outcome.passed = int(not outcome.problems)


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
