"""The folders and files that a store is made of: private, and put right where something else stands in their place.

A store loses content without harm, so what is not of its form (a file or a link for a folder, a folder for a file, one
that its owner may not read) makes way, and what it held is made or fetched again.
"""

import os
from collections.abc import Callable
from stat import S_IMODE, S_ISDIR, S_ISREG

from buildrules.errors import StoreError
from buildrules.store.blobs import remove
from buildrules.typed import NamedTuple

BY_CONTENT, BY_FILE, BY_FOLDER, WHOLE = "by content", "by file", "by folder", "whole"


class Folder(NamedTuple):
    """One of the store's folders, by its path in there.

    `collected`: how old things in it go. BY_CONTENT: by what they are, which `collect` knows; BY_FILE: each file by its
    age; BY_FOLDER: each folder in it, once all of it is old; WHOLE: the folder itself, so. `measured`: under which word
    `cache info` has its size, "" where that is part of another.
    """

    name: str
    collected: str
    measured: str


BLOBS, RECORDS, STATES, UNFINISHED = "blobs", "records", "states", "unfinished"
FOLDERS = (
    Folder("blobs", BY_CONTENT, ""),
    Folder("blobs/sha256", BY_CONTENT, BLOBS),
    Folder("conda", WHOLE, "conda"),
    Folder("docker", BY_FILE, "docker"),
    Folder("interpreters", BY_FOLDER, "pythons"),
    Folder("logs", BY_FILE, "logs"),
    Folder("table", BY_CONTENT, RECORDS),
    Folder("tmp", BY_CONTENT, UNFINISHED),
    Folder("uv", WHOLE, "uv"),
    Folder("workspaces", BY_CONTENT, STATES),
)
FILES = ("lock", "version", "table/cache.db", "table/log", "tmp/.private.lock")
PARTS = tuple(name for name in (*(folder.name for folder in FOLDERS), *FILES) if "/" not in name)
"""Everything that may stand in a store."""


def make_private(path: str) -> None:
    """Make a folder and those above it, which only this user may enter, whatever the umask says. Raises OSError."""
    above = os.path.dirname(path)
    if above != path and not os.path.isdir(above):
        make_private(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def refuse_open(root: str) -> None:
    """Raise StoreError where everybody may write to the store: what it says could be anybody's."""
    try:
        mode = os.stat(root).st_mode
    except OSError:
        return
    if mode & 0o002 and not is_empty(root):
        raise StoreError(
            f"everybody may write to the store {root} (mode {S_IMODE(mode):04o}), so nothing in it can be believed",
            hint=f"remove it; or run 'chmod -R go-w {root}' where you trust what is in it; or choose another store "
            "with BUILDRULES_CACHE_DIR",
        )


def is_empty(path: str) -> bool:
    """Whether nothing is in a folder."""
    with os.scandir(path) as entries:
        return next(entries, None) is None


def mend(root: str) -> None:
    """Have a plain file or a folder wherever a part of the store is, or nothing. Raises OSError."""
    for folder in FOLDERS:
        _mend(os.path.join(root, folder.name), 0o700, S_ISDIR)
    for name in FILES:
        _mend(os.path.join(root, name), 0o600, S_ISREG)


def _mend(path: str, mode: int, right: Callable[[int], bool]) -> None:
    try:
        found = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not right(found):
        remove(path)
    elif found & mode != mode:
        os.chmod(path, S_IMODE(found) | mode)
