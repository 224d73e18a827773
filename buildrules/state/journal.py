"""The journal of a state: what builds changed since its base was written. See `state.reader` for the form."""

import marshal
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildrules.state.reader import State

JOURNAL = b"buildrules journal 1\n"


class Change:
    """What the journal says of a group: its number, paths and record, and the groups that it came beside."""

    __slots__ = ("beside", "number", "paths", "record")

    def __init__(self, row: "tuple[int, bytes, bytes, tuple[int, ...]]") -> None:
        self.number, self.paths, self.record, self.beside = row


def journal_path(path: str) -> str:
    """The journal of the base at `path`."""
    return f"{path}.journal"


def read_journal(state: "State") -> None:
    """Take the sound entries of the journal, if it belongs to this base."""
    try:
        with open(journal_path(state.path), "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return
    begin = JOURNAL + state.generation.to_bytes(8, "little")
    if not data.startswith(begin):
        return
    at, total = len(begin), zlib.crc32(begin)
    while at + 8 <= len(data):
        size, expected = memoryview(data[at : at + 8]).cast("I")
        entry = data[at + 8 : at + 8 + size]
        following = zlib.crc32(entry, total)
        if len(entry) != size or following != expected:
            break
        groups, actions, stale, ran, told, patch = marshal.loads(entry)  # noqa: S302
        for number, row in groups.items():
            state.group_changes[number] = Change(row)
        state.action_changes.update(actions)
        state.stale = state.stale.difference(stale[1]).union(stale[0])
        key, numbers = told
        state.ran.update((number, set()) for number in ran)
        for number in numbers:
            if number in state.ran:
                state.ran[number].add(key)
        state.told.setdefault(key, set()).update(numbers)
        state.patches.setdefault(key, {}).update(patch)
        at, total = at + 8 + size, following
    state.journal_end, state.journal_sum = at, total
