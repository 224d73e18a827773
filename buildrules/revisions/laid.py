"""The tree of a revision as a folder, so that a workspace is loaded, settled and planned from it as from any other.

Reading requirements, projects and locks asks the disk in a hundred places, some of them in programs of others. What is
too large to decide a plan (weights) has its size and no content: sources go by the names of git's blobs.
"""

import errno
import os
import stat

from buildrules.errors import UsageError
from buildrules.revisions.git import git, words
from buildrules.revisions.tree import LINK, MODULE, Tree
from buildrules.workspace.root import read_inside

_SMALL = 1 << 20  # bytes up to which every file has its content
_READ = (".whl", ".zip", ".gz", ".conda", ".toml", ".lock", ".yaml", ".yml", ".json", ".txt", ".cfg", ".py", "MLmodel")
"""Endings of files that have it however large they are, since plans may read them."""


def lay(tree: Tree, folder: str, *, whole: bool = False) -> None:
    """Write the files of `tree` into `folder`, which is empty; if `whole`, all with their content.

    Raises UsageError where git lacks something, and for what no folder can hold; OSError where there is no room.
    """
    try:
        _lay(tree, folder, whole)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"cannot lay out the files of {tree.commit[:12]}: {error}"
        raise UsageError(message, hint="`git fsck` says whether its tree is sound") from error


def _lay(tree: Tree, folder: str, whole: bool) -> None:
    made = {folder}
    for path, entry in tree.files.items():
        _make(folder, os.path.dirname(path) if entry.mode != MODULE else path, made)
    links = []
    wanted = []
    for path, entry in tree.files.items():
        if entry.mode == LINK:
            links.append(path)
        elif entry.mode != MODULE:
            if whole or entry.size <= _SMALL or path.endswith(_READ):
                wanted.append(path)
            else:
                _write(folder, path, entry.mode, b"", entry.size)
    for path, content in tree.contents(wanted):
        _write(folder, path, tree.files[path].mode, content, len(content))
    for path, content in tree.contents(links):  # at last, so that no file is written through one
        os.symlink(content, os.path.join(folder, path))


def lay_ignored(root: str, folder: str, *, whole: bool = False) -> list[str]:
    """Stand in for what git ignores in the workspace `root`: it is in no revision, and was there as it is now.

    Gives the paths, sorted; directories are whole ones.
    """
    found = []
    made = {folder}
    for path in words(git(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")):
        if any(part[:1] == "." or part in ("__pycache__", "node_modules") for part in path.split("/")):
            continue
        absolute = os.path.join(root, path)
        if os.path.lexists(os.path.join(folder, path.rstrip("/"))) or _below_file(folder, path):
            continue
        if path.endswith("/"):
            if os.path.exists(os.path.join(absolute, "pyvenv.cfg")):
                continue
            for above, _, names in os.walk(absolute):
                _make(folder, os.path.relpath(above, root), made)
                for name in names:
                    _stand_in(root, os.path.relpath(os.path.join(above, name), root), folder, whole)
        else:
            _make(folder, os.path.dirname(path), made)
            _stand_in(root, path, folder, whole)
        found.append(path.rstrip("/"))
    return sorted(found)


def _below_file(folder: str, path: str) -> bool:
    """Whether something that is no folder lies where a folder above `path` would."""
    parts = path.rstrip("/").split("/")
    above = (os.path.join(folder, *parts[:count]) for count in range(1, len(parts)))
    return any(os.path.islink(one) or os.path.isfile(one) for one in above)


def _stand_in(root: str, path: str, folder: str, whole: bool) -> None:
    status = os.lstat(os.path.join(root, path))
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(os.path.join(root, path)), os.path.join(folder, path))
    elif stat.S_ISREG(status.st_mode):
        content = read_inside(root, path) if whole or status.st_size <= _SMALL else b""
        _write(folder, path, status.st_mode, content, status.st_size)


def _make(folder: str, path: str, made: set[str]) -> None:
    """Make a directory and those above it."""
    place = os.path.join(folder, path) if path else folder
    if place not in made:
        os.makedirs(place, exist_ok=True)
        made.add(place)


def _write(folder: str, path: str, mode: int, content: bytes, size: int) -> None:
    try:
        handle = os.open(
            os.path.join(folder, path),
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o755 if mode & 0o100 else 0o644,
        )
    except OSError as error:
        raise UsageError(f"cannot lay out '{path}' of the revision: {error.strerror}") from error
    try:
        if content:
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
        if size > len(content):
            os.truncate(handle, size)
    finally:
        os.close(handle)
