"""Content of a server that may be away for a while: what it is asked meanwhile waits for it.

A shared cache is left alone when it fails, since a build can do without it. Content of tasks has to arrive.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator

from buildrules.remote.backend import Backend, Blob, Body, RemoteError
from buildrules.typed import TypeVar

T = TypeVar("T")


class Patient:
    """Content as `place` has it, asked for up to `seconds` again; `place` is what asks this way. `silent` is called
    while nobody answers."""

    def __init__(self, place: Backend, seconds: float, silent: Callable[[], None] = lambda: None) -> None:
        self._silent = silent
        self._inner = place.content
        self._seconds = seconds
        self._closed = threading.Event()
        self.place = place._replace(content=self, close=self._close)
        self._end = place.close

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See ContentPlace."""
        return self._again(lambda: self._inner.holds(blobs))

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See ContentPlace. What breaks off is for whoever reads, as it is everywhere."""

        def begun() -> tuple[bytes, Iterator[bytes]]:
            chunks = self._inner.read(blob, offset)
            return next(chunks, b""), chunks

        first, rest = self._again(begun)
        yield first
        yield from rest

    def write(self, blob: Blob, body: Body) -> None:
        """See ContentPlace."""
        self._again(lambda: self._inner.write(blob, body))

    def _close(self) -> None:
        self._closed.set()
        self._end()

    def _again(self, attempt: Callable[[], T]) -> T:
        return again(attempt, self._seconds, self._closed, self._silent)


def again(
    attempt: Callable[[], T], seconds: float, closed: threading.Event, silent: Callable[[], None] = lambda: None
) -> T:
    """What `attempt` gives, which is made for up to `seconds`, with a pause that grows, until `closed`.

    Raises RemoteError.
    """
    until, pause = time.monotonic() + seconds, 0.25
    while True:
        try:
            return attempt()
        except RemoteError as error:
            waits = error.retry and time.monotonic() < until
            if not waits or closed.wait(pause if error.wait is None else error.wait):
                raise
            pause = min(2 * pause, 4.0)
            if pause > 1:
                silent()
