"""A blob in the making that outlives the process: `<store>/tmp/partial/<hex>`, guarded by a file lock."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from buildrules.store.blobs import CHUNK, Blobs, hex_of

STALLED = 90.0  # seconds without growth after which a lock's holder is no longer waited for


class PartialBlob:
    """The file to append to, hashed as it grows. Use as a context manager; raises OSError of the disk.

    Entering waits for another holder of the same blob, calling `check` meanwhile (it may raise).
    What an earlier process left is hashed and kept. Leaving without `commit` keeps what has arrived.
    """

    def __init__(self, blobs: Blobs, digest: str, expected: int | None, check: Callable[[], None]) -> None:
        self._blobs = blobs
        self._digest = digest
        self._expected = expected
        self._check = check
        self._folder = os.path.join(blobs.aside, "partial")
        self._path = os.path.join(self._folder, hex_of(digest))
        self._fd = -1
        self._sha256 = hashlib.sha256()
        self._private = False
        self.size = 0

    def __enter__(self) -> Self:
        os.makedirs(self._folder, exist_ok=True)
        while not self._lock():
            if self._blobs.has(self._digest, self._expected):
                break
        return self

    def _lock(self) -> bool:
        """Open and lock the file; False where it was renamed or removed by the holder we waited for."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if self._wait() and not self._same_file():
                self._close()
                return False
            if self._private:
                self._close()
                self._path = self._blobs.aside_path()
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            while data := os.read(self._fd, CHUNK):
                self._check()
                self._sha256.update(data)
                self.size += len(data)
        except BaseException:
            self._close()
            raise
        return True

    def _wait(self) -> bool:
        """Take the lock. A holder that stalls, or a file system without locks, makes us write a file of our own."""
        grown, since = -1, time.monotonic()
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                self._check()
                size = os.fstat(self._fd).st_size
                if size != grown:
                    grown, since = size, time.monotonic()
                if time.monotonic() - since > STALLED:
                    self._private = True
                    return False
                time.sleep(0.05)
            except OSError:
                self._private = True
                return False

    def _same_file(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        here = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._sha256.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Throw away what is there."""
        if self.size:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._sha256 = hashlib.sha256()
            self.size = 0

    def problem(self, size: int | None) -> str | None:
        """None where the content has the blob's digest and `size`, else what is wrong in words."""
        found = self._sha256.hexdigest()
        if found == hex_of(self._digest) and size in (None, self.size):
            return None
        expected = f"sha256:{hex_of(self._digest)}" + (f" ({size} bytes)" if size is not None else "")
        return f"expected {expected}, got sha256:{found} ({self.size} bytes)"

    def commit(self) -> None:
        """Move the file, which the caller has checked by `problem`, to its place among the blobs."""
        target = self._blobs.path(self._digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.fchmod(self._fd, 0o444)
        os.replace(self._path, target)
        self._blobs.bytes_written += self.size

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd < 0:
            return
        full = isinstance(error, OSError)
        if (self.size == 0 or self._private or full) and self._same_file():
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._close()
