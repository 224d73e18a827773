"""Garbage collection, verification and sizes of a store.

What the state of a workspace names is kept, and so is what is younger than the given age. The
rest goes, then the records that named it. A build never waits for a collection that has not
begun: the lock is exclusive here and shared there.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from buildrules.errors import StoreError
from buildrules.state.journal import journal_path
from buildrules.state.reader import Damaged, open_any
from buildrules.store.records import canonical
from buildrules.store.store import Store

_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_PID_DIGITS = 9
_UNREADABLE = (OSError, Damaged, ValueError, EOFError, TypeError, KeyError, IndexError)


@dataclass(slots=True)
class Sizes:
    """Numbers of files and of bytes."""

    blobs: int = 0
    blob_bytes: int = 0
    records: int = 0
    table_bytes: int = 0
    states: int = 0
    state_bytes: int = 0
    aside_bytes: int = 0


@dataclass(slots=True)
class Collected:
    """What a collection removed."""

    blobs: int = 0
    bytes: int = 0
    records: int = 0


def blob_files(store: Store) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(digest, entry) of every blob. What somebody else put there is passed over."""
    with contextlib.suppress(FileNotFoundError), os.scandir(store.blobs.root) as folders:
        for folder in sorted(folders, key=lambda item: item.name):
            if not folder.is_dir(follow_symlinks=False):
                continue
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    name = entry.name
                    named = len(name) == 64 and name[:2] == folder.name and not name.strip("0123456789abcdef")
                    if named and entry.is_file(follow_symlinks=False):
                        yield f"sha256:{name}", entry


def _files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    for directory, _, names in os.walk(path):
        for name in names:
            full = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):
                yield full, os.stat(full)


def sizes(store: Store) -> Sizes:
    """How large the store is."""
    found = Sizes()
    for _, entry in blob_files(store):
        found.blobs += 1
        found.blob_bytes += entry.stat().st_size
    found.records = len(store.records.keys())
    table, states, aside = (
        list(_files_below(os.path.join(store.root, part))) for part in ("table", "workspaces", "tmp")
    )
    found.states = sum(path.endswith(".state") for path, _ in states)
    found.table_bytes, found.state_bytes, found.aside_bytes = (
        sum(stat.st_size for _, stat in files) for files in (table, states, aside)
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
    states = [path for path, _ in list(_files_below(os.path.join(store.root, "workspaces"))) if path.endswith(".state")]
    for path in states:
        keys.update(_saw(path, corrupt))
    for key in list(store.records.keys()):
        if key in keys or _named(store.records.get(key), corrupt):
            keys.add(key)
            store.records.delete(key)
    for path in states:
        if any(key in keys or _named(made, corrupt) for key, made in _made(path)):
            for part in (path, journal_path(path)):
                with contextlib.suppress(OSError):
                    os.unlink(part)


def _saw(path: str, corrupt: set[str]) -> set[str]:
    """The keys of the actions of a state that name blobs (hex) that are corrupt, or stand on what names one."""
    keys: set[str] = set()
    with contextlib.suppress(*_UNREADABLE):
        state = open_any(path)
        if state is not None:
            rows = [state.action(number) for number in range(state.action_count)]
            named = {number for number, row in enumerate(rows) if _named(row, corrupt)}
            keys.update(
                row[2]
                for number, row in enumerate(rows)
                if number in named or not named.isdisjoint(state.links(number)[0])
            )
    return keys


def _named(value: Any, digests: set[str]) -> bool:
    """Whether plain data names one of the digests (hex) anywhere."""
    return not digests.isdisjoint(_HEX.findall(canonical(value).decode()))


def collect(store: Store, *, keep_seconds: float, wait: bool = True) -> Collected:
    """Remove what no state names and what is older than `keep_seconds`.

    Raises StoreError while a build holds the store, unless `wait`.
    """
    if not store.lock(exclusive=True, wait=wait):
        raise StoreError("a build is using the store", hint="run it again when the build is done")
    limit = time.time() - keep_seconds
    live = _live(store)
    done = Collected()
    for digest, entry in list(blob_files(store)):
        stat = entry.stat()
        if digest not in live and max(stat.st_mtime, stat.st_ctime) < limit:
            store.blobs.discard(digest)
            done.blobs += 1
            done.bytes += stat.st_size
    for path, stat in list(_files_below(store.blobs.aside)):
        if stat.st_mtime < limit or _abandoned(os.path.relpath(path, store.blobs.aside)):
            os.unlink(path)
            done.bytes += stat.st_size
    for key in list(store.records.keys()):
        record = store.records.get(key)
        if record is None or not all(store.blobs.has(digest) for digest in needed_blobs(record.get("outputs", {}))):
            store.records.delete(key)
            done.records += 1
    return done


def _abandoned(path: str) -> bool:
    """Whether the process that was writing a file, or a folder of files, aside (`Blobs.aside_path`) is no more.

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


def _made(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, outputs) of each action that the state at `path` keeps, up to where it is damaged."""
    with contextlib.suppress(*_UNREADABLE):
        state = open_any(path)
        if state is not None:
            for number in range(state.action_count):
                _, _, key, outputs, *_ = state.action(number)
                yield key, outputs


def needed_blobs(outputs: dict[str, Any]) -> Iterator[str]:
    """The blobs that outputs (as plain data) cannot do without."""
    yield from outputs.get("blobs", {}).values()


def _recipe_blobs(outputs: dict[str, Any]) -> Iterator[str]:
    """The blobs the layers are made from: wanted again when the layer moves, and fetched again if gone."""
    for layer in outputs.get("layers", []):
        yield layer["digest"]
        for part in (layer["recipe"] or {}).get("parts", []):
            if "digest" in part:
                yield part["digest"]


def _live(store: Store) -> set[str]:
    live: set[str] = set()
    for path, _ in _files_below(os.path.join(store.root, "workspaces")):
        for _, outputs in _made(path) if path.endswith(".state") else ():
            live.update(needed_blobs(outputs))
            live.update(_recipe_blobs(outputs))
    for key in list(store.records.keys()):
        blob = store.records.blob_of(key)
        if blob is not None:
            live.add(blob)
    return live
