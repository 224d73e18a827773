"""What differs between a commit and the working tree, or another commit. On the short path of `affected`.

Formats: git-diff(1) "RAW OUTPUT FORMAT", git-ls-files(1), git-hash-object(1).
"""

import os

from buildrules.revisions.git import Running, git, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MODULE = "160000"


class Changes:
    """The workspace-relative paths that differ, sorted, with git's names of what there is now by path.

    A path that has none is gone, or is no regular file.
    """

    __slots__ = ("blobs", "paths")

    def __init__(self, paths: "Iterable[str]", blobs: "dict[str, str]") -> None:
        self.paths = sorted(paths)
        self.blobs = blobs


def differing(root: str, commit: str, until: str | None = None) -> list[str]:
    """The paths of the workspace `root` that differ between `commit` and another one, or what lies there.

    What git ignores is not seen. Raises UsageError where git fails.
    """
    diff = ["diff", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative", "--abbrev=40"]
    compared = Running(root, [*diff, "--ignore-submodules=dirty", commit, *([until] if until else []), "--"])
    others = None if until else Running(root, ["ls-files", "-z", "--others", "--exclude-standard"])
    found = set() if others is None else {path for path in words(others.output()) if not path.endswith("/")}
    fields = words(compared.output())
    moved: dict[str, tuple[str, str]] = {}  # submodules that are at another commit
    for head, path in zip(fields[::2], fields[1::2], strict=True):
        before, after, was, now, _ = head[1:].split(" ")
        found.add(path)
        if _MODULE in (before, after):
            moved[path] = (was if before == _MODULE else "", now if after == _MODULE else "")
    for path in _modules(root, commit) if os.path.exists(os.path.join(root, ".gitmodules")) else ():
        was, now = moved.get(path, ("", ""))
        inside = os.path.join(root, path)
        if os.path.lexists(os.path.join(inside, ".git")):
            base = was if path in moved else git(root, "rev-parse", f"{commit}:./{path}").decode().strip()
            if base:
                found.update(f"{path}/{one}" for one in differing(inside, base, (now or None) if until else None))
            else:
                found.update(f"{path}/{one}" for one in words(git(inside, "ls-files", "-z")))
    return sorted(found)


def _modules(root: str, commit: str) -> set[str]:
    """The paths of submodules, in the index and in a commit."""
    staged = words(git(root, "ls-files", "-z", "--stage"))
    there = words(git(root, "ls-tree", "-r", "-z", commit))
    return {line.partition("\t")[2] for line in (*staged, *there) if line.startswith(_MODULE)}


def changes(root: str, paths: "Iterable[str]") -> Changes:
    """These paths, with the names that git would give to the content of the files there."""
    found = list(paths)
    places = ((path, os.path.join(root, path)) for path in found)
    files = [path for path, place in places if os.path.isfile(place) and not os.path.islink(place)]
    plain = [path for path in files if not any(sign in path for sign in '\n\r"')]  # which stand for others in its input
    named: dict[str, str] = {}
    if plain:
        above = os.fsdecode(git(root, "rev-parse", "--show-prefix")[:-1])  # it takes paths from the top
        given = "".join(f"{above}{path}\n" for path in plain)
        out = git(root, "hash-object", "--stdin-paths", given=os.fsencode(given)).decode().split()
        named.update(zip(plain, out, strict=True))
    for path in files:
        if path not in named:
            named[path] = git(root, "hash-object", "--", path).decode().strip()
    return Changes(found, named)
