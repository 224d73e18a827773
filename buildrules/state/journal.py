"""The journal of a state: what builds changed since its base was written. See `state.reader` for the form."""

import marshal
import zlib

from buildrules.state.rows import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

JOURNAL = b"buildrules journal 1\n"


class Change:
    """What the journal says of a group: its number, paths and record, and the groups that it came beside."""

    __slots__ = ("beside", "number", "paths", "record")

    def __init__(self, row: "tuple[int, bytes, bytes, tuple[int, ...]]") -> None:
        self.number, self.paths, self.record, self.beside = row


def journal_path(path: str) -> str:
    """The journal of the base at `path`."""
    return f"{path}.journal"


def read_journal(path: str, generation: int) -> "tuple[list[tuple[Any, ...]], int, int]":
    """The sound entries of the journal of the base at `path`, where they end in bytes, and the checksum up to there.

    No entries, 0 and 0 where there is no journal of the base of this `generation`.
    """
    entries: list[tuple[Any, ...]] = []
    try:
        with open(open_regular(journal_path(path)), "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return entries, 0, 0
    begin = JOURNAL + generation.to_bytes(8, "little")
    if not data.startswith(begin):
        return entries, 0, 0
    at, total = len(begin), zlib.crc32(begin)
    while at + 8 <= len(data):
        size, expected = memoryview(data[at : at + 8]).cast("I")
        entry = data[at + 8 : at + 8 + size]
        following = zlib.crc32(entry, total)
        if len(entry) != size or following != expected:
            break
        entries.append(marshal.loads(entry))  # noqa: S302
        at, total = at + 8 + size, following
    return entries, at, total
