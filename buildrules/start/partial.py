"""A file that grows where nobody looks yet, until it is whole and takes its place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable

from .failure import NO_SPACE, STOPPED, UNWRITABLE, Failure

CHUNK = 1 << 20
STALLED = 90.0  # seconds without growth after which the holder of a partial file is no longer waited for


class Arrived(Exception):
    """Somebody else has brought the file."""


class Partial:
    """The file that grows, hashed as it does, under a lock; it is removed in the end where nothing is in it.

    Where the lock's holder stalls, or the file system knows no locks, it is a file of our own beside it, which takes
    its place when it is finished.
    """

    def __init__(
        self, path: str, *, keep: bool, stop: threading.Event, arrived: Callable[[], bool] | None = None
    ) -> None:
        self._arrived = arrived
        self._path = self._own = path
        self._keep = keep
        self.stop = stop
        self._fd = -1
        self._sha256 = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Partial:
        while not self._open():
            check(self.stop)
            if self._arrived is not None and self._arrived():
                raise Arrived
        if not self._keep:
            self.restart()
        while True:
            data = os.read(self._fd, CHUNK)
            if not data:
                return self
            self._add(data)

    def _open(self) -> bool:
        """Open and lock it; False where the holder before us renamed it away."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            if not self._lock():
                os.close(self._fd)
                self._own = f"{self._path}.{os.getpid()}-{os.urandom(4).hex()}"
                self._fd = os.open(self._own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            if self._is_ours():
                return True
        except BaseException:
            os.close(self._fd)
            raise
        os.close(self._fd)
        return False

    def _lock(self) -> bool:
        """Wait for the lock; False where it is not to be had."""
        grown, since = -1, time.monotonic()
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                size = os.fstat(self._fd).st_size
                if size != grown:
                    grown, since = size, time.monotonic()
                if time.monotonic() - since > STALLED:
                    return False
                self.stop.wait(0.05)
                check(self.stop)
            except OSError:
                return False

    def _is_ours(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            found, ours = os.stat(self._own), os.fstat(self._fd)
            return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
        return False

    def finish(self) -> None:
        """Have the whole file at the path that was asked for."""
        if self._own != self._path:
            os.replace(self._own, self._path)
            self._own = self._path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        useless = not self.size or self._own != self._path or isinstance(error, OSError)  # a full disk wants the space
        if useless and error is not None:
            self.remove()
        os.close(self._fd)

    def remove(self) -> None:
        """Remove the file, unless somebody else has put another one in its place."""
        with contextlib.suppress(OSError):
            if self._is_ours():
                os.unlink(self._own)

    def _add(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size += len(data)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._add(data)

    def restart(self) -> None:
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def put(partial: str, path: str, mode: int = 0o644) -> None:
    """Rename a finished file to its place, readable for everybody. Raises OSError."""
    os.chmod(partial, mode)
    os.replace(partial, path)


def is_right(path: str, size: int, sha256: str, stop: threading.Event | None = None) -> bool:
    """Whether the file is there with this size and digest. Raises Failure where it is told to stop."""
    try:
        if os.stat(path).st_size != size:
            return False
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while True:
                data = file.read(CHUNK)
                if not data:
                    return digest.hexdigest() == sha256
                check(stop)
                digest.update(data)
    except OSError:
        return False


def check(stop: threading.Event | None) -> None:
    """Raise Failure where it is time to stop."""
    if stop is not None and stop.is_set():
        raise Failure(STOPPED, "fetching was stopped")


def disk_failure(error: OSError, folder: str) -> Failure:
    """The failure an error of the disk is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            NO_SPACE, f"no space left in {folder!r}", hint="give it more space, or mount a larger volume there"
        )
    why = (error.strerror or type(error).__name__).lower()
    return Failure(
        UNWRITABLE, f"{folder!r} cannot be written: {why}", hint="mount a volume the image's user may write to"
    )
