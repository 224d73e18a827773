"""Files out of archives: tar, plain or gzip, and zip. Nothing is written that the caller does not ask for."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from .failure import UNUSABLE, Failure
from .sources import safe_path

MEMBERS = 200_000  # more is no model but an attack, or a mistake
HEADER = 1 << 20  # bytes of an entry's name, attributes and holes; tar writes a few hundred
BLOWN_UP = 200  # so many times its own size no archive unpacks to that holds a model,
SMALL = 1 << 30  # unless it is not much after all (bytes)
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(OSError, ValueError, RecursionError),  # gzip and bz2: bad data
    NotImplementedError,  # zipfile: a compression it does not know
)


class Content:
    """The bytes of one file of an archive, as they are read. `read` raises Failure for an archive that is broken."""

    def __init__(self, inner: IO[bytes], what: str) -> None:
        self._inner = inner
        self._what = what

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end."""
        with _readable(self._what):
            return self._inner.read(count)


def members(path: str, what: str, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[str, int, Content]]:
    """(name, size in bytes, its content, readable until the next one) of every file in the archive at `path`.

    `what` is the archive's name for people; entries whose names are not `wanted` are passed over. Raises Failure for
    paths that lead out, links, devices, encrypted or broken archives, those that blow up, two files of one name.
    """
    seen: set[str] = set()
    total, most = 0, max(SMALL, BLOWN_UP * os.path.getsize(path))
    found = _zip(path, what, wanted) if zipfile.is_zipfile(path) else _tar(path, what, wanted)
    while True:
        with _readable(what):
            member = next(found, None)
        if member is None:
            return
        name, size, content = member
        total += size
        if total > most:
            raise Failure(
                UNUSABLE,
                f"{what!r} would unpack to more than {most >> 20} MiB, which no archive of its size does",
                hint="look at what it holds; if it is right, pack it without compression",
            )
        if name in seen:
            raise Failure(UNUSABLE, f"{what!r} has two files named {name!r}", hint="pack it anew")
        seen.add(name)
        yield name, size, Content(content, what)


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        why = " ".join(str(error).split(" - method", 1)[0].splitlines()[:1]).rstrip(":")
        raise Failure(
            UNUSABLE, f"{what!r} cannot be read as an archive: {why}", hint="it must be a .tar, .tar.gz or .zip"
        ) from None


def _tar(path: str, what: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, IO[bytes]]]:
    with _opened(path) as stream:
        bounded = _Bounded(stream, what)
        source: Any = bounded  # it has of a file what tarfile uses
        with tarfile.open(fileobj=source, mode="r:") as archive:
            yield from _entries(archive, bounded, what, wanted)


def _opened(path: str) -> Any:
    """The tar stream in a file, by what the compression begins with (RFC 1952, bzip2, xz and lzma formats)."""
    with open(path, "rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZh"):
        return bz2.open(path)
    return lzma.open(path) if start.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")) else open(path, "rb")


class _Bounded:
    """A tar stream whose headers, long names and maps of holes in files are bounded: tarfile holds them in memory."""

    def __init__(self, inner: Any, what: str) -> None:
        self._inner = inner
        self._what = what
        self._left: int | None = HEADER
        self.seek, self.tell = inner.seek, inner.tell

    def bound(self, left: int | None) -> None:
        """From now on at most so many bytes are read; any number for None."""
        self._left = left

    def read(self, count: int) -> bytes:
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                raise Failure(
                    UNUSABLE,
                    f"{self._what!r} has an entry whose header is larger than {HEADER >> 20} MiB",
                    hint="pack it anew, without extended attributes",
                )
        data: bytes = self._inner.read(count)
        return data


def _entries(
    archive: tarfile.TarFile, bounded: _Bounded, what: str, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, int, IO[bytes]]]:
    number = 0
    while (entry := archive.next()) is not None:
        _few(number, what)
        number += 1
        if not entry.isdir() and wanted(_plain(entry.name)):
            name = _name(entry.name, what)
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise Failure(
                    UNUSABLE,
                    f"{what!r} has {entry.name!r}, which is not a plain file",
                    hint="pack the archive without links and devices (tar --dereference)",
                )
            bounded.bound(None)
            yield name, entry.size, content
        bounded.bound(HEADER)


def _zip(path: str, what: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for number, entry in enumerate(archive.infolist()):
            _few(number, what)
            if not entry.filename:
                raise Failure(UNUSABLE, f"{what!r} has a file without a name", hint="pack it anew")
            if entry.is_dir() or not wanted(_plain(entry.filename)):
                continue
            name = _name(entry.filename, what)
            if entry.flag_bits & 1 or (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000):
                raise Failure(UNUSABLE, f"{what!r} has {entry.filename!r}, which is encrypted or not a plain file")
            with archive.open(entry) as content:
                yield name, entry.file_size, content


def _plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _name(name: str, what: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Failure(UNUSABLE, f"{what!r} has a file named {name!a}, which is not UTF-8") from None
    if not safe_path(_plain(name)):
        raise Failure(UNUSABLE, f"{what!r} has a file named {name!r}, which leads out of the model's directory")
    return _plain(name)


def _few(number: int, what: str) -> None:
    if number > MEMBERS:
        raise Failure(UNUSABLE, f"{what!r} has more than {MEMBERS} entries")
