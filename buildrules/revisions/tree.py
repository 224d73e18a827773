"""The tree of a revision, as far as a workspace goes: its files and the commits of its submodules.

Formats: git-ls-tree(1), git-cat-file(1) "BATCH OUTPUT".
"""

import os

from buildrules.errors import UsageError
from buildrules.revisions.git import Running, git, words
from buildrules.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINK, MODULE = 0o120000, 0o160000
_AT_ONCE = 32 << 20  # bytes of blobs that are held in memory


class Entry(NamedTuple):
    """A file of a tree. `blob` is git's name of its content, which has `size` bytes; a link's is what it says.

    A submodule is `mode` MODULE and its commit where nobody has fetched it.
    """

    mode: int
    blob: str
    size: int
    module: str = ""  # the submodule that has the blob, as a path of the workspace; "" for the repository itself


class Tree:
    """The files of the workspace at `root` (absolute) in a commit, by workspace-relative path."""

    def __init__(self, root: str, commit: str) -> None:
        """Raises UsageError where git does, and for names that no file can have."""
        self.root = root
        self.commit = commit
        self.files: dict[str, Entry] = {}
        self.modules: dict[str, str] = {}  # path -> commit of the submodules that are here
        self._list("", commit)

    def _list(self, module: str, commit: str) -> None:
        base = f"{module}/" if module else ""
        directory = os.path.join(self.root, module)
        # In a directory, git lists what is below it; so names are relative to the workspace.
        for line in words(git(directory, "ls-tree", "-r", "-z", "--long", commit)):
            head, _, name = line.partition("\t")
            mode, _, blob, size = head.split()
            path = base + name
            _check(path)
            if size == "BAD":
                raise _lacking(path, self.commit)
            entry = Entry(int(mode, 8), blob, int(size) if size != "-" else 0, module)
            if entry.mode == MODULE and os.path.lexists(os.path.join(self.root, path, ".git")):
                self.modules[path] = blob
                self._list(path, _fetched(self.root, path, blob))
            else:
                self.files[path] = entry

    def contents(self, paths: "Iterable[str]") -> "Iterator[tuple[str, bytes]]":
        """(path, content) of files, in the order of their submodules; not for submodules. Raises UsageError."""
        batch: list[str] = []
        size = 0
        for path in sorted(paths, key=lambda path: self.files[path].module):
            entry = self.files[path]
            if batch and (size + entry.size > _AT_ONCE or entry.module != self.files[batch[0]].module):
                yield from self._batch(batch)
                batch, size = [], 0
            batch.append(path)
            size += entry.size
        if batch:
            yield from self._batch(batch)

    def _batch(self, paths: list[str]) -> "Iterator[tuple[str, bytes]]":
        wanted = "".join(f"{self.files[path].blob}\n" for path in paths).encode()
        directory = os.path.join(self.root, self.files[paths[0]].module)
        data = Running(directory, ["cat-file", "--batch", "--buffer"], wanted).output()
        at = 0
        for path in paths:
            end = data.index(b"\n", at)
            head = data[at:end].split()
            if len(head) != 3:
                raise _lacking(path, self.commit)
            at = end + 1 + int(head[2])
            yield path, data[end + 1 : at]
            at += 1


def _lacking(path: str, commit: str) -> UsageError:
    return UsageError(f"git does not have the content of '{path}' at {commit[:12]}", hint="run `git fetch --refetch`")


def _check(path: str) -> None:
    """Raise UsageError for a path that leads elsewhere; git's own checks may be off."""
    if not path or any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise UsageError(f"the revision has a file of the name {path!r}", hint="run `git fsck`")


def _fetched(root: str, module: str, commit: str) -> str:
    """The commit of a submodule, if it is here."""
    directory = os.path.join(root, module)
    if Running(directory, ["cat-file", "-e", commit]).end()[0]:
        raise UsageError(
            f"the submodule '{module}' has no commit {commit[:12]} here",
            hint=f"run `git -C {module} fetch --all`, or `git submodule update --init`",
        )
    return commit
