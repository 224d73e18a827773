"""Folders with the root file systems of images, for as long as somebody uses them."""

import contextlib
import os
import threading
from collections.abc import Iterator

from buildrules.errors import StoreError
from buildrules.oci.image import Image, LayerStream
from buildrules.serving.rootfs.unpack import unpack
from buildrules.store.private_folder import private_folder


class UnpackedImages:
    """Below `folder`, the store's folder for what is being written."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._used: dict[str, _Unpacked] = {}

    @contextlib.contextmanager
    def root(self, image: Image, stream: LayerStream, *, private: bool = False) -> Iterator[str]:
        """A folder with the image's root file system; with `private` nobody else's. Raises as `unpack`."""
        name = f"{image.digest}-{os.urandom(4).hex()}" if private else image.digest
        with self._lock:
            found = self._used.setdefault(name, _Unpacked())
            found.users += 1
        try:
            with found.lock:
                if not found.root:
                    folder = os.path.join(found.folders.enter_context(private_folder(self._folder)), "root")
                    try:
                        os.mkdir(folder, 0o755)
                    except OSError as error:
                        raise StoreError(f"cannot write to the store {self._folder}: {error.strerror}") from error
                    unpack(folder, image.layers, stream)
                    found.root = folder
            yield found.root
        finally:
            with self._lock:
                found.users -= 1
                if found.users == 0:
                    del self._used[name]
                    found.folders.close()


class _Unpacked:
    """One folder and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self.lock = threading.Lock()
        self.folders = contextlib.ExitStack()
        self.root = ""
