"""The parts of a large file, asked for side by side and given in their order."""

from __future__ import annotations

import http.client
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .address import redacted
from .failure import UNREACHABLE, Failure
from .header import content_range
from .partial import check
from .web import broken, failure_of

PART = 8 << 20  # bytes; as many as there are streams are held in memory
LARGE = 4 * PART  # bytes from which on a file is worth more than one request
READ = 256 << 10

Locate = Callable[[], "tuple[str, dict[str, str]]"]
"""Gives url and headers, anew for every try."""
Request = Callable[[str, Mapping[str, str], Mapping[str, str]], Any]
"""Sends a GET: url, headers for its own origin, headers for every hop; gives an answer as `Web.request` does."""


def streams(sizes: list[int], parallel: int) -> int:
    """How many parts of a file are asked for at once, where `parallel` requests are shared by files of these sizes."""
    return max(1, parallel // max(1, sum(size > LARGE for size in sizes)))


class Parts:
    """Those of a file of `size` bytes from `start` on, of which up to `streams` are on their way or wait to be taken.

    They are on their way once this is made. Iterating raises Failure, and what `locate` raises. Nobody waits for the
    threads that are left when it is closed.
    """

    def __init__(
        self, request: Request, locate: Locate, start: int, size: int, streams: int, stop: threading.Event
    ) -> None:
        self._request = request
        self._locate = locate
        self._size = size
        self._stop = stop
        self._closed = threading.Event()
        self._starts = iter(range(start, size, PART))
        self._running: deque[queue.SimpleQueue[bytes | BaseException]] = deque()
        for _ in range(streams):
            self._begin()

    def __iter__(self) -> Iterator[bytes]:
        while self._running:
            found = self._next()
            if isinstance(found, BaseException):
                raise found
            self._begin()
            yield found

    def close(self) -> None:
        """Take no more."""
        self._closed.set()

    def _next(self) -> bytes | BaseException:
        while True:
            check(self._stop)
            try:
                found = self._running[0].get(timeout=0.2)
            except queue.Empty:
                continue
            self._running.popleft()
            return found

    def _begin(self) -> None:
        start = next(self._starts, None)
        if start is None:
            return
        done: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._running.append(done)

        def run() -> None:
            try:
                done.put(self._bring(start, min(PART, self._size - start)))
            except BaseException as error:  # noqa: BLE001 - raised again where it is taken
                done.put(error)

        threading.Thread(target=run, daemon=True).start()

    def _bring(self, start: int, length: int) -> bytes:
        url, headers = self._locate()
        answer = self._request(url, headers, {"Range": f"bytes={start}-{start + length - 1}"})
        data: list[bytes] = []
        try:
            found = content_range(answer.headers)
            if answer.status not in (200, 206):
                raise failure_of(answer, url)
            if answer.status == 200 or found is None or found[0] != start:
                text = f"{redacted(url)} answered with another range than was asked for"
                raise Failure(UNREACHABLE, text, retry=True)
            end = start + length
            while start < end:
                check(self._stop)
                check(self._closed)
                try:
                    data.append(answer.read(min(READ, end - start)))
                except (OSError, http.client.HTTPException, ValueError) as error:
                    raise broken(error, url) from None
                if not data[-1]:
                    raise Failure(UNREACHABLE, f"{redacted(url)} broke off at byte {start} of {end}", retry=True)
                start += len(data[-1])
            return b"".join(data)
        finally:
            answer.close()
