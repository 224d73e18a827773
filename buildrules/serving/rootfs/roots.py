"""Folders with the root file systems of images, for as long as somebody uses them."""

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator

from buildrules.errors import StoreError
from buildrules.oci.image import Image, LayerStream
from buildrules.serving.rootfs.unpack import unpack

_PREFIX = "rootfs-"
_YOUNG = 60.0  # seconds in which a folder may not be locked yet


class Roots:
    """Below `aside`, the store's folder for what is being written. What a killed process left is removed."""

    def __init__(self, aside: str) -> None:
        self._aside = aside
        self._lock = threading.Lock()
        self._used: dict[str, _Root] = {}
        self._swept = False

    @contextlib.contextmanager
    def root(self, image: Image, stream: LayerStream, *, private: bool = False) -> Iterator[str]:
        """A folder with the image's root file system; with `private` nobody else's. Raises as `unpack`."""
        name = f"{image.digest}-{os.urandom(4).hex()}" if private else image.digest
        with self._lock:
            if not self._swept:
                self._sweep()
                self._swept = True
            found = self._used.setdefault(name, _Root())
            found.users += 1
        try:
            with found.lock:
                if found.folder is None:
                    found.make(self._aside, image, stream)
            assert found.folder is not None
            yield os.path.join(found.folder, "root")
        finally:
            with self._lock:
                found.users -= 1
                if found.users == 0:
                    del self._used[name]
                    found.remove()

    def _sweep(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for entry in list(os.scandir(self._aside)):
                if entry.name.startswith(_PREFIX) and entry.stat().st_mtime < time.time() - _YOUNG:
                    with contextlib.suppress(OSError):
                        _remove_unused(entry.path)


class _Root:
    """One folder and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self.lock = threading.Lock()
        self.folder: str | None = None
        self._handle = -1

    def make(self, aside: str, image: Image, stream: LayerStream) -> None:
        folder = os.path.join(aside, f"{_PREFIX}{os.getpid()}-{os.urandom(6).hex()}")
        try:
            os.makedirs(folder, mode=0o700)
            self._handle = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            os.mkdir(os.path.join(folder, "root"), 0o755)
        except OSError as error:
            raise StoreError(f"cannot write to the store {aside}: {error.strerror}") from error
        try:
            unpack(os.path.join(folder, "root"), image.layers, stream)
        except BaseException:
            self.folder = folder
            self.remove()
            raise
        self.folder = folder

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._handle)
            self.folder = None


def _remove_unused(folder: str) -> None:
    """Remove a folder whose maker is gone, and with it the lock."""
    with open(os.path.join(folder, "lock"), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
