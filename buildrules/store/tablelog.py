"""The log beside the table: rows are appended, which costs microseconds, until somebody folds them into the table.

An entry is `magic | length of key, of value, CRC-32 of both (4 bytes each, little endian) | key | value`. A process
that is killed may leave half an entry: what follows it is found by its magic. Appending and folding exclude each other
by a lock on the log (flock), so that nothing is appended to what is being removed.
"""

import fcntl
import os
import threading
import zlib
from collections.abc import Callable

from buildrules.state.rows import open_regular

_MAGIC = b"\xb5row"
_HEAD = len(_MAGIC) + 12
_MODE = 0o600


class TableLog:
    """The log at `path`. `rows` are those that were found in it when it was read first, and those appended since."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle: int | None = None
        self._lock = threading.Lock()
        self._rows: dict[str, bytes] | None = None
        self.size = 0  # bytes in it, when it was last read or appended to

    @property
    def rows(self) -> dict[str, bytes]:
        """The rows by key. A log that cannot be read has none."""
        if self._rows is None:
            try:
                with open(open_regular(self._path), "rb") as file:
                    data = file.read()
            except OSError:
                data = b""
            self.size = len(data)
            self._rows = _entries(data)
        return self._rows

    def append(self, key: str, value: bytes) -> None:
        """Add a row at once. Raises OSError."""
        name = key.encode("utf-8", "surrogateescape")
        with self._lock:
            handle = self._open()
            fcntl.flock(handle, fcntl.LOCK_SH)
            try:
                self.size += os.write(handle, _entry(name, value))
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
            self.rows[key] = value

    def fold(self, take: Callable[[dict[str, bytes]], None]) -> None:
        """Hand all rows to `take`, those of other processes as well, and empty the log unless it raises."""
        with self._lock:
            handle = self._open()
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                data = os.pread(handle, os.fstat(handle).st_size, 0)
                if data:
                    take(_entries(data))
                    os.ftruncate(handle, 0)
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
            self._rows, self.size = {}, 0

    def _open(self) -> int:
        if self._handle is None:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        return self._handle

    def close(self) -> None:
        """Close the file, and read it anew when it is asked for again."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle, self._rows = None, None


def _entry(name: bytes, value: bytes) -> bytes:
    numbers = (len(name), len(value), zlib.crc32(value, zlib.crc32(name)))
    return b"".join((_MAGIC, *(number.to_bytes(4, "little") for number in numbers), name, value))


def _entries(data: bytes) -> dict[str, bytes]:
    """The sound entries of a log; of several with one key the last."""
    rows: dict[str, bytes] = {}
    at = data.find(_MAGIC)
    while at >= 0:
        length, size, checksum = memoryview(data[at + len(_MAGIC) : at + _HEAD].ljust(12, b"\0")).cast("I")
        start, middle = at + _HEAD, at + _HEAD + length
        name, value = data[start:middle], data[middle : middle + size]
        if len(name) == length and len(value) == size and zlib.crc32(value, zlib.crc32(name)) == checksum:
            rows[name.decode("utf-8", "surrogateescape")] = value
            at = data.find(_MAGIC, middle + size)
        else:
            at = data.find(_MAGIC, at + 1)
    return rows
