"""A store that has become too large: what was not used for longest goes, until it is small enough.

A blob was used when it was last read (most file systems note that once a day, relatime of mount(8)) or written, or when
a state that names it was. What is gone is made or fetched again where it is wanted, so this may be done while builds
run; what was used in the last hour is left to them then.
"""

import os
import time

from buildrules.state.journal import journal_path
from buildrules.store.collect import (
    Collected,
    blob_files,
    drop_incomplete,
    files_below,
    made,
    needed_blobs,
    recipe_blobs,
    states_of,
)
from buildrules.store.store import Store
from buildrules.typed import NamedTuple

YOUNG = 3600.0
"""Seconds for which a blob is left alone after it was used, while a build runs."""


class Shrunk(NamedTuple):
    """What was removed, and the bytes of the whole store before and after."""

    removed: Collected
    before: int
    after: int


def shrink(store: Store, *, high: int, low: int) -> Shrunk:
    """Where the store has more than `high` bytes, remove blobs until it has at most `low`, or none is left to remove.

    Holds the store's lock until `store.close`: exclusively, or shared where a build runs.
    """
    alone = store.lock(exclusive=True, wait=False)
    if not alone:
        store.lock()
    before = after = sum(stat.st_size for _, stat in files_below(store.root))
    removed = Collected()
    if before > high:
        for digest, size in _oldest_first(store, 0.0 if alone else YOUNG):
            if after <= low:
                break
            store.blobs.discard(digest)
            removed.blobs += 1
            removed.bytes += size
            after -= size
        removed.records = drop_incomplete(store)
    return Shrunk(removed, before, after)


def _oldest_first(store: Store, spared: float) -> list[tuple[str, int]]:
    """(digest, bytes) of every blob, but for those that were used in the last `spared` seconds."""
    named = _named_by_states(store)
    limit = time.time() - spared
    found = []
    for digest, entry in blob_files(store):
        stat = entry.stat(follow_symlinks=False)
        used = max(stat.st_atime, stat.st_mtime, named.get(digest, 0.0))
        if not spared or max(used, stat.st_ctime) < limit:  # a file that was renamed to here keeps its other times
            found.append((used, digest, stat.st_size))
    return [(digest, size) for _, digest, size in sorted(found)]


def _named_by_states(store: Store) -> dict[str, float]:
    """When a state that names a digest was last written, by digest."""
    found: dict[str, float] = {}
    for path in states_of(store):
        written = max(_written(path), _written(journal_path(path)))
        for _, outputs in made(path):
            for digest in (*needed_blobs(outputs), *recipe_blobs(outputs)):
                found[digest] = max(written, found.get(digest, 0.0))
    return found


def _written(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
