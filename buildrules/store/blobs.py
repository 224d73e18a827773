"""Blobs by sha256: written aside, digest-checked, renamed. Read-only once they are there.

Layout: `blobs/sha256/<first two hex>/<64 hex>`, half-written files in `tmp/` beside it. A blob is a plain file
that its owner may read. Whatever else stands in its place (a directory, a link, a pipe) is damage, and makes way.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from stat import S_ISREG

from buildrules.errors import DamagedError, IntegrityError, StoreError
from buildrules.sha256 import digest_of, hex_digest, new_hash
from buildrules.store.buffer import runs_of
from buildrules.typed import BinaryIO, Protocol

CHUNK = 1 << 20
_Stat = tuple[int, int, int, int]
FULL = (errno.ENOSPC, errno.EDQUOT)


def hex_of(digest: str) -> str:
    """The 64 hex digits of `sha256:<hex>` or of bare hex. Raises IntegrityError on anything else."""
    value = digest.removeprefix("sha256:")
    if len(value) != 64 or value.strip("0123456789abcdef"):
        raise IntegrityError(f"not a sha256 digest: {digest!r}")
    return value


def _stat(row: os.stat_result) -> _Stat:
    """What a write to a blob changes."""
    return row.st_ino, row.st_size, row.st_mtime_ns, row.st_ctime_ns


def damaged(digest: str) -> DamagedError:
    """The error for a blob of the store that was not what its name says, and is not there any more."""
    return DamagedError(
        f"blob {digest} in the store was corrupt and has been removed", digest, hint="run the command again"
    )


class Elsewhere(Protocol):
    """Content that is not in the store, and is left where it is until somebody reads it. Safe for threads."""

    def holds(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that can be had. Raises nothing."""

    def bring(self, digest: str, size: int | None = None) -> bool:
        """Have one in the store; whether that was done. `holds` then says no of what was lost. With `size`, in bytes,
        it may be content that nobody has asked for before. Raises StoreError.
        """


class Blobs:
    """The content-addressed files below `store`, its root. Safe for concurrent threads and processes.

    `met` are the hex names of the blobs that were asked for; `sound` has, of those whose content was seen to be right,
    the stat it had then: by whom it was written, or by `heal`. What is `elsewhere` counts as there for `holds`, and is
    brought by whoever reads it; `has` is about the store alone.
    """

    def __init__(self, store: str) -> None:
        self.store = store
        self.root = os.path.join(store, "blobs", "sha256")
        self.tmp = os.path.join(store, "tmp")
        self.bytes_written = 0
        self.met: set[str] = set()
        self.sound: dict[str, _Stat] = {}
        self.elsewhere: Elsewhere | None = None

    def path(self, digest: str) -> str:
        """Where the blob of `digest` is or would be (an absolute path)."""
        name = hex_of(digest)
        self.met.add(name)
        return os.path.join(self.root, name[:2], name)

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the blob is there, with the expected size where one is given."""
        try:
            found = os.lstat(self.path(digest))
        except OSError:
            return False
        return S_ISREG(found.st_mode) and bool(found.st_mode & 0o400) and size in (None, found.st_size)

    def right(self, digest: str) -> bool:
        """As `heal`, but a blob that is as it was when it was seen to be right is hashed no second time."""
        try:
            now = os.lstat(self.path(digest))
        except OSError:
            return self._brought(digest)
        return self.sound.get(hex_of(digest)) == _stat(now) or self.heal(digest)

    def checked(self, digest: str) -> str:
        """The path of the blob, whose content was hashed. Raises DamagedError, FileNotFoundError."""
        path = self.path(digest)
        there = os.path.lexists(path)
        if not self.right(digest):  # which brings it
            raise damaged(digest) if there else FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return path

    def read(self, digest: str) -> bytes:
        """The whole blob, digest-checked. Raises FileNotFoundError or DamagedError."""
        with self.open(digest) as file:
            data = file.read()
        if hex_digest(data) != hex_of(digest):
            self.discard(digest)
            raise damaged(digest)
        return data

    def holds(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that are there, or can be brought from elsewhere."""
        there = {digest for digest in digests if self.has(digest)}
        if self.elsewhere is not None and (rest := [digest for digest in digests if digest not in there]):
            there |= self.elsewhere.holds(rest)
        return there

    def borrow(self, digest: str, size: int) -> bool:
        """Have what somebody else may have, of so many bytes, in the store; whether it is there now."""
        return self.elsewhere is not None and self.elsewhere.bring(digest, size)

    def _brought(self, digest: str) -> bool:
        """Bring what is elsewhere; False where it is not. Raises DamagedError where it was, and is lost."""
        if self.elsewhere is None or not self.elsewhere.holds([digest]):
            return False
        if not self.elsewhere.bring(digest):
            raise DamagedError(
                f"the cache has lost {digest}, which it had a moment ago", digest, hint="run the command again"
            )
        return True

    def local(self, digest: str) -> str | None:
        """The path of the blob, None where it is not there."""
        return self.path(digest) if self.has(digest) else None

    def open(self, digest: str, offset: int = 0) -> BinaryIO:
        """The blob opened for reading, from the byte `offset` on. Raises FileNotFoundError, DamagedError.

        The caller checks digests it depends on.
        """
        path = self.path(digest)
        if not self.has(digest):
            if os.path.lexists(path):
                self.discard(digest)
                raise damaged(digest)
            if not self._brought(digest):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        file = open(path, "rb")  # noqa: SIM115  the caller closes it
        file.seek(offset)
        return file

    def size(self, digest: str) -> int:
        """Bytes of a blob. Raises FileNotFoundError, DamagedError."""
        with self.open(digest) as file:
            return file.seek(0, 2)

    def put(self, data: bytes) -> str:
        """Write `data` unless it is there; returns `sha256:<hex>`."""
        digest = digest_of(data)
        if not self.has(digest, len(data)):
            tmp = self.tmp_path()
            with self._at_place(tmp, lambda: digest):
                handle = self._new_file(tmp)
                try:
                    left = memoryview(data)
                    while left:
                        left = left[os.write(handle, left) :]
                finally:
                    os.close(handle)
            self.bytes_written += len(data)
        return digest

    def _new_file(self, tmp: str) -> int:
        """A file that was not there, open for writing, and read-only for whoever opens it next."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(tmp, flags, 0o444)
        except FileNotFoundError:
            os.makedirs(self.tmp, exist_ok=True)
            return os.open(tmp, flags, 0o444)

    def put_stream(self, chunks: Iterable[bytes], digest: str, size: int | None = None) -> None:
        """Write a stream that must hash to `digest`; on a mismatch nothing stays and IntegrityError is raised."""
        with self.writer(digest, size) as file:
            for chunk in chunks:
                file.write(chunk)

    @contextlib.contextmanager
    def writer(self, digest: str | None = None, size: int | None = None) -> Iterator["BlobWriter"]:
        """A file to write the blob `digest` into, any blob for None; on leaving it is checked and renamed into place.

        Raises IntegrityError where what was written has another digest or size, StoreError where
        the disk is full or not writable. In every failing case the file in `tmp/` is removed.
        """
        tmp = self.tmp_path()
        with self._at_place(tmp, lambda: writer.digest):
            with open(self._new_file(tmp), "wb") as file:
                writer = BlobWriter(file)
                yield writer
            writer.check(digest, size)
        self.bytes_written += writer.size

    @contextlib.contextmanager
    def _at_place(self, tmp: str, digest: Callable[[], str]) -> Iterator[None]:
        """What is written to `tmp` meanwhile becomes the blob. Raises StoreError; what failed leaves nothing."""
        done = False
        try:
            yield
            self.take(tmp, digest())
            done = True
        except OSError as error:
            if error.errno in FULL:
                raise self.full() from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise StoreError(
                    f"cannot write to the store {self.store}: {error.strerror}",
                    hint="make it writable, or choose another store with BUILDRULES_CACHE_DIR",
                ) from error
            raise
        finally:
            if not done:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(tmp)

    def take(self, path: str, digest: str) -> None:
        """Rename a file of the store's disk, whose content was seen to be `digest`, into its place. Raises OSError."""
        target = self.path(digest)
        place(path, target)
        self.sound[hex_of(digest)] = _stat(os.lstat(target))

    def full(self) -> StoreError:
        """The error for a disk that has no room for the store."""
        return StoreError(
            f"no space left in the store {self.store}",
            hint="free some space, run 'buildrules cache gc', or move the store with BUILDRULES_CACHE_DIR",
        )

    def tmp_path(self) -> str:
        """A fresh name in `tmp/`, on the same file system as the blobs."""
        return os.path.join(self.tmp, f"{os.getpid()}-{os.urandom(8).hex()}")

    def heal(self, digest: str) -> bool:
        """Hash the blob and remove it where it is not what its name says; whether it is there and right."""
        found, name = "", hex_of(digest)
        try:
            with self.open(digest) as file:
                seen = _stat(os.fstat(file.fileno()))
                sha256 = new_hash()
                for run in runs_of(file.fileno()):
                    sha256.update(run)
                found = sha256.hexdigest()
        except (OSError, DamagedError):
            pass  # a disk that cannot read it is no better
        if found == name:
            self.sound[name] = seen
            return True
        self.discard(digest)
        return False

    def discard(self, digest: str) -> None:
        """Forget the blob, or whatever stands in its place. Raises StoreError where that cannot be done."""
        path = self.path(digest)
        self.sound.pop(hex_of(digest), None)
        try:
            remove(path)
        except OSError as error:
            raise StoreError(
                f"cannot remove {path!r} from the store: {error.strerror}",
                hint="make the store writable, or choose another one with BUILDRULES_CACHE_DIR",
            ) from error

    def mend(self) -> list[str]:
        """Hash all that was met and remove what is damaged; the digests of that."""
        there = [name for name in sorted(self.met) if os.path.lexists(self.path(name))]
        return [f"sha256:{name}" for name in there if not self.heal(name)]


_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def remove(path: str) -> None:
    """Remove a file, a link or a folder with all in it; nothing where nothing is there. Raises OSError."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno in _NOTHING:
            return
        if not os.path.isdir(path):
            raise
        import shutil

        shutil.rmtree(path)


def place(tmp: str, target: str) -> None:
    """Rename a file into its place in the store. What is no folder above it, and a folder there, makes way."""
    try:
        os.replace(tmp, target)
    except OSError as error:
        if error.errno in (*FULL, errno.EROFS):
            raise
        folder = os.path.dirname(target)
        if os.path.isdir(folder) and not os.path.islink(folder):
            if os.path.isdir(target):
                remove(target)
        else:  # never with what is in it: somebody else may have made the folder meanwhile, and placed a blob there
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                os.unlink(folder)
        os.makedirs(folder, exist_ok=True)
        os.replace(tmp, target)


class BlobWriter:
    """Writes to a file and hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = new_hash()
        self.size = 0

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what was written so far."""
        return "sha256:" + self._sha256.hexdigest()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append `data`; returns its length."""
        self._file.write(data)
        self._sha256.update(data)
        self.size += len(data)
        return len(data)

    def check(self, digest: str | None, size: int | None) -> None:
        """Raise IntegrityError unless what was written has `digest` and `size`, where they are given."""
        wanted = f"sha256:{hex_of(digest)}" if digest is not None else self.digest
        if wanted != self.digest or size not in (None, self.size):
            expected = wanted + (f" ({size} bytes)" if size is not None else "")
            raise IntegrityError(f"expected {expected}, got {self.digest} ({self.size} bytes)")
