"""Paths inside a folder that stands for a root: links are followed as they would be after a chroot."""

import os
import stat
from collections import deque
from collections.abc import Sequence

from buildrules.errors import IntegrityError

_LINKS = 40  # as Linux (path_resolution(7))
_LARGEST = 1 << 20  # bytes of a file that is read as a text
_DEEPEST = 250  # folders in each other that are made: what is deeper cannot be named, nor removed by its whole path


def directory(root: str, steps: Sequence[str], *, create: bool = False, file: bool = False) -> str | None:
    """The directory that `steps` lead to below `root`, as an absolute path that holds no link below `root`.

    With `create`, missing ones are made; else None comes back for one that is missing. With `file` the last may be no
    directory. Nobody else may change the folder meanwhile. Raises IntegrityError where a file is in the way, links lead
    in circles, or what would be made is absurdly deep; OSError for a name that no file system takes.
    """
    found: list[str] = []
    ahead = deque(steps)
    links = 0
    while ahead:
        step = ahead.popleft()
        if step in ("", "."):
            continue
        if step == "..":
            del found[-1:]  # above the root is the root
            continue
        path = os.path.join(root, *found, step)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            if not create:
                return None
            if len(found) >= _DEEPEST:
                raise IntegrityError(
                    f"more than {_DEEPEST} folders lie in each other at {'/'.join(found)[:100]!r}"
                ) from None
            os.mkdir(path, 0o755)
            mode = stat.S_IFDIR
        if stat.S_ISLNK(mode):
            links += 1
            if links > _LINKS:
                raise IntegrityError(f"links lead in circles at {'/'.join(steps)!r}")
            target = os.readlink(path)
            if target.startswith("/"):
                found.clear()
            ahead.extendleft(reversed(target.split("/")))
        elif stat.S_ISDIR(mode) or (file and not ahead):
            found.append(step)
        else:
            raise IntegrityError(f"{'/'.join([*found, step])!r} is in the way of {'/'.join(steps)!r}")
    return os.path.join(root, *found)


def read_text(root: str, path: str) -> str:
    """A small text file below `root`, links followed inside; "" where there is none."""
    try:
        full = directory(root, path.split("/"), file=True)
    except (IntegrityError, OSError):
        return ""
    if full is None or not os.path.isfile(full):
        return ""
    with open(full, "rb") as file:
        return file.read(_LARGEST).decode(errors="replace")
