"""Files that stand for others which a version control tool for data has not brought yet.

Formats: git-LFS specification, "The Pointer"; git-annex, "pointer file" and "internals"; DVC, ".dvc files"; git-fat;
git-xet.
"""

import os
import re
from collections.abc import Callable

from buildrules.typed import NamedTuple

LONGEST = 4 << 10
"""No pointer is longer than so many bytes."""

_LFS = re.compile(rb"(?:\xef\xbb\xbf)?version https?://(?:git-lfs|hawser)\.github\.com/spec/")
_ANNEX = re.compile(rb"[^\n]*/annex/objects/[^\n]+\n?(?:[^\n]*/annex/[^\n]*\n?)*\Z")
_FAT = re.compile(rb"#\$# git-fat ")
_XET = re.compile(rb"# xet version \d")
_DVC = re.compile(rb"(?:\A|\n)outs:\s*\n")


class Pointer(NamedTuple):
    """`tool` wrote it, `command` brings what it stands for."""

    tool: str
    command: str


def pointer_of(path: str, head: bytes) -> Pointer | None:
    """What a file is a pointer of, if it is one; `path` is workspace-relative, `head` its first LONGEST bytes."""
    if _LFS.match(head):
        return Pointer("git-lfs", "git lfs pull")
    if _ANNEX.match(head):
        return Pointer("git-annex", f"git annex get {quoted(path)}")
    if _FAT.match(head):
        return Pointer("git-fat", f"git fat pull {quoted(path)}")
    if _XET.match(head):
        return Pointer("git-xet", "git xet checkout")
    if path.endswith(".dvc") and _DVC.search(head):
        return Pointer("dvc", f"dvc pull {quoted(path)}")
    return None


def not_pulled(path: str, exists: Callable[[str], bool]) -> str | None:
    """The command that brings `path` (workspace-relative), which is not there, if DVC keeps it or a folder above it."""
    while path:
        if exists(f"{path}.dvc"):
            return f"dvc pull {quoted(f'{path}.dvc')}"
        path = os.path.dirname(path)
    return None


def link_command(path: str, target: str) -> str | None:
    """The command for a link whose target is not there, or lies outside of the workspace, if one of these tools made
    it; `target` is the link's own text.
    """
    if "/annex/objects/" in target:
        return f"git annex get {quoted(path)}; git annex unlock {quoted(path)}"
    return f"dvc checkout {quoted(path)}; dvc pull" if "/.dvc/cache/" in target else None


def quoted(path: str) -> str:
    """A path as a word of a shell."""
    import shlex

    return shlex.quote(path)
