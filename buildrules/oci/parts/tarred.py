"""Members of tar archives that others made, of which paths, kinds and sizes are what a layer may have.

Formats: see `oci.untar`. Where links lead is checked by who knows where members are laid.
"""

import contextlib
import tarfile
from collections.abc import Iterator
from typing import IO

from buildrules.errors import IntegrityError
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Chunks
from buildrules.oci.paths import bad_path
from buildrules.oci.untar import entries

IN_MEMORY = 8 << 20  # bytes; a larger file is handed on in chunks
_CHUNK = 1 << 20
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"1": HARDLINK, b"2": SYMLINK, b"5": DIRECTORY}
_SPECIAL = {b"3": "character device", b"4": "block device", b"6": "named pipe"}


class Member:
    """One member: its path, "" for the folder that is the root, what it is (as of `Entry`), its permission bits, where
    it leads (a path in the archive, where it is a hardlink), and of a file its bytes.
    """

    __slots__ = ("_content", "_damage", "kind", "link", "mode", "path", "size", "what")

    def __init__(self, info: tarfile.TarInfo, content: IO[bytes] | None, what: str, damage: type[Exception]) -> None:
        self.path, self.mode, self.size, self.link = _clean(info.name), info.mode & 0o7777, info.size, info.linkname
        self.what, self._content, self._damage = what, content, damage
        if info.type in _SPECIAL:
            raise self.wrong(f"is a {_SPECIAL[info.type]}")
        if info.type not in _KINDS:
            raise self.wrong(f"is of unknown type {info.type!r}")
        self.kind = _KINDS[info.type]
        if (self.path or self.kind != DIRECTORY) and (problem := bad_path(self.path)):
            raise self.wrong(problem)
        if self.kind == FILE and self.size < 0:
            raise self.wrong("has no size")
        if self.kind == HARDLINK:
            self.link = _clean(self.link)
            if problem := bad_path(self.link):
                raise self.wrong(problem, self.link)

    def wrong(self, problem: str, quoted: str | None = None) -> IntegrityError:
        """The error for a path, this one's or a `quoted` one."""
        return IntegrityError(f"{(self.path if quoted is None else quoted)!r} in {self.what} {problem}")

    def read(self, size: int = -1) -> bytes:
        """The next bytes of a file, or what is left. Raises IntegrityError where it is damaged."""
        with _told(self.what, self._damage):
            return self._content.read(size) if self._content is not None else b""

    @property
    def content(self) -> bytes | Chunks:
        """All of a file, as `Entry` takes it; to be read before the next member is asked for."""
        return self.read() if self.size <= IN_MEMORY else Chunks(self._chunks)

    def _chunks(self) -> Iterator[bytes]:
        while data := self.read(_CHUNK):
            yield data


def members(stream: IO[bytes], damage: type[Exception], what: str, *, whole: bool = False) -> Iterator[Member]:
    """The members of a tar, `what` in errors; `damage` is what reading `stream` raises, `whole` as of `entries`.

    Raises IntegrityError where it is damaged, or holds a path that climbs or a device.
    """
    with _told(what, damage):
        for info, content in entries(stream, whole=whole):
            yield Member(info, content, what, damage)


@contextlib.contextmanager
def _told(what: str, damage: type[Exception]) -> Iterator[None]:
    """While inside, what damaged content raises is an IntegrityError."""
    try:
        yield
    except (tarfile.TarError, OSError, ValueError, EOFError, damage) as error:
        raise IntegrityError(f"{what} cannot be unpacked: {error}") from None


def _clean(path: str) -> str:
    """Without the leading `./` and the slash after a folder; anything else is left for the check."""
    path = path.removeprefix("./").removesuffix("/")
    return "" if path == "." else path
