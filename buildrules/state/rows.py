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
        number = device = 0
        try:
            for path in paths[start:end]:
                now = stat(path)
                number = hash((number, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))
            if count:
                device = now.st_dev
        except OSError:
            number = fold(map(row_of, paths[start:end]))
        else:
            number = hash((number, device))
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


def names_digest(path: str) -> str | None:
    """A digest of the names in a directory, None where it cannot be listed."""
    import hashlib

    try:
        names = sorted(map(os.fsencode, os.listdir(path)))
    except OSError:
        return None
    return hashlib.sha256(b"\0".join(names)).hexdigest()
