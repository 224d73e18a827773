"""The snapshot file of one command line in one workspace, and the check of an unchanged build.

Imported before anything is known to have changed: nothing but os, marshal and zlib, which start-up has
loaded or which are built in.

    magic | length of the head, of both, CRC-32 of the head, of the body (8 bytes each) | head | body
    head = marshal((identity, rows, checks, shapes, text, json))     read always
    body = marshal(dict)                                             read only where something changed

A row is (path, dev, ino, size, mtime_ns, ctime_ns): every file and directory the build looked at. A
check is (path, size): the blobs the answer names. A shape is (path, what is there), of paths that no row
answers for: what was not there must go on not being there. marshal.loads of bytes is seven times as fast as
marshal.load of a file.
"""

import marshal
import os
import sys
import zlib

from buildrules import __version__
from buildrules.snapshot.location import store_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MAGIC = b"buildrules snapshot 5\n"
_PREFIX = len(_MAGIC) + 32
Row = tuple[str, int, int, int, int, int]

UNTRUSTED = (0, 0, 0, 0, 0)
"""The stat kept for a file that was modified too shortly before it was hashed: it never compares equal."""


def environment() -> tuple[str | None, ...]:
    """The variables that can change an image, as they are now. By name, since others may hold secrets."""
    return (os.environ.get("SOURCE_DATE_EPOCH"),)


def identity(root: str, argv: list[str], directory: str) -> tuple[object, ...]:
    """What a snapshot belongs to: this version and interpreter, the workspace, the command line, its directory."""
    return (__version__, sys.version_info[:2], root, tuple(argv), directory, environment())


def snapshot_path(root: str, argv: list[str], directory: str) -> str:
    """Where the snapshot of a command line is kept. Two command lines may share a path; `identity` tells them apart."""
    place = f"{zlib.crc32(root.encode('utf-8', 'surrogateescape')):08x}"
    command = "\0".join([directory, *argv]).encode("utf-8", "surrogateescape")
    return os.path.join(store_root(), "workspaces", place, f"{zlib.crc32(command):08x}.snapshot")


def shape_of(path: str) -> str:
    """What is at a path: "file", "directory" or "nothing" (links are followed; all else is a file)."""
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.lexists(path) else "nothing"


def unanswered(shapes: dict[str, str], rows: list[Row]) -> list[tuple[str, str]]:
    """The shapes that no row answers for: neither of the path itself, nor for "nothing" of the folder it is not in."""
    known = {row[0] for row in rows}
    return [
        (path, shape)
        for path, shape in shapes.items()
        if (os.path.dirname(path) if shape == "nothing" else path) not in known
    ]


class Snapshot:
    """A snapshot that was read. `unchanged` answers; `body` is for those who go on."""

    __slots__ = ("_body", "_checks", "_rows", "_shapes", "json", "text")

    def __init__(self, head: "list[Any]", body: "Callable[[], bytes | None]") -> None:
        self._rows, self._checks, self._shapes, self.text, self.json = head
        self._body = body

    def unchanged(self) -> bool:
        """Whether everything the build looked at is as it was, and what it made is still there."""
        stat = os.stat
        try:
            for path, *row in self._rows:
                now = stat(path)
                if [now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns] != row:
                    return False
            for path, size in self._checks:
                if stat(path).st_size != size:
                    return False
            for path, shape in self._shapes:
                if shape_of(path) != shape:
                    return False
        except OSError:
            return False
        return True

    def body(self) -> "dict[str, Any] | None":
        """The rest: the plan, and what is needed to go on from it. None where it is damaged."""
        data = self._body()
        if data is None:
            return None
        value: dict[str, Any] = marshal.loads(data)  # noqa: S302 - our own file, in the user's own store
        return value


def read(path: str, wanted: tuple[object, ...]) -> Snapshot | None:
    """The snapshot at `path` if it is one, complete, undamaged and of `wanted` identity; else None."""
    parts = _parts(path)
    if parts is None:
        return None
    try:
        found, *head = marshal.loads(parts[0])  # noqa: S302
        return Snapshot(head, parts[1]) if found == wanted else None
    except (ValueError, EOFError, TypeError):
        return None


def _parts(path: str) -> "tuple[bytes, Callable[[], bytes | None]] | None":
    """The head, and how to read the body, if they are what was written: damage must not name another digest.

    The body is large and an unchanged build does without it. It is read from the file that the head was read from,
    even if another has taken its name since.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the body may be asked for
        prefix = file.read(_PREFIX)
        size, total, head_sum, body_sum = (
            int.from_bytes(prefix[start : start + 8], "little") for start in range(len(_MAGIC), _PREFIX, 8)
        )
        complete = prefix.startswith(_MAGIC) and os.fstat(file.fileno()).st_size == _PREFIX + total and size <= total
        head = file.read(size) if complete else b""
    except OSError:
        return None
    if not complete or zlib.crc32(head) != head_sum:
        return None

    def body() -> bytes | None:
        file.seek(_PREFIX + size)
        data = file.read()
        return data if len(data) == total - size and zlib.crc32(data) == body_sum else None

    return head, body


def body_of(path: str) -> "dict[str, Any]":
    """The body of any snapshot file, whatever it belongs to. Raises ValueError where it is none."""
    parts = _parts(path)
    if parts is None:
        raise ValueError(f"not a snapshot: {path!r}")
    data = parts[1]()
    if data is None:
        raise ValueError(f"a damaged snapshot: {path!r}")
    value: dict[str, Any] = marshal.loads(data)  # noqa: S302
    return value


def write(
    path: str,
    wanted: "tuple[Any, ...]",
    *,
    rows: list[Row],
    checks: list[tuple[str, int]],
    shapes: list[tuple[str, str]],
    text: str,
    json: str,
    body: "dict[str, Any]",
) -> None:
    """Keep a snapshot: written aside and renamed. OSError is the caller's to ignore: a snapshot only saves time."""
    head = marshal.dumps((wanted, rows, checks, shapes, text, json))
    tail = marshal.dumps(body)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    aside = f"{path}.{os.getpid()}"
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_MAGIC)
            for number in (len(head), len(head) + len(tail), zlib.crc32(head), zlib.crc32(tail)):
                file.write(number.to_bytes(8, "little"))
            file.write(head)
            file.write(tail)
        os.replace(aside, path)
    except OSError:
        if os.path.exists(aside):
            os.unlink(aside)
        raise
