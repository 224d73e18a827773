"""What differs between a commit and the working tree, or another commit. On the short path of `affected`.

Formats: git-diff(1) "RAW OUTPUT FORMAT", git-ls-files(1), git-hash-object(1).
"""

import os

from buildrules.errors import UsageError
from buildrules.revisions.git import Running, commit_of, git, words
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        listing = ["ls-files", "-z", "-v", "--stage", "--cached", "--others", "--exclude-standard"]
        self._listed = None if until else Running(root, listing)
        self.links: set[str] = set()  # those of the paths that are or were links, as far as that is known
        self.in_place: set[str] = set()  # those that were a file, and are another one
        self.absent: set[str] = set()  # submodules that are not checked out, and may be others than they were

    def paths(self) -> list[str]:
        """Wait for them; sorted. Raises UsageError where there is no such revision, and where git fails."""
        root = self._root
        code, out, said = self._compared.end()
        if code:
            if self._listed is not None:
                self._listed.end()
            commit_of(root, self._revision)  # which knows what to say
            raise UsageError(f"git: {said}")
        listed = b"" if self._listed is None else self._listed.output()
        found, modules, unlooked = self._listing(listed)
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
        if unlooked:
            found |= _others(root, self._revision, unlooked)
        self.links.update(path for path in found if os.path.islink(os.path.join(root, path)))
        for path in sorted(modules | moved.keys()):
            found.update(self._inside(path, moved.get(path)))
        return sorted(found)

    def _listing(self, listed: bytes) -> tuple[set[str], set[str], set[str]]:
        """What lies there: files that git does not know, submodules, and files at which it does not look by their flags
        (git-update-index(1))."""
        found: set[str] = set()
        modules: set[str] = set()
        unlooked: set[str] = set()
        for line in words(listed):
            if line.startswith("H 10"):
                continue
            if line[0] == "?":
                found.update([line[2:]] if line[-1] != "/" else _files_below(self._root, line[2:-1]))
            elif line[2:8] == _MODULE:
                modules.add(line.partition("\t")[2])
            elif line[0] == "S" or line[0].islower():
                unlooked.add(line.partition("\t")[2])
        return found, modules, unlooked

    def _inside(self, path: str, moved: tuple[str, str] | None) -> "Iterator[str]":
        """What differs in the submodule at `path`, of which it is known from which commit to which it `moved`."""
        root, until = self._root, self._until
        inside = os.path.join(root, path)
        if not os.path.lexists(os.path.join(inside, ".git")):
            self.absent.add(path)
            return
        base, now = moved or (git(root, "rev-parse", f"{self._revision}:./{path}").decode().strip(), "")
        if base:
            below = Differing(inside, base, (now or None) if until else None)
            yield from (f"{path}/{one}" for one in below.paths())
            self.links.update(f"{path}/{one}" for one in below.links)
            self.in_place.update(f"{path}/{one}" for one in below.in_place)
            self.absent.update(f"{path}/{one}" for one in below.absent)
        else:
            yield from (f"{path}/{one}" for one in words(git(inside, "ls-files", "-z")))

    def check(self, sources: "Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]") -> None:
        """Raise UsageError where these globs - directory, included, excluded - reach into a submodule that is `absent`.

        What lies there, and whether it changed, cannot be known.
        """
        if not self.absent:
            return
        from buildrules.workspace.globs import enters

        for directory, include, exclude in sources:
            base = f"{directory}/" if directory else ""
            for path in sorted(self.absent):
                inside = path.startswith(base) and enters(path[len(base) :], include, exclude)
                if inside or base.startswith(f"{path}/"):
                    raise UsageError(
                        f"the submodule '{path}' is not checked out, so what is made of it cannot be known",
                        hint="run `git submodule update --init`; actions/checkout takes `submodules: true`, "
                        "GitLab `GIT_SUBMODULE_STRATEGY: normal`",
                    )


def _files_below(root: str, folder: str) -> "Iterator[str]":
    """All files of a repository that lies in the workspace and that git takes for a folder: no revision has them."""
    for above, folders, names in os.walk(os.path.join(root, folder)):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        folders[:] = [name for name in folders if name != ".git"]
        yield from (os.path.relpath(os.path.join(above, name), root) for name in (*names, *links) if name != ".git")


def _others(root: str, revision: str, paths: "set[str]") -> set[str]:
    """Those of the paths that are not as in a revision: by their content, whatever the index says of them."""
    there = {}
    for line in words(git(root, "ls-tree", "-r", "-z", revision)):
        head, _, path = line.partition("\t")
        if path in paths:
            mode, _, there[path] = head.split(" ")
            if mode != _LINK and (mode == "100755") != os.access(os.path.join(root, path), os.X_OK):
                del there[path]
    here = changes(root, paths)
    return {path for path in paths if path not in there or here.get(path) != there[path]}


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
