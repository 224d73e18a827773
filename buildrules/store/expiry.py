"""What nothing stands for any more: states of workspaces that are gone, and records and digests that only they needed.

The caller holds the store exclusively, so nobody is writing a state, and what looks half-written is.
"""

import contextlib
import os

from buildrules import __version__
from buildrules.state.journal import journal_path
from buildrules.state.reader import UNREADABLE, State, open_state
from buildrules.store import noted, pushed
from buildrules.store.blobs import remove
from buildrules.store.store import Store

STATE = ".state"


def live_states(store: Store, limit: float) -> set[str]:
    """Remove the states that expired; the keys of the actions that those which are left keep.

    A state expires when it was written before `limit` (Unix time) and answers nobody: its workspace is gone, or it
    cannot be read, or another version of buildrules wrote it.
    """
    keys: set[str] = set()
    root = os.path.join(store.root, "workspaces")
    for folder in _names(root):
        place = os.path.join(root, folder)
        kept: set[str] = set()
        for name in _names(place):
            path = os.path.join(place, name)
            if name.endswith(STATE) and (found := _kept(path, limit)) is not None:
                kept.update((name, os.path.basename(journal_path(path))))
                keys |= found
        for name in _names(place):
            if name not in kept and (name != "lock" or not kept):
                remove(os.path.join(place, name))
        if not kept:
            remove(place)
    return keys


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _kept(path: str, limit: float) -> set[str] | None:
    """The keys of the actions of a state; None where it expired."""
    young = any(_written(one) >= limit for one in (path, journal_path(path)))
    state = open_state(path)
    if state is None:
        return set() if young else None
    try:
        if not (young or _answers(state)):
            return None
        return {state.action(number)[2] for number in range(state.action_count)}
    except UNREADABLE:
        return set() if young else None
    finally:
        state.close()


def _written(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _answers(state: State) -> bool:
    """Whether there is a workspace that a build of this version could find the state of."""
    version, _, root, *_ = state.identity()
    return version == __version__ and os.path.isdir(root)


def drop_records(store: Store, live: set[str], limit: float) -> int:
    """Remove the records that no state names and that were kept before `limit`; how many."""
    keys = [key for key in store.records.kept_before(limit) if key not in live]
    for key in keys:
        store.records.delete(key)
    return len(keys)


def drop_digests(store: Store, limit: float) -> None:
    """Forget what was noted before `limit` of files and folders that are not there any more."""
    for path, row in list(store.index.noted_before(limit)):
        if not os.path.lexists(path):
            store.table.delete(row)
    for prefix in (*noted.PREFIXES, pushed.PREFIX):
        for key in store.table.written_before(limit, prefix):
            store.table.delete(key)


def drop_files(folder: str, limit: float) -> int:
    """Remove the files below a folder that were written before `limit`, and folders left empty; their bytes."""
    done = 0
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                stat = os.lstat(path)
                if stat.st_mtime < limit:
                    os.unlink(path)
                    done += stat.st_size
        if place != folder:
            with contextlib.suppress(OSError):
                os.rmdir(place)
    return done
