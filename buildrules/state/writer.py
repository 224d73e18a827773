"""Writes the state of a workspace: a base as a whole, or one entry of the journal. See `state.reader` for the form.

Whoever writes holds a lock. A base is written beside the old one and renamed; a reader that has the old one open finds
no journal of its own any more, and what it holds was true when it was written. An entry is appended only to the journal
that the writer read: if somebody else was faster, what would be kept is dropped, which costs time and nothing else.
OSError is the caller's to ignore: a state only saves time.
"""

import contextlib
import fcntl
import marshal
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence

from buildrules.state.journal import JOURNAL, journal_path
from buildrules.state.reader import (
    ACTION,
    GROUP,
    HEAD,
    LINKS,
    MAGIC,
    NUMBERS,
    REQUEST,
    REST,
    STALE,
    State,
    absolute,
    checksum,
)
from buildrules.typed import Any, NamedTuple

_LONGEST = 256 << 10  # bytes of a journal beyond which a new base is written, or a sixteenth of the base
_MODE = 0o600


class GroupRow(NamedTuple):
    """A group: its paths, each ending in NUL, what their rows fold into, its record."""

    paths: bytes
    number: int
    record: bytes


class Base(NamedTuple):
    """All of a state: what is at a position has that number. `requests` are (key, head, rest)."""

    groups: Sequence[GroupRow]
    links: Sequence[bytes]
    actions: Sequence[bytes]
    requests: Sequence[tuple[int, bytes, bytes]]
    stale: Iterable[int] = ()


class Entry(NamedTuple):
    """What one build changed, by numbers of groups and actions; see `journal.Change` for a group's row."""

    groups: dict[int, tuple[int, bytes, bytes, tuple[int, ...]]]
    actions: dict[int, bytes]
    stale: tuple[tuple[int, ...], tuple[int, ...]]  # actions that are not up to date any more, and that are again
    ran: tuple[int, ...]  # actions that made something else than before
    told: tuple[int, tuple[int, ...]]  # the request that was answered, and the actions whose pieces were made anew
    patch: dict[int, Any]  # of its answer: pieces by position, the frame at -1


def write_base(path: str, identity: bytes, base: Base) -> None:
    """Replace the state at `path`."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = f"{path}.new"  # one at a time: whoever writes holds the lock
    try:
        with _locked(path), open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
            file.writelines(_pieces(identity, base))
            file.flush()
            os.replace(beside, path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(journal_path(path))
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def _pieces(identity: bytes, base: Base) -> list[bytes]:
    """The base, its head first."""
    at = HEAD + len(identity)
    numbers: dict[str, int] = dict.fromkeys(NUMBERS, 0)
    pieces: list[bytes] = []

    def add(data: bytes) -> int:
        nonlocal at
        pieces.append(data)
        start, at = at, at + len(data)
        return start

    def add_record(kind: int, position: int, content: bytes) -> tuple[int, int]:
        return add(checksum(kind, position, content) + content), 4 + len(content)

    def add_records(kind: int, records: Iterable[bytes]) -> int:
        starts = [add_record(kind, number, record)[0] for number, record in enumerate(records)]
        return add(b"".join(_eight(start) for start in (*starts, at)))

    groups = base.groups
    check = b"".join(
        (
            *(group.number.to_bytes(8, "little", signed=True) for group in groups),
            *(group.paths.count(b"\0").to_bytes(4, "little") for group in groups),
            *(group.paths for group in groups),
        )
    )
    numbers |= {"check": add(check), "check_size": len(check), "check_sum": zlib.crc32(check)}
    numbers["group_table"] = add_records(GROUP, (group.record for group in groups))
    numbers["link_table"] = add_records(LINKS, base.links)
    numbers["action_table"] = add_records(ACTION, base.actions)
    rows = [(key, *add_record(REQUEST, key, head), *add_record(REST, key, rest)) for key, head, rest in base.requests]
    table = b"".join(_eight(number) for row in rows for number in row)
    numbers["request_table"] = add(table + zlib.crc32(table).to_bytes(4, "little"))
    if stale := tuple(base.stale):
        numbers["stale"], numbers["stale_size"] = add_record(STALE, 0, marshal.dumps(stale))
    numbers |= {"identity": len(identity), "generation": int.from_bytes(os.urandom(8), "little"), "size": at}
    numbers |= {"groups": len(groups), "actions": len(base.actions), "requests": len(rows)}
    head = MAGIC + b"".join(_eight(numbers[name]) for name in NUMBERS)
    return [head, zlib.crc32(identity, zlib.crc32(head)).to_bytes(4, "little"), identity, *pieces]


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "little")


def append(state: State, entry: Entry) -> bool:
    """Add an entry to the journal of the state that was read. False where somebody else changed it since."""
    begin = JOURNAL + _eight(state.generation)
    data = marshal.dumps(tuple(entry))
    before = zlib.crc32(begin) if not state.journal_end else state.journal_sum
    total = zlib.crc32(data, before)
    with _locked(state.path):
        if not _current(state):
            return False
        file = os.open(journal_path(state.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            if state.journal_end:
                if _followed(file, state, begin):
                    return False
                os.ftruncate(file, state.journal_end)  # what is torn would hide what comes after it
            else:
                if os.pread(file, len(begin), 0) == begin:
                    return False
                os.ftruncate(file, 0)
            piece = len(data).to_bytes(4, "little") + total.to_bytes(4, "little") + data
            os.pwrite(file, piece if state.journal_end else begin + piece, state.journal_end)
        finally:
            os.close(file)
    state.journal_end = (state.journal_end or len(begin)) + len(piece)
    state.journal_sum = total
    return True


def _current(state: State) -> bool:
    """Whether the base at the path is still the one that was opened."""
    try:
        now, then = os.stat(state.path), os.fstat(state.file)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)


def _followed(file: int, state: State, begin: bytes) -> bool:
    """Whether a sound entry stands after those that were read, or these are not there any more."""
    if os.pread(file, len(begin), 0) != begin or os.fstat(file).st_size < state.journal_end:
        return True
    head = os.pread(file, 8, state.journal_end)
    if len(head) < 8:
        return False
    size, expected = memoryview(head).cast("I")
    data = os.pread(file, min(size, os.fstat(file).st_size), state.journal_end + 8)
    return len(data) == size and zlib.crc32(data, state.journal_sum) == expected


def is_long(state: State) -> bool:
    """Whether the journal has become so long that a new base is worth it."""
    return state.journal_end > max(_LONGEST, state.base_size // 16)


def compact(state: State, identity: bytes) -> None:
    """Write a new base with all that the journal says. Records are moved as they are."""
    write_base(state.path, identity, whole(state))


def whole(state: State) -> Base:
    """All of a state as it was read, its journal in the right places. Raises Damaged."""
    numbers, counts, paths, expected = state.all_groups()
    every = absolute(paths, b"")
    groups: list[GroupRow] = []
    start = 0
    for number, count in zip(numbers, counts, strict=True):
        mine = every[start : start + count]
        start += count
        change = state.group_changes.get(number)
        if change is None:
            groups.append(GroupRow(joined(mine), expected[number], state.raw(GROUP, number)))
        else:
            groups.append(GroupRow(change.paths, change.number, change.record))
    for number in range(len(groups), state.group_count):
        change = state.group_changes[number]
        groups.append(GroupRow(change.paths, change.number, change.record))
    actions = range(state.action_count)
    requests = []
    for request in state.requests():
        watched = state.watched(request)
        request.watch = None if watched is None else watch(watched, groups)
        requests.append((request.key, marshal.dumps(request.head()), marshal.dumps(state.rest(request))))
    return Base(
        groups,
        [state.raw(LINKS, number) for number in actions],
        [state.action_changes.get(number) or state.raw(ACTION, number) for number in actions],
        requests,
        tuple(sorted(state.stale)),
    )


def watch(
    numbers: Sequence[int], groups: "Sequence[GroupRow] | dict[int, GroupRow]"
) -> tuple[tuple[int, ...], tuple[int, ...], bytes, tuple[int, ...]]:
    """What a request that needs only these groups keeps of them; see `reader.Known`."""
    counts, paths, expected = [], [], []
    for number in numbers:
        group = groups[number]
        _, _, own, skip = marshal.loads(group.record)  # noqa: S302 - made here
        mine = group.paths.split(b"\0", skip)[skip]
        counts.append(mine.count(b"\0"))
        paths.append(mine)
        expected.append(own)
    return tuple(numbers), tuple(counts), b"".join(paths), tuple(expected)


def joined(paths: Iterable[bytes]) -> bytes:
    """Paths as a group keeps them."""
    return b"".join(path + b"\0" for path in paths)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of the states of a workspace."""
    handle = os.open(os.path.join(os.path.dirname(path), "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
