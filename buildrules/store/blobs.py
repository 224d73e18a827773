"""Blobs by sha256: written aside, digest-checked, renamed. Read-only once they are there.

Layout: `blobs/sha256/<first two hex>/<64 hex>`, aside files in `tmp/` on the same file system.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO

from buildrules.errors import IntegrityError, StoreError
from buildrules.store.buffer import runs_of

CHUNK = 1 << 20


def hex_of(digest: str) -> str:
    """The 64 hex digits of `sha256:<hex>` or of bare hex. Raises IntegrityError on anything else."""
    value = digest.removeprefix("sha256:")
    if len(value) != 64 or value.strip("0123456789abcdef"):
        raise IntegrityError(f"not a sha256 digest: {digest!r}")
    return value


class Blobs:
    """The content-addressed files below one store root. Safe for concurrent threads and processes."""

    def __init__(self, root: str) -> None:
        self.root = os.path.join(root, "blobs", "sha256")
        self.aside = os.path.join(root, "tmp")
        self.bytes_written = 0

    def path(self, digest: str) -> str:
        """Where the blob of `digest` is or would be (an absolute path)."""
        name = hex_of(digest)
        return os.path.join(self.root, name[:2], name)

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the blob is there, with the expected size where one is given."""
        try:
            found = os.stat(self.path(digest)).st_size
        except OSError:
            return False
        return size is None or found == size

    def read(self, digest: str) -> bytes:
        """The whole blob, digest-checked. Raises FileNotFoundError or IntegrityError."""
        with open(self.path(digest), "rb") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != hex_of(digest):
            self.discard(digest)
            raise IntegrityError(f"blob {digest} in the store was corrupt; it has been removed, build again")
        return data

    def holds(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that are there."""
        return {digest for digest in digests if self.has(digest)}

    def local(self, digest: str) -> str | None:
        """The path of the blob, None where it is not there."""
        return self.path(digest) if self.has(digest) else None

    def open(self, digest: str, offset: int = 0) -> BinaryIO:
        """The blob opened for reading, from the byte `offset` on. Raises FileNotFoundError.

        The caller checks digests it depends on.
        """
        file = open(self.path(digest), "rb")  # noqa: SIM115  the caller closes it
        file.seek(offset)
        return file

    def put(self, data: bytes) -> str:
        """Write `data` unless it is there; returns `sha256:<hex>`."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if not self.has(digest, len(data)):
            aside = self.aside_path()
            with self._at_place(aside, digest):
                handle = self._new_file(aside)
                try:
                    left = memoryview(data)
                    while left:
                        left = left[os.write(handle, left) :]
                finally:
                    os.close(handle)
            self.bytes_written += len(data)
        return digest

    def _new_file(self, aside: str) -> int:
        """A file that was not there, open for writing, and read-only for whoever opens it next."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(aside, flags, 0o444)
        except FileNotFoundError:
            os.makedirs(self.aside, exist_ok=True)
            return os.open(aside, flags, 0o444)

    def put_stream(self, chunks: Iterable[bytes], digest: str, size: int | None = None) -> None:
        """Write a stream that must hash to `digest`; on a mismatch nothing stays and IntegrityError is raised."""
        with self.writer(digest, size) as file:
            for chunk in chunks:
                file.write(chunk)

    @contextlib.contextmanager
    def writer(self, digest: str, size: int | None = None) -> Iterator["BlobWriter"]:
        """A file to write the blob `digest` into; on leaving it is checked and renamed into place.

        Raises IntegrityError where what was written has another digest or size, StoreError where
        the disk is full or not writable. In every failing case the aside file is removed.
        """
        aside = self.aside_path()
        with self._at_place(aside, digest):
            with open(self._new_file(aside), "wb") as file:
                writer = BlobWriter(file)
                yield writer
            writer.check(digest, size)
        self.bytes_written += writer.size

    @contextlib.contextmanager
    def _at_place(self, aside: str, digest: str) -> Iterator[None]:
        """What is written to `aside` meanwhile becomes the blob. Raises StoreError; what failed leaves nothing."""
        target = self.path(digest)
        done = False
        try:
            yield
            try:
                os.replace(aside, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(aside, target)
            done = True
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"no space left in the store {os.path.dirname(os.path.dirname(self.root))}",
                    hint="free some space, run 'buildrules cache gc', or move the store with BUILDRULES_CACHE_DIR",
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise StoreError(
                    f"cannot write to the store {os.path.dirname(os.path.dirname(self.root))}: {error.strerror}",
                    hint="make it writable, or choose another store with BUILDRULES_CACHE_DIR",
                ) from error
            raise
        finally:
            if not done:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(aside)

    def aside_path(self) -> str:
        """A fresh name in the aside folder, on the same file system as the blobs."""
        return os.path.join(self.aside, f"{os.getpid()}-{os.urandom(8).hex()}")

    def heal(self, digest: str) -> bool:
        """Hash the blob and remove it where it is not what its name says; whether it is there and right."""
        found = hashlib.sha256()
        try:
            with self.open(digest) as file:
                for run in runs_of(file.fileno()):
                    found.update(run)
        except FileNotFoundError:
            return False
        if found.hexdigest() == hex_of(digest):
            return True
        self.discard(digest)
        return False

    def discard(self, digest: str) -> None:
        """Forget the blob, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(digest))


class BlobWriter:
    """Writes to a file and hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`; returns its length."""
        self._file.write(data)
        self._sha256.update(data)
        self.size += len(data)
        return len(data)

    def check(self, digest: str, size: int | None) -> None:
        """Raise IntegrityError unless what was written has `digest` and, where given, `size`."""
        found = self._sha256.hexdigest()
        if found != hex_of(digest) or (size is not None and size != self.size):
            expected = f"sha256:{hex_of(digest)}" + (f" ({size} bytes)" if size is not None else "")
            raise IntegrityError(f"expected {expected}, got sha256:{found} ({self.size} bytes)")
