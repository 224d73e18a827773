"""What differs between a commit and the working tree, or another commit. On the short path of `affected`.

Formats: git-diff(1) "RAW OUTPUT FORMAT", git-ls-files(1), git-hash-object(1).
"""

import os

from buildrules.errors import UsageError
from buildrules.revisions.git import Running, git, words
from buildrules.revisions.revision import commit_of
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINK, _MODULE = "120000", "160000"


class Differing:
    """The paths of the workspace `root` that differ between a revision and another one, or what lies there.

    Looking begins at once, and goes on beside whatever else is done. What git ignores is not seen.
    """

    def __init__(self, root: str, revision: str, until: str | None = None) -> None:
        self._root, self._revision, self._until = root, revision, until
        diff = ["diff", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative", "--abbrev=40"]
        revisions = [f"{one}^{{commit}}" for one in (revision, until) if one is not None]
        self._compared = Running(root, [*diff, "--ignore-submodules=dirty", "--end-of-options", *revisions, "--"])
        self._others = None if until else Running(root, ["ls-files", "-z", "--others", "--exclude-standard"])
        self.links: set[str] = set()  # those of the paths that are or were links, as far as that is known
        self.in_place: set[str] = set()  # those that were a file, and are another one

    def paths(self) -> list[str]:
        """Wait for them; sorted. Raises UsageError where there is no such revision, and where git fails."""
        root, until = self._root, self._until
        code, out, said = self._compared.end()
        others = b"" if self._others is None else self._others.output()
        if code:
            commit_of(root, self._revision)  # which knows what to say
            raise UsageError(f"git: {said}")
        found = {path for path in words(others) if not path.endswith("/")}
        self.links.update(path for path in found if os.path.islink(os.path.join(root, path)))
        fields = words(out)
        moved: dict[str, tuple[str, str]] = {}  # submodules that are at another commit
        for head, path in zip(fields[::2], fields[1::2], strict=True):
            before, after, was, now, status = head[1:].split(" ")
            found.add(path)
            if status == "M":
                self.in_place.add(path)
            if _LINK in (before, after):
                self.links.add(path)
            if _MODULE in (before, after):
                moved[path] = (was if before == _MODULE else "", now if after == _MODULE else "")
        modules = _modules(root, self._revision) if os.path.exists(os.path.join(root, ".gitmodules")) else ()
        for path in modules:
            was, now = moved.get(path, ("", ""))
            inside = os.path.join(root, path)
            if os.path.lexists(os.path.join(inside, ".git")):
                base = was if path in moved else git(root, "rev-parse", f"{self._revision}:./{path}").decode().strip()
                if base:
                    below = Differing(inside, base, (now or None) if until else None)
                    found.update(f"{path}/{one}" for one in below.paths())
                    self.links.update(f"{path}/{one}" for one in below.links)
                    self.in_place.update(f"{path}/{one}" for one in below.in_place)
                else:
                    found.update(f"{path}/{one}" for one in words(git(inside, "ls-files", "-z")))
        return sorted(found)


def _modules(root: str, commit: str) -> set[str]:
    """The paths of submodules, in the index and in a commit."""
    staged = words(git(root, "ls-files", "-z", "--stage"))
    there = words(git(root, "ls-tree", "-r", "-z", commit))
    return {line.partition("\t")[2] for line in (*staged, *there) if line.startswith(_MODULE)}


def changes(root: str, paths: "Iterable[str]") -> dict[str, str]:
    """By path the names that git would give to the content of the files there. What is no regular file has none."""
    places = ((path, os.path.join(root, path)) for path in paths)
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
    return named
