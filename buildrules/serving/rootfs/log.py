"""The end of what a program writes: it may write without end, and nothing fills up."""

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

_KEPT = 1 << 18
_CHUNK = 1 << 16
_SECONDS = 1.0  # that are waited for what was written and not read yet


class LogTail:
    """Keeps the last bytes, at least `kept` of them, that are written to a pipe."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._source: BinaryIO | None = None

    @contextlib.contextmanager
    def input(self) -> Iterator[BinaryIO]:
        """The end of the pipe to write to; read until the last who has it is gone."""
        source, target = os.pipe()
        os.fchmod(target, 0o666)  # programs open /dev/stderr anew, as the image's user
        self._source = open(source, "rb", buffering=0)  # noqa: SIM115 - closed by the one who reads
        threading.Thread(target=self._read, args=(self._source,), daemon=True).start()
        with open(target, "wb", buffering=0) as file:
            yield file

    def text(self, lines: int) -> str:
        """The last lines, with all that is written by now."""
        deadline = time.monotonic() + _SECONDS
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(0.001)
        with self._lock:
            data = b"".join(self._chunks)
        return "".join(line + "\n" for line in data[-self._kept :].decode(errors="replace").splitlines()[-lines:])

    def _read(self, source: BinaryIO) -> None:
        with source:
            while True:
                select.select([source], [], [])
                with self._lock:
                    chunk = source.read(_CHUNK)
                    if not chunk:
                        self._source = None
                        return
                    self._chunks.append(chunk)
                    self._size += len(chunk)
                    while self._size - len(self._chunks[0]) >= self._kept:
                        self._size -= len(self._chunks.popleft())

    def _waiting(self) -> bool:
        with self._lock:
            if self._source is None:
                return False
            (count,) = struct.unpack("i", fcntl.ioctl(self._source, termios.FIONREAD, b"\0" * 4))
            return bool(count)
