"""The one event stream of a build. Progress bars, plain lines, JSON and traces are its listeners."""

import threading
from collections.abc import Callable, Sequence
from enum import Enum

from buildrules.engine.action import Action, Outputs
from buildrules.errors import BuildrulesError
from buildrules.typed import Any, NamedTuple


class Status(Enum):
    """How an action ended. Set in one place, `engine.build`."""

    EXECUTED = "executed"  # it ran
    CACHED = "cached"  # a record with its key was found
    UNCHANGED = "unchanged"  # the key is the one of the last build of this workspace
    FAILED = "failed"
    SKIPPED = "skipped"  # something it needs failed


class BuildStarted(NamedTuple):
    """A build begins; this many actions will be looked at."""

    total: int


class ActionStarted(NamedTuple):
    """An action's key has no record: it runs now."""

    action: Action
    seconds: float  # since the build began
    worker: int


class Placed(NamedTuple):
    """Where a step was run, in a build that has other machines: here, where `stayed` says why, or by a worker there."""

    stayed: str = ""
    expected: float = 0.0  # seconds that it was expected to run
    worker: str = ""  # its name; empty where nobody says it
    cached: bool = False  # the engine had the answer already: nothing ran now
    queued: float | None = None  # seconds that the step waited for a worker; None where nobody says it
    seconds: float | None = None  # that it ran there; None where no answer came
    sent: int = 0  # bytes that were sent there for it
    fetched: int = 0  # bytes that were fetched from there for it

    def row(self) -> dict[str, Any]:
        """What events, profiles and reports have of it: no field says what is not known."""
        if self.stayed:
            return {"stayed": self.stayed}
        row = {name: value for name, value in self._asdict().items() if value not in (None, "") and value is not False}
        del row["expected"]
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


class ActionFinished(NamedTuple):
    """An action ended. `reasons` says why it ran; `outputs` is None where it failed, `placed` where it did not run, or
    in a build that has no other machines."""

    action: Action
    status: Status
    reasons: Sequence[str]
    began: float  # seconds since the build began
    seconds: float
    worker: int
    outputs: Outputs | None = None
    error: BuildrulesError | None = None
    placed: Placed | None = None


class Progress(NamedTuple):
    """Long work goes on: bytes done and in all; (0, None) where nothing is counted. It ends with done == total."""

    what: str
    done: int
    total: int | None


class Notice(NamedTuple):
    """Something the user should know: a lock was made, a warning."""

    message: str
    warning: bool = False


Event = BuildStarted | ActionStarted | ActionFinished | Progress | Notice
Listener = Callable[[Event], None]


class Stream:
    """Hands every event to every listener, one at a time."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)
        self._lock = threading.Lock()

    def add(self, listener: Listener) -> None:
        """Listen from now on."""
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        """Tell all listeners. Callable from any thread."""
        with self._lock:
            for listener in self._listeners:
                listener(event)
