"""Whether a place elsewhere is asked at all: one that fails again and again is left alone for a while.

The states are those of a circuit breaker: on, off for PAUSE seconds, then one request that tries it out. A place that
refuses us, or from which nothing comes at all, is off for as long as the process runs: silence costs seconds each time.
"""

import enum
import threading
from collections import deque
from collections.abc import Callable

IN_A_ROW = 5  # failed requests, none of which was under way when the one before failed
WINDOW = 30.0  # seconds
ENOUGH = 20  # outcomes within the window, before their share says anything
PAUSE = 30.0  # seconds until it is tried again


class State(enum.Enum):
    """Of a breaker."""

    ON = "asked as usual"
    OFF = "left alone until it is tried out"
    TRIED = "one request is under way that tries it out"
    SILENT = "left alone for good, unless a request that is under way is answered"
    REFUSED = "left alone for good"


class Breaker:
    """One direction, reading or writing, of one place. Safe for concurrent threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.state = State.ON
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._last_failure = self._last_answer = -1.0
        self._until = 0.0
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=ENOUGH)

    def admits(self) -> bool:
        """Whether a request may be made now."""
        with self._lock:
            if self.state is State.OFF and self._clock() >= self._until:
                self.state = State.TRIED
                return True
            return self.state is State.ON

    def answered(self) -> None:
        """A request was answered sensibly."""
        with self._lock:
            self._in_a_row = 0
            self._last_answer = self._clock()
            if self.state in (State.OFF, State.TRIED, State.SILENT):
                self.state = State.ON
                self._outcomes.clear()

    def failed(self, started: float) -> bool:
        """A request failed that was begun at `started`; whether the place is left alone from now on."""
        with self._lock:
            if started >= self._last_failure:  # those that were under way together fail together, and count once
                self._in_a_row += 1
                self._last_failure = self._clock()
            return (self._in_a_row >= IN_A_ROW or self.state is State.TRIED) and self._leave()

    def ended(self, *, well: bool) -> bool:
        """All attempts at one thing are over; whether the place is left alone from now on."""
        with self._lock:
            now = self._clock()
            self._outcomes.append((now, well))
            recent = [good for at, good in self._outcomes if now - at <= WINDOW]
            return not well and len(recent) >= ENOUGH and 2 * recent.count(False) > len(recent) and self._leave()

    def silent(self, started: float) -> bool:
        """Nothing came for a request that was begun at `started`; whether the place is left alone from now on.

        It is not where other requests were answered since.
        """
        with self._lock:
            if self._last_answer >= started or self.state not in (State.ON, State.TRIED):
                return False
            self.state = State.SILENT
            return True

    def refuse(self) -> bool:
        """Ask no more; whether that is new."""
        with self._lock:
            new, self.state = self.state is not State.REFUSED, State.REFUSED
            return new

    def _leave(self) -> bool:
        """Leave the place alone for a while; whether it was asked as usual before."""
        before = self.state
        if before in (State.ON, State.TRIED):
            self.state, self._until = State.OFF, self._clock() + PAUSE
        return before is State.ON
