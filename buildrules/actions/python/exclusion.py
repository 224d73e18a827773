"""What an environment goes without: distributions by name, or by globs of names such as "nvidia-*"."""

import fnmatch
import re
from collections.abc import Collection, Iterable

from buildrules.actions.python.uvtool import write_lines

NAME_OR_GLOB = re.compile(r"[A-Za-z0-9_*?\[](?:[A-Za-z0-9._*?\[\]!-]*[A-Za-z0-9*?\]])?", re.ASCII)
"""A distribution's name as PyPI has it (the underscore in front is conda's), with the wildcards of `fnmatch`."""


def is_excluded(name: str, exclude: Collection[str]) -> bool:
    """Whether one of `exclude`, normalised names and globs, is the normalised `name`."""
    return name in exclude or any(fnmatch.fnmatchcase(name, glob) for glob in exclude if _is_glob(glob))


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")


class Exclusion:
    """The names for uv's `--excludes`, in a file in `folder`. uv knows no globs: they become names as these come up."""

    def __init__(self, exclude: Iterable[str], folder: str) -> None:
        names = _normalised(exclude)
        self._globs = {name for name in names if _is_glob(name)}
        self._names = names - self._globs
        self._folder = folder

    def met(self, names: Iterable[str]) -> bool:
        """Whether some of `names` are to be left out, and nobody had met them; they are from now on."""
        new = {name for name in _normalised(names) - self._names if is_excluded(name, self._globs)}
        self._names |= new
        return bool(new)

    def arguments(self) -> list[str]:
        """What uv is to be told now; the file is written."""
        names = sorted(name for name in self._names if not name.startswith("-"))  # others are those of conda packages
        return ["--excludes", write_lines(self._folder, "excludes.txt", names)] if names else []


def _normalised(names: Iterable[str]) -> set[str]:
    from packaging.utils import canonicalize_name

    return {canonicalize_name(name) for name in names}
