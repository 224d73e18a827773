"""A folder that several machines mount: `file:///path`. Files appear there whole, by being renamed.

Whoever may write in the folder itself may write in what is made below it, whatever the writer's umask says; files are
read-only for all. Links of the folder are not followed to what is no regular file, and nothing is believed anyway.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from stat import S_IMODE, S_ISREG
from urllib.parse import unquote, urlsplit

from buildrules.errors import UsageError
from buildrules.net.session import Session
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.names import CONTENT, RECORDS, content_path, named, record_path
from buildrules.state.rows import open_regular

CHUNK = 1 << 20
ABANDONED = 86400.0  # seconds after which a half-written file is nobody's any more
_OWN = (RECORDS, CONTENT.partition("/")[0])
_ANYWHERE = ("tmp", "lost+found")  # folders of a cache that was not written yet
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def open_place(url: str, session: Session, connection: str | None) -> Backend:  # noqa: ARG001 - the others need them
    """See `remote.opening.open_backend`."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the address of a folder", hint="write file:///absolute/path")
    folder = Folder(os.path.normpath(unquote(parts.path)))
    return Backend(f"file://{parts.path}", folder, folder, folder, batch=256)


class Folder:
    """The records and content below `root`, which is there. Safe for concurrent threads, processes and machines."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._tmp = os.path.join(root, "tmp")
        self._swept = False

    def get(self, key: str) -> bytes | None:
        """See `RecordPlace.get`."""
        try:
            return b"".join(self._read(record_path(key), 0, LARGEST_RECORD + 1)) or None
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """See `RecordPlace.put`."""
        self._write(record_path(key), len(data), lambda: [data], os.replace if replace else _keep)

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See `ContentPlace.holds`."""
        return {blob.digest for blob in blobs if self._size(content_path(blob.digest)) == blob.size}

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See `ContentPlace.read`."""
        return self._read(content_path(blob.digest), offset, blob.size - offset + 1)

    def write(self, blob: Blob, body: Body) -> None:
        """See `ContentPlace.write`."""
        if not self.holds([blob]):
            self._write(content_path(blob.digest), blob.size, body, os.replace)

    def entries(self) -> Iterator[Entry]:
        """See `Shelf.entries`."""
        self._look()
        try:
            others = self._others()
            if others:
                neither = " nor ".join(map(repr, _OWN))
                raise RemoteError(f"it is no cache, for it has neither {neither}, but {others[0]!r}")
            for top in (RECORDS, CONTENT):
                for start in _listed(os.path.join(self._root, top)):
                    for file in _listed(start.path):
                        found = named(f"{top}/{start.name}/{file.name}")
                        with contextlib.suppress(FileNotFoundError):
                            row = file.stat(follow_symlinks=False)
                            if found is not None and S_ISREG(row.st_mode):
                                yield Entry(*found, row.st_size, row.st_mtime)
        except OSError as error:
            raise _failure(error) from None

    def _others(self) -> list[str]:
        """The folders below the root where none is a cache's: somebody has named another one. Raises OSError."""
        names = [file.name for file in _listed(self._root) if file.is_dir() and not file.name.startswith(".")]
        return [] if {*_OWN}.intersection(names) else sorted({*names}.difference(_ANYWHERE))

    def remove(self, entry: Entry) -> None:
        """See `Shelf.remove`. With the first go half-written files that somebody left a day ago."""
        self._sweep()
        path = record_path(entry.name) if entry.kind == "record" else content_path(entry.name)
        try:
            os.unlink(os.path.join(self._root, path))
        except OSError as error:
            if error.errno not in _MISSING:
                raise _failure(error) from None

    def _sweep(self) -> None:
        """Remove what nobody writes any more, as far as that can be done."""
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(OSError):
            for file in _listed(self._tmp):
                with contextlib.suppress(OSError):
                    if file.stat(follow_symlinks=False).st_mtime < time.time() - ABANDONED:
                        os.unlink(file.path)

    def _size(self, path: str) -> int | None:
        """The size of a file, in bytes; None where there is none."""
        try:
            row = os.lstat(os.path.join(self._root, path))
        except OSError as error:
            if error.errno in _MISSING:
                self._look()
                return None
            raise _failure(error) from None
        return row.st_size if S_ISREG(row.st_mode) else None

    def _read(self, path: str, offset: int, most: int) -> Iterator[bytes]:
        """At most `most` bytes of a file from `offset` on. Raises FileNotFoundError, RemoteError."""
        try:
            with open(open_regular(os.path.join(self._root, path)), "rb", buffering=0) as file:
                file.seek(offset)
                while most > 0 and (run := file.read(min(CHUNK, most))):
                    most -= len(run)
                    yield run
        except OSError as error:
            if error.errno not in _MISSING:
                raise _failure(error) from None
            self._look()
            raise FileNotFoundError(path) from None

    def _write(self, path: str, size: int, body: Body, place: Callable[[str, str], None]) -> None:
        """Write a file of `size` bytes aside, and have `place` rename it to `path`."""
        target = os.path.join(self._root, path)
        tmp = os.path.join(self._tmp, f"{os.uname().nodename}-{os.getpid()}-{os.urandom(8).hex()}")
        try:
            self._folder(self._tmp)
            try:
                _fill(tmp, body())
                if os.stat(tmp).st_size != size:
                    raise RemoteError(f"{os.stat(tmp).st_size} bytes were written instead of {size}", retry=True)
                self._folder(os.path.dirname(target))
                place(tmp, target)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(tmp)
        except OSError as error:
            raise _failure(error, refused=error.errno in _REFUSED) from None

    def _folder(self, path: str) -> None:
        """Make a folder below the root, and those above it, with the root's permissions. Raises OSError."""
        if path == self._root or os.path.isdir(path):
            return
        above = os.path.dirname(path)
        self._folder(above)
        try:
            os.mkdir(path)
        except FileExistsError:  # by somebody else meanwhile
            return
        os.chmod(path, S_IMODE(os.stat(self._root).st_mode))

    def _look(self) -> None:
        """Raise RemoteError where the folder itself is not there: it may not be mounted."""
        if not os.path.isdir(self._root):
            raise RemoteError(f"there is no folder {self._root!r}; mount it, or make it")


def _keep(tmp: str, target: str) -> None:
    """Have `tmp` at `target` as well, unless something is there that is not empty. Raises OSError."""
    try:
        os.link(tmp, target)
    except FileExistsError:
        if os.lstat(target).st_size == 0:  # what a machine left that lost its power
            os.replace(tmp, target)
    except PermissionError:  # a file system without hard links; the others raise what cannot be done
        if not os.path.lexists(target):
            os.replace(tmp, target)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if not os.path.lexists(target):
            os.replace(tmp, target)


def _fill(path: str, runs: Iterable[bytes]) -> None:
    """Write a new file, which all may read. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "wb", buffering=0) as file:
        for run in runs:
            left = memoryview(run)
            while left:
                left = left[file.write(left) :]
        os.fchmod(handle, 0o444)


def _listed(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError as error:
        if error.errno not in _MISSING:
            raise


def _failure(error: OSError, *, refused: bool = False) -> RemoteError:
    """What an error of a file system means."""
    text = (error.strerror or str(error)).lower()
    return RemoteError(text, refused=refused, too_large=error.errno == errno.EFBIG)
