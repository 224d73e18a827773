"""The state of a workspace, read piece by piece: an answer needs its own pieces only, however large the workspace is.

Two files: a base, and a journal of what changed since. Imported before anything is known to have changed, so it
imports nothing but os, marshal and zlib, which start-up has loaded or which are built in. Numbers are little endian.

    base     magic | numbers (8 bytes each) | CRC-32 of both and of the identity | identity | sections
    check    number of each group (8) | how many paths (4) | all paths, each ends in NUL
    tables   where each record begins, of groups, links, actions, and where the last one ends (8)
    record   CRC-32 of kind, position and content | marshal
    requests (key, where and how long its head, its rest) (8 each) | CRC-32
    journal  magic | generation | entries: length (4), CRC-32 that goes on from the entry before (4), marshal

A group's record is (facts, actions, its number and how many paths to leave out for whom its packages do not matter), an
action's links are (what it needs, what needs it), by number. A path is relative to the workspace. A reader believes
nothing without its checksum; what is damaged is not there.
"""

import marshal
import os
import zlib

from buildrules.state.journal import Change, read_journal
from buildrules.state.rows import changed, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any

MAGIC = b"buildrules state 3\n"
NUMBERS = (
    "generation",
    "identity",
    "groups",
    "actions",
    "requests",
    "check",
    "check_size",
    "check_sum",
    "group_table",
    "link_table",
    "action_table",
    "request_table",
    "stale",
    "stale_size",
    "size",
)
HEAD = len(MAGIC) + 8 * len(NUMBERS) + 4
_FIRST = 4096  # bytes read at once: the head, and most identities
GROUP, LINKS, ACTION, REQUEST, REST, STALE = b"glarst"  # kinds of records


class Damaged(Exception):
    """A piece of a state is not what was written."""


UNREADABLE = (OSError, Damaged, ValueError, EOFError, TypeError, KeyError, IndexError)
"""What reading a state raises."""


def checksum(kind: int, position: int, content: bytes) -> bytes:
    """What stands before a record: a record that is found in another's place is damage as well."""
    return zlib.crc32(content, zlib.crc32(b"%d %d" % (kind, position))).to_bytes(4, "little")


def key_of(words: "Sequence[str]") -> int:
    """The key of a request, of 8 bytes. Two may share one; the words tell them apart."""
    data = "\0".join(words).encode("utf-8", "surrogateescape")
    return zlib.crc32(data) << 32 | zlib.crc32(data[::-1])


class Known:
    """What a command line stands for: which groups and actions it needs, and what to print if nothing changed.

    `watch` is None for one that needs all groups, else (numbers, counts, paths, numbers of the groups as they were).
    `outdated` are goals that another command line built since: their pieces of the answer are to be made anew.
    """

    __slots__ = ("frame", "goals", "key", "outdated", "pieces", "sides", "watch", "words")

    def __init__(self, key: int, head: "Sequence[Any]") -> None:
        self.key = key
        self.words: tuple[str, ...] = head[0]
        self.watch: tuple[tuple[int, ...], tuple[int, ...], bytes, tuple[int, ...]] | None = head[1]
        self.goals: tuple[int, ...] = head[2]
        self.sides: tuple[int, ...] = head[3]
        self.pieces: list[str] = head[4]
        self.frame: tuple[str, str, str] = head[5]
        self.outdated: tuple[int, ...] = head[6]

    def head(self) -> "tuple[Any, ...]":
        """What is written of it."""
        return self.words, self.watch, self.goals, self.sides, self.pieces, self.frame, self.outdated

    def holds(self, stale: frozenset[int]) -> bool:
        """Whether the answer is right if no row differs and these actions are not up to date."""
        return not self.outdated and (not stale or stale.isdisjoint((*self.goals, *self.sides)))

    def answer(self, seconds: float) -> str:
        """What to print if nothing has changed, `seconds` after the program began."""
        before, between, after = self.frame
        end = f"{seconds:.4f}\n}}\n" if before else f"{seconds:.2f} s\n"
        return f"{before}{between.join(self.pieces)}{after}{end}"


class State:
    """A state that was opened. Methods raise Damaged."""

    def __init__(self, path: str, file: int, numbers: "dict[str, int]") -> None:
        self.path = path
        self.generation = numbers["generation"]
        self.file = file
        self._numbers = numbers
        self.group_changes: dict[int, Change] = {}
        self.action_changes: dict[int, bytes] = {}
        self.patches: dict[int, dict[int, Any]] = {}  # by request: pieces by position, the frame at -1
        self.ran: dict[int, set[int]] = {}  # actions that ran since, and the requests whose answers know of it
        self.told: dict[int, set[int]] = {}  # by request, the actions whose pieces were made anew
        self.stale: frozenset[int] = frozenset()
        self.journal_end = 0  # bytes of the journal that are sound, 0 where it is no journal of this base
        self.journal_sum = 0
        self.reads = self.bytes_read = 0
        self._rests: dict[int, dict[str, Any]] = {}

    # -- what is there ------------------------------------------------------------------------------------------------

    @property
    def base_size(self) -> int:
        """Bytes of the base."""
        return self._numbers["size"]

    @property
    def group_count(self) -> int:
        """How many groups there are; their numbers are those below."""
        return max(self._numbers["groups"], *(number + 1 for number in self.group_changes), 0)

    @property
    def action_count(self) -> int:
        """How many actions there are; their numbers are those below."""
        return self._numbers["actions"]

    def request(self, words: "Sequence[str]") -> Known | None:
        """What is known of a command line."""
        key = key_of(words)
        row = self._request_row(key)
        if row is None:
            return None
        found = Known(key, self._load(REQUEST, key, row[1], row[2]))
        if found.words != tuple(words):
            return None
        self._patch(found)
        return found

    def _patch(self, request: Known) -> None:
        for at, piece in self.patches.get(request.key, {}).items():
            if at < 0:
                request.frame = piece
            else:
                request.pieces[at] = piece
        told = self.told.get(request.key, ())
        request.outdated = tuple(
            number
            for number in request.goals
            if (number in request.outdated and number not in told)
            or (number in self.ran and request.key not in self.ran[number])
        )

    def rest(self, request: Known) -> "dict[str, Any]":
        """What is needed of a request to go on: options, goals, connections."""
        if request.key not in self._rests:
            row = self._request_row(request.key)
            if row is None:
                raise Damaged
            self._rests[request.key] = self._load(REST, request.key, row[3], row[4])
        return self._rests[request.key]

    def requests(self) -> "Iterator[Known]":
        """All requests that are known."""
        for key, head, head_size, _, _ in self._request_rows():
            found = Known(key, self._load(REQUEST, key, head, head_size))
            self._patch(found)
            yield found

    # -- what changed -------------------------------------------------------------------------------------------------

    def changed(self, request: Known, prefix: str) -> list[int]:
        """The groups that are not as they were, of those that matter to `request`.

        `prefix` leads from the current directory to the workspace: "" or ends in a slash.
        """
        numbers, counts, paths, expected = self.all_groups() if request.watch is None else request.watch
        changes = self.group_changes
        if request.watch is not None and changes:
            watched = set(numbers)
            changes = {number: change for number, change in changes.items() if self._beside(number, watched)}
        at = os.fsencode(prefix)
        found = changed(numbers, counts, absolute(paths, at), expected)
        if changes:
            found = [number for number in found if number not in changes]
        for number, change in changes.items():
            mine, value = absolute(change.paths, at), change.number
            if request.watch is not None:
                value, skip = self.own(number)
                mine = mine[skip:]
            found += changed((number,), (len(mine),), mine, (value,))
        return found

    def _beside(self, number: int, watched: set[int]) -> bool:
        """Whether somebody who watches these groups watches that one: a new one is watched by whom it came beside."""
        if number in watched:
            return True
        if any(other in watched for other in self.group_changes[number].beside):
            watched.add(number)
            return True
        return False

    def watched(self, request: Known) -> "tuple[int, ...] | None":
        """The groups that matter to a request, with the new ones; None where all do."""
        if request.watch is None:
            return None
        watched = set(request.watch[0])
        for number in self.group_changes:
            self._beside(number, watched)
        return tuple(sorted(watched))

    def all_groups(self) -> "tuple[Sequence[int], Sequence[int], bytes, Sequence[int]]":
        """Numbers of the groups in the base, how many paths each has, all paths, what they were folded into."""
        count = self._numbers["groups"]
        data = self._read(self._numbers["check"], self._numbers["check_size"])
        if zlib.crc32(data) != self._numbers["check_sum"]:
            raise Damaged
        view = memoryview(data)
        return range(count), view[8 * count : 12 * count].cast("I"), data[12 * count :], view[: 8 * count].cast("q")

    def groups_with(self, wanted: "AbstractSet[bytes]") -> set[int]:
        """The groups that have one of these paths."""
        numbers, counts, paths, _ = self.all_groups()
        every = paths.split(b"\0")
        found = {
            number for number, change in self.group_changes.items() if not wanted.isdisjoint(change.paths.split(b"\0"))
        }
        start = 0
        for number, count in zip(numbers, counts, strict=True):
            if not wanted.isdisjoint(every[start : start + count]):
                found.add(number)
            start += count
        return found

    # -- records ------------------------------------------------------------------------------------------------------

    def group(self, number: int) -> "tuple[tuple[Any, ...], tuple[int, ...]]":
        """(facts, actions) of a group."""
        facts, actions, _, _ = self._group(number)
        return facts, actions

    def own(self, number: int) -> "tuple[int, int]":
        """The number of a group for those whom packages in it do not concern, and how many paths these leave out."""
        _, _, own, skip = self._group(number)
        return own, skip

    def _group(self, number: int) -> "tuple[Any, ...]":
        change = self.group_changes.get(number)
        value: tuple[Any, ...] = marshal.loads(self.raw(GROUP, number) if change is None else change.record)  # noqa: S302
        return value

    def links(self, number: int) -> "tuple[tuple[int, ...], tuple[int, ...]]":
        """(what an action needs, what needs it)."""
        value: tuple[tuple[int, ...], tuple[int, ...]]
        value = marshal.loads(self.raw(LINKS, number))  # noqa: S302
        return value

    def action(self, number: int) -> "tuple[Any, ...]":
        """What is kept of an action: see `engine.kept`."""
        value: tuple[Any, ...] = marshal.loads(self.action_changes.get(number) or self.raw(ACTION, number))  # noqa: S302
        return value

    def raw(self, kind: int, number: int) -> bytes:
        """A record of the base as bytes for marshal."""
        table = self._numbers[{GROUP: "group_table", LINKS: "link_table", ACTION: "action_table"}[kind]]
        if not 0 <= number < self._numbers["groups" if kind == GROUP else "actions"]:
            raise Damaged
        start, end = memoryview(self._read(table + 8 * number, 16)).cast("Q")
        return self._checked(kind, number, start, end - start)

    def _load(self, kind: int, position: int, start: int, size: int) -> "Any":
        return marshal.loads(self._checked(kind, position, start, size))  # noqa: S302

    def _checked(self, kind: int, position: int, start: int, size: int) -> bytes:
        if not 4 <= size <= self._numbers["size"]:
            raise Damaged
        data = self._read(start, size)
        content = data[4:]
        if checksum(kind, position, content) != data[:4]:
            raise Damaged
        return content

    def _request_rows(self) -> "Iterator[tuple[int, int, int, int, int]]":
        count = self._numbers["requests"]
        data = self._read(self._numbers["request_table"], 40 * count + 4)
        if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
            raise Damaged
        numbers = memoryview(data)[:-4].cast("Q")
        for at in range(0, 5 * count, 5):
            key, head, head_size, rest, rest_size = numbers[at : at + 5]
            yield key, head, head_size, rest, rest_size

    def _request_row(self, key: int) -> "tuple[int, int, int, int, int] | None":
        return next((row for row in self._request_rows() if row[0] == key), None)

    def _read(self, start: int, size: int) -> bytes:
        self.reads += 1
        self.bytes_read += size
        try:
            data = os.pread(self.file, size, start)
        except (OSError, OverflowError) as error:
            raise Damaged from error
        if len(data) != size:
            raise Damaged
        return data

    def read_stale(self) -> None:
        """Take the actions of the base that are not up to date."""
        if self._numbers["stale_size"]:
            self.stale = frozenset(self._load(STALE, 0, self._numbers["stale"], self._numbers["stale_size"]))

    def read_journal(self) -> None:
        """Take what changed since the base was written, if its journal is there."""
        entries, self.journal_end, self.journal_sum = read_journal(self.path, self.generation)
        for groups, actions, stale, ran, (key, numbers), patch in entries:
            self.group_changes.update((number, Change(row)) for number, row in groups.items())
            self.action_changes.update(actions)
            self.stale = self.stale.difference(stale[1]).union(stale[0])
            self.ran.update((number, set()) for number in ran)
            for number in numbers:
                if number in self.ran:
                    self.ran[number].add(key)
            self.told.setdefault(key, set()).update(numbers)
            self.patches.setdefault(key, {}).update(patch)

    def identity(self) -> "tuple[str, tuple[int, ...], str, str | None, tuple[str, ...]]":
        """What it belongs to: see `location.identity`."""
        value: tuple[str, tuple[int, ...], str, str | None, tuple[str, ...]]
        value = marshal.loads(self._read(HEAD, self._numbers["identity"]))  # noqa: S302
        return value

    def close(self) -> None:
        """Close the base."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __del__(self) -> None:
        self.close()


def absolute(paths: bytes, prefix: bytes) -> list[bytes]:
    """The single paths of `paths`, each of which ends in NUL, with `prefix` before each."""
    if not paths:
        return []
    every = paths[:-1]
    return ((prefix + every.replace(b"\0", b"\0" + prefix)) if prefix else every).split(b"\0")


def open_state(path: str, wanted: bytes | None = None) -> State | None:
    """The state at `path` if it is one, of `wanted` identity or of any; with its journal. None where it is damaged."""
    try:
        file = open_regular(path)
    except OSError:
        return None
    state = None
    try:
        numbers = _head(file, wanted)
        if numbers is not None and os.fstat(file).st_size == numbers["size"]:
            state = State(path, file, numbers)
            state.read_stale()
            state.read_journal()
            return state
    except (OSError, Damaged, ValueError, EOFError, TypeError):
        pass
    if state is None:
        os.close(file)
    return None


def _head(file: int, wanted: bytes | None) -> "dict[str, int] | None":
    data = os.pread(file, _FIRST, 0)
    if not data.startswith(MAGIC) or len(data) < HEAD:
        return None
    numbers = dict(zip(NUMBERS, memoryview(data[len(MAGIC) : HEAD - 4]).cast("Q"), strict=True))
    size = numbers["identity"]
    found = os.pread(file, size, HEAD) if len(data) < HEAD + size < 1 << 20 else data[HEAD : HEAD + size]
    if zlib.crc32(found, zlib.crc32(data[: HEAD - 4])).to_bytes(4, "little") != data[HEAD - 4 : HEAD]:
        return None
    return numbers if wanted is None or found == wanted else None
