"""Looking after a place elsewhere: what in it is not what it should be, what is old, and what is too much, is removed.

Records are removed before the content they name, so that who is interrupted leaves content without records, and not
records without content. Only `remote.expiry` says what is old or too much.
"""

import time
from collections.abc import Callable, Sequence

from buildrules.engine.inventory import Inventory, Written
from buildrules.remote.backend import Blob, Entry
from buildrules.remote.expiry import DAY, Doomed, by_age, by_size
from buildrules.typed import NamedTuple

Progress = Callable[[str, int, int], None]
"""Hears what is done, and the bytes done and in all."""


class Verified(NamedTuple):
    """What was found: digests of content that is something else, `removed` or `left` to the server, which does not list
    it; and the names of the records that were removed, since they lack some of their content."""

    checked: int
    removed: Sequence[str]
    left: Sequence[str]
    lacking: Sequence[str]


class Dropped(NamedTuple):
    """What was removed, or would be, and how much stays. `size` and `stays` are bytes."""

    records: int
    content: int
    size: int
    stays: int


def read_all(inventory: Inventory, entries: Sequence[Entry], progress: Progress) -> list[Written]:
    """What stands in the records among `entries`. Raises FetchError."""
    records = [entry for entry in entries if entry.kind == "record"]
    return list(inventory.read(records, lambda done, total: progress("reading records", done, total)))


def verify(inventory: Inventory, progress: Progress) -> Verified:
    """Hash all content; remove what is something else, and records that lack some of theirs. Raises FetchError.

    Content has the size that the place lists: what records say of it is compared, and never believed.
    """
    entries = inventory.entries()
    records = read_all(inventory, entries, progress)
    listed = {entry.name: entry for entry in entries if entry.kind == "content"}
    there = inventory.holds({blob for one in records for blob in one.needs or ()})
    content = [Blob(entry.name, entry.size) for entry in listed.values()]
    content += sorted(blob for blob in there if blob.digest not in listed)  # some places list records only
    corrupt = _corrupt(inventory, content, progress)
    lacking = [one.entry for one in records if _lacks(one, there - corrupt)]
    for entry in lacking:
        inventory.remove(entry)
    digests = sorted({blob.digest for blob in corrupt})
    removed = [digest for digest in digests if digest in listed]
    for digest in removed:
        inventory.remove(listed[digest])
    left = [digest for digest in digests if digest not in listed]
    return Verified(len(content), removed, left, [entry.name for entry in lacking])


def expire(
    inventory: Inventory, progress: Progress, *, records: float, content: float, dry_run: bool = False
) -> Dropped:
    """Remove records and content that are older than so many seconds, unless a younger record names them.

    Raises FetchError.
    """
    now = time.time()

    def chosen(entries: Sequence[Entry]) -> Doomed:
        names = _names(inventory, progress)
        return by_age(entries, names, records_before=now - records, content_before=now - content)

    return _drop(inventory, progress, chosen, dry_run=dry_run)


def shrink(inventory: Inventory, progress: Progress, high: int, low: int, *, dry_run: bool = False) -> Dropped:
    """Where there are more than `high` bytes, remove records, oldest first, until `low` are left. Raises FetchError."""

    def chosen(entries: Sequence[Entry]) -> Doomed:
        if sum(entry.size for entry in entries) <= high:
            return Doomed((), ())
        return by_size(entries, _names(inventory, progress), low=low, content_before=time.time() - DAY)

    return _drop(inventory, progress, chosen, dry_run=dry_run)


def _drop(
    inventory: Inventory, progress: Progress, choose: Callable[[Sequence[Entry]], Doomed], *, dry_run: bool
) -> Dropped:
    entries = inventory.entries()
    doomed = choose(entries)
    if doomed.content or doomed.records:
        known = {(entry.name, entry.written) for entry in entries}
        since = [entry for entry in inventory.entries() if (entry.name, entry.written) not in known]
        doomed = doomed.without(_names(inventory, progress)([entry for entry in since if entry.kind == "record"]))
    done = 0
    for entry in () if dry_run else (*doomed.records, *doomed.content):
        inventory.remove(entry)
        done += entry.size
        progress("removing", done, doomed.size)
    stays = sum(entry.size for entry in entries) - doomed.size
    return Dropped(len(doomed.records), len(doomed.content), doomed.size, stays)


def _names(inventory: Inventory, progress: Progress) -> Callable[[Sequence[Entry]], dict[str, frozenset[str]]]:
    """Says which digests stand in records, see `remote.expiry.Names`."""
    return lambda records: {one.entry.name: one.names for one in read_all(inventory, records, progress)}


def _corrupt(inventory: Inventory, blobs: Sequence[Blob], progress: Progress) -> set[Blob]:
    """Those that are something else."""
    found = set()
    done, total = 0, sum(blob.size for blob in blobs)
    for blob in blobs:
        if not inventory.sound(blob):
            found.add(blob)
        done += blob.size
        progress("checking content", done, total)
    return found


def _lacks(one: Written, there: set[Blob]) -> bool:
    """Whether a record can be read and not used: what is of a later version may have all it needs."""
    return one.needs is None or any(blob not in there for blob in one.needs)
