"""Who runs a step. Here it is this process; another one could be handed the same plain data."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from buildrules.engine.action import Outputs
from buildrules.engine.events import Notice, Progress, Stream
from buildrules.engine.kind import Kind
from buildrules.engine.step import Step
from buildrules.errors import Interrupted
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs


class Executor(Protocol):
    """Runs steps. What they make is in the store afterwards, as far as it is kept."""

    def run(self, step: Step) -> Outputs:
        """Do the step; callable from any thread. Raises BuildrulesError."""


class Here:
    """Runs steps in this process, and is what they may use: the context of `engine.kind`."""

    def __init__(
        self,
        workspace: str,
        blobs: Blobs,
        session: Session,
        kinds: Callable[[str], Kind],
        stream: Stream,
        *,
        jobs: int | None = None,
    ) -> None:
        self.workspace = workspace
        self.blobs = blobs
        self.session = session
        self.jobs = jobs or max(4, os.cpu_count() or 1)
        self.cancelled = False
        self.bytes_read = 0
        self.bytes_fetched = 0
        self._kinds = kinds
        self._stream = stream
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []  # what is to be called at Ctrl-C

    def run(self, step: Step) -> Outputs:
        """See `Executor.run`."""
        return self._kinds(step.kind).run(step, self)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work. Raises Interrupted after Ctrl-C."""
        if self.cancelled:
            raise Interrupted("interrupted")
        self._stream.emit(Progress(what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Add to the counters."""
        with self._lock:
            self.bytes_read += read
            self.bytes_fetched += fetched

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""
        self._stream.emit(Notice(message, warning=True))

    def cancel(self) -> None:
        """Ctrl-C: end what was started."""
        with self._lock:
            self.cancelled = True
            stops = list(self._stops)
        for stop in stops:
            stop()

    @contextlib.contextmanager
    def at_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, `cancel` calls `stop`; at once where it was called already."""
        with self._lock:
            self._stops.append(stop)
            late = self.cancelled
        try:
            if late:
                stop()
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)
