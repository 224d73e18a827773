"""What a format is written from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A package, as `guest inputs` tells of it.

    `files` are the workspace-relative paths of all that its build reads, `folders` empty folders among them; `content`
    is what it fetches: name, sha256, size (or None) and urls of each. `decides` are those of the files that say what is
    built from which files.
    """

    label: str
    platform: str
    files: Sequence[str]
    folders: Sequence[str]
    content: Sequence[Mapping[str, Any]]
    decides: Sequence[str] = ()


class Export(NamedTuple):
    """Targets (sorted by label) of the workspace at `root`, and the host's own root `directory`; both are absolute.

    `patterns` have named them (none: all), in their canonical form. `configurations` are those that the targets were
    settled for. `present` gives the text of a file below `directory` that is there now, and None where there is none.
    `packages` are all directories with a BUILD.yaml, relative to the root; `executable` tells of a workspace's file.
    With `urls` package indexes were asked for what locks have no address of.
    """

    root: str
    directory: str
    targets: Sequence[Target]
    patterns: Sequence[str]
    configurations: Sequence[str]
    packages: Sequence[str]
    present: Callable[[str], str | None]
    executable: Callable[[str], bool] = lambda _: False
    urls: bool = False


Format = Callable[[Export], Mapping[str, str]]
"""Gives the files, by their path relative to `directory`: whole texts, with what others wrote in them; "" for
none."""
