"""Garbage collection, verification and sizes of a store.

What the state of a workspace names is kept, and so is what is younger than the given age. The
rest goes, then the records that named it. A build never waits for a collection that has not
begun: the lock is exclusive here and shared there.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildrules.errors import StoreError
from buildrules.state.journal import journal_path
from buildrules.state.reader import UNREADABLE, open_state
from buildrules.store import expiry
from buildrules.store.blobs import remove
from buildrules.store.records import canonical
from buildrules.store.shape import BLOBS, BY_FILE, BY_FOLDER, FOLDERS, RECORDS, STATES, UNFINISHED, WHOLE
from buildrules.store.store import Store

_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_PID_DIGITS = 9


@dataclass(slots=True)
class Sizes:
    """Numbers of files and of bytes. `more` are bytes of what is none of these, by the word for it."""

    blobs: int = 0
    blob_bytes: int = 0
    records: int = 0
    table_bytes: int = 0
    states: int = 0
    state_bytes: int = 0
    tmp_bytes: int = 0
    more: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Collected:
    """What a collection removed."""

    blobs: int = 0
    bytes: int = 0
    records: int = 0


def blob_files(store: Store) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(digest, entry) of every blob, and of whatever stands in the place of one. Other names are passed over."""
    with contextlib.suppress(FileNotFoundError), os.scandir(store.blobs.root) as folders:
        for folder in sorted(folders, key=lambda item: item.name):
            if not folder.is_dir(follow_symlinks=False):
                continue
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    name = entry.name
                    named = len(name) == 64 and name[:2] == folder.name and not name.strip("0123456789abcdef")
                    if named:
                        yield f"sha256:{name}", entry


def files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path, stat) of every file below a folder, links not followed."""
    for directory, _, names in os.walk(path):
        for name in names:
            full = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):
                yield full, os.lstat(full)


def sizes(store: Store) -> Sizes:
    """How large the store is."""
    found = Sizes()
    for _, entry in blob_files(store):
        found.blobs += 1
        found.blob_bytes += entry.stat(follow_symlinks=False).st_size
    found.records = len(store.records.keys())
    found.states = len(states_of(store))
    found.more = {
        folder.measured: sum(stat.st_size for _, stat in files_below(os.path.join(store.root, folder.name)))
        for folder in FOLDERS
        if folder.measured not in ("", BLOBS)
    }
    found.table_bytes, found.state_bytes, found.tmp_bytes = (
        found.more.pop(word) for word in (RECORDS, STATES, UNFINISHED)
    )
    return found


def verify(store: Store) -> list[str]:
    """Hash every blob; the corrupt ones are removed, so that the next build makes them again. Returns their digests.

    What was made from one may be wrong as well: records that name it, or whose key saw it, are forgotten, and so are
    the states that answer from them.
    """
    corrupt = [digest for digest, _ in list(blob_files(store)) if not store.blobs.heal(digest)]
    if corrupt:
        _forget(store, {digest.removeprefix("sha256:") for digest in corrupt})
    return corrupt


def _forget(store: Store, corrupt: set[str]) -> None:
    """Drop the records and states of what was made from blobs (hex) that were not what they must be."""
    keys: set[str] = set()
    states = states_of(store)
    for path in states:
        keys.update(_saw(path, corrupt))
    for key in list(store.records.keys()):
        if key in keys or _named(store.records.get(key), corrupt):
            keys.add(key)
            store.records.delete(key)
    for path in states:
        if any(key in keys or _named(outputs, corrupt) for key, outputs in made(path)):
            for part in (path, journal_path(path)):
                with contextlib.suppress(OSError):
                    os.unlink(part)


def _saw(path: str, corrupt: set[str]) -> set[str]:
    """The keys of the actions of a state that name blobs (hex) that are corrupt, or stand on what names one."""
    rows = list(_rows(path))
    named = {number for number, (row, _) in enumerate(rows) if _named(row, corrupt)}
    return {row[2] for number, (row, deps) in enumerate(rows) if number in named or not named.isdisjoint(deps)}


def _named(value: Any, digests: set[str]) -> bool:
    """Whether plain data names one of the digests (hex) anywhere."""
    return not digests.isdisjoint(_HEX.findall(canonical(value).decode()))


def collect(store: Store, *, keep_seconds: float, wait: bool = True) -> Collected:
    """Remove what no state of a workspace names and what is older than `keep_seconds`.

    Raises StoreError while a build holds the store, unless `wait`.
    """
    if not store.lock(exclusive=True, wait=wait):
        raise StoreError("a build is using the store", hint="run it again when the build is done")
    store.table.keys()  # what is in the table's log counts as written when it is folded in: before the limit
    limit = time.time() - keep_seconds
    done = Collected()
    done.records = expiry.drop_records(store, expiry.live_states(store, limit), limit)
    expiry.drop_digests(store, limit)
    live = _live(store)
    for digest, entry in list(blob_files(store)):
        stat = entry.stat(follow_symlinks=False)
        if digest not in live and max(stat.st_mtime, stat.st_ctime) < limit:
            store.blobs.discard(digest)
            done.blobs += 1
            done.bytes += stat.st_size
    for path, stat in list(files_below(store.blobs.tmp)):
        if stat.st_mtime < limit or _abandoned(os.path.relpath(path, store.blobs.tmp)):
            os.unlink(path)
            done.bytes += stat.st_size
    for path in (store.blobs.root, store.blobs.tmp):
        with contextlib.suppress(OSError):  # something else is in its place
            for name in os.listdir(path):
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(path, name))
    for folder in FOLDERS:
        place = os.path.join(store.root, folder.name)
        if folder.collected == BY_FILE:
            done.bytes += expiry.drop_files(place, limit)
        elif folder.collected == WHOLE:
            done.bytes += _drop_old(place, limit)
        elif folder.collected == BY_FOLDER and os.path.isdir(place):
            done.bytes += sum(_drop_old(os.path.join(place, name), limit) for name in os.listdir(place))
    done.records += drop_incomplete(store)
    return done


def drop_incomplete(store: Store) -> int:
    """Remove the records that lack a blob they cannot do without; how many."""
    dropped = 0
    for key in list(store.records.keys()):
        record = store.records.get(key)
        if record is None or not all(store.blobs.has(digest) for digest in needed_blobs(record.get("outputs", {}))):
            store.records.delete(key)
            dropped += 1
    return dropped


def _drop_old(folder: str, limit: float) -> int:
    """Remove a folder that is used as a whole, if all of it is older than `limit`; the bytes that were in it. Likewise
    a file."""
    import shutil

    alone = not os.path.isdir(folder)
    files = [(folder, os.lstat(folder))] if alone and os.path.lexists(folder) else list(files_below(folder))
    if any(max(stat.st_mtime, stat.st_ctime) >= limit for _, stat in files):
        return 0
    if alone:
        remove(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return sum(stat.st_size for _, stat in files)


def _abandoned(path: str) -> bool:
    """Whether the process that was writing a file, or a folder of files, aside (`Blobs.tmp_path`) is no more.

    Nobody goes on with it then, as with a partial file. The caller holds the store exclusively, so there is no process
    in another container either that is about to.
    """
    owner, dash, _ = path.split(os.sep, maxsplit=1)[0].partition("-")
    if not dash or not owner.isdecimal() or len(owner) > _PID_DIGITS:
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # somebody else's process
    return False


def made(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, outputs) of each action that the state at `path` keeps, up to where it is damaged."""
    for row, _ in _rows(path):
        yield row[2], row[3]


def _rows(path: str) -> Iterator[tuple[Any, Sequence[int]]]:
    """The row of each action of a state, and the numbers of those it stands on, up to where it is damaged."""
    with contextlib.suppress(*UNREADABLE):
        state = open_state(path)
        if state is not None:
            for number in range(state.action_count):
                yield state.action(number), state.links(number)[0]


def states_of(store: Store) -> list[str]:
    """The paths of all states of workspaces."""
    below = files_below(os.path.join(store.root, "workspaces"))
    return [path for path, _ in below if path.endswith(".state")]


def needed_blobs(outputs: dict[str, Any]) -> Iterator[str]:
    """The blobs that outputs (as plain data) cannot do without."""
    yield from outputs.get("blobs", {}).values()


def recipe_blobs(outputs: dict[str, Any]) -> Iterator[str]:
    """The blobs the layers are made from: wanted again when the layer moves, and fetched again if gone."""
    for layer in outputs.get("layers", []):
        yield layer["digest"]
        for part in (layer["recipe"] or {}).get("parts", []):
            if "digest" in part:
                yield part["digest"]


def _live(store: Store) -> set[str]:
    live: set[str] = set()
    for path in states_of(store):
        for _, outputs in made(path):
            live.update(needed_blobs(outputs))
            live.update(recipe_blobs(outputs))
    for key in list(store.records.keys()):
        blob = store.records.blob_of(key)
        if blob is not None:
            live.add(blob)
    return live
