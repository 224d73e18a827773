"""Files out of archives: tar, plain or gzip, and zip. Nothing is written that the caller does not ask for."""

from __future__ import annotations

import contextlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from .failure import UNUSABLE, Failure
from .sources import safe_path

MEMBERS = 200_000  # more is no model but an attack, or a mistake
BLOWN_UP = 200  # so many times its own size no archive unpacks to that holds a model,
SMALL = 1 << 30  # unless it is not much after all (bytes)
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, OSError, ValueError),  # zipfile: a compression it does not know; gzip and bz2: bad data
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
            UNUSABLE, f"{what!r} is no archive that can be read: {why}", hint="it must be a .tar, .tar.gz or .zip"
        ) from None


def _tar(path: str, what: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(path, "r:*") as archive:
        for number, entry in enumerate(archive):
            _few(number, what)
            if entry.isdir() or not wanted(_plain(entry.name)):
                continue
            name = _name(entry.name, what)
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise Failure(
                    UNUSABLE,
                    f"{what!r} has {entry.name!r}, which is no plain file",
                    hint="pack the archive without links and devices (tar --dereference)",
                )
            yield name, entry.size, content


def _zip(path: str, what: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for number, entry in enumerate(archive.infolist()):
            _few(number, what)
            if entry.is_dir() or not wanted(_plain(entry.filename)):
                continue
            name = _name(entry.filename, what)
            if entry.flag_bits & 1 or (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000):
                raise Failure(UNUSABLE, f"{what!r} has {entry.filename!r}, which is encrypted or no plain file")
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
