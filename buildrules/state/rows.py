"""Rows: the stats of files and directories, folded into one number for each directory.

A group is a directory with the paths of interest in it. Its number is a rolling hash over (inode, size, mtime, ctime)
of each path in order, and over the device. What is not there counts as well. `RACY` equals no such hash: a group with
a path that was modified too shortly before it was looked at is looked at again.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Stat = tuple[int, int, int, int, int]
"""(device, inode, size, mtime_ns, ctime_ns): the part of a stat that a change to a file cannot leave as it was."""

RACY_NS = 2_000_000_000
"""A file that was modified less than this before it was looked at could change again and keep its stat."""

RACY = -1
"""Never the value of `hash()`, which says -2 for it."""

_GONE = -2


def modified(row: Stat, now: int) -> int:
    """When what has this row was last modified, in ns: the later of its two times.

    A modification time after `now` was set by somebody, as archives and copies do: then the change time says it. That
    cannot be set; where it lies in the future a clock was set back, or a server's is ahead, and it is waited for.
    """
    _, _, _, mtime, ctime = row
    return ctime if mtime > now else max(mtime, ctime)


def fold(rows: "Iterable[Stat | None]") -> int:
    """The number of a group with these rows; None stands for what is not there."""
    number = device = 0
    for row in rows:
        if row is None:
            number, device = hash((number, _GONE)), 0
        else:
            device = row[0]
            number = hash((number, *row[1:]))
    return hash((number, device))


def changed(
    numbers: "Sequence[int]", counts: "Sequence[int]", paths: "Sequence[bytes]", expected: "Sequence[int]"
) -> "list[int]":
    """Which groups (of `numbers`) are not as expected: the first has the first `counts[0]` of the paths, and so on."""
    found: list[int] = []
    stat = os.stat
    start = 0
    for at, count in enumerate(counts):
        end = start + count
        number, now = 0, None
        for path in paths[start:end]:
            try:
                now = stat(path)
            except OSError:
                number, now = hash((number, _GONE)), None
            else:
                number = hash((number, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))
        number = hash((number, now.st_dev if now else 0))
        if number != expected[at]:
            found.append(numbers[at])
        start = end
    return found


def row_of(path: "bytes | str") -> "Stat | None":
    """The row of a path now, None where nothing is there."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


def shape_of(path: str) -> str:
    """What is at a path: "file", "directory" or "nothing" (links are followed; all else is a file)."""
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.lexists(path) else "nothing"


def open_regular(path: "bytes | str") -> int:
    """A file opened for reading (its number). Raises OSError, also for what is no regular one: a pipe would wait for
    its other end, and a device may never end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode & 0o170000  # S_IFMT
    if mode != 0o100000:
        os.close(handle)
        if mode == 0o040000:
            raise IsADirectoryError(0, "it is a directory", path)
        raise OSError(0, "it is not a regular file", path)
    return handle


def names_digest(path: str) -> str | None:
    """A digest of the names in a directory, None where it cannot be listed."""
    from buildrules.sha256 import hex_digest

    try:
        names = sorted(map(os.fsencode, os.listdir(path)))
    except OSError:
        return None
    return hex_digest(b"\0".join(names))
