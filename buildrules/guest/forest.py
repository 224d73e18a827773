"""Lays out what is declared of a workspace as a tree of links to what it really is, and nothing else.

Build systems stage their inputs as links (Bazel's sandbox, Nix, Buck2), and tools for data keep large files that way
(git-annex, DVC). A link that leads to the same path in another tree stands for the entry there; that may be a link of
the source tree, which is kept, as a plain build keeps it. All others are read through, without a copy, as long as they
lead below one of the roots.
"""

import os
import stat

from buildrules.errors import LoadError, UndeclaredError, UsageError
from buildrules.guest.declared import Declared
from buildrules.workspace.root import BUILD_FILE, Tree

_HOPS = 40  # as Linux allows in the resolution of one path


def lay_out(root: str, declared: Declared, below: tuple[str, ...], at: str) -> Tree:
    """Lay out the workspace in the folder `root` as the new folder `at`.

    Links may lead below `root` and the folders `below`; where none is given, below those in which the BUILD.yaml of
    the root lies, one hop of its link after the other. Raises UsageError for what is not there, LoadError for a link
    that leaves the roots, UndeclaredError for one that leads to what is not declared.
    """
    forest = _Forest(os.path.abspath(root), declared, below, at)
    os.mkdir(at, 0o700)
    for path in sorted(declared.folders):
        os.makedirs(f"{at}/{path}", exist_ok=True)
    for path in sorted(declared.files):
        forest.lay(path)
    return Tree(at, (at, *forest.roots))


def _hops(path: str) -> list[str]:
    """The folders that a file of this name lies in, one hop of a link after the other."""
    name, found = os.path.basename(path), [os.path.dirname(path)]
    while os.path.islink(path) and len(found) < _HOPS:
        path = _target(path)
        if os.path.basename(path) == name:
            found.append(os.path.dirname(path))
    return found


def _target(link: str) -> str:
    """Where a link leads, as it says itself: an absolute path."""
    return os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(link)), os.readlink(link)))


class _Forest:
    def __init__(self, root: str, declared: Declared, below: tuple[str, ...], at: str) -> None:
        self._root = root
        self._at = at
        given = [root, *below] if below else _hops(os.path.join(root, BUILD_FILE))
        self.roots = tuple(dict.fromkeys(map(os.path.realpath, given)))
        self._trees = [top for top in self.roots if os.path.lexists(os.path.join(top, BUILD_FILE))]
        self._files = declared.files
        self._known = declared.files | declared.folders
        self._known |= {path[:at] for path in self._known for at, sign in enumerate(path) if sign == "/"}
        self._inside: dict[str, bool] = {}  # whether a folder lies below a root
        self._made: set[str] = set()

    def lay(self, path: str) -> None:
        """Lay one declared file."""
        names, top = path.split("/"), self._root
        for number in range(1, len(names) + 1):
            part = "/".join(names[:number])
            if part in self._made:
                return  # a link of the source tree, which brings what is behind it
            hops = 0
            while os.path.islink(f"{top}/{part}"):
                hops += 1
                if hops > _HOPS:
                    raise LoadError(f"'{path}' is a link that leads nowhere", hint="repair the link")
                target = _target(f"{top}/{part}")
                if target.endswith(f"/{part}") and self._within(other := target[: -len(part) - 1]) and other != top:
                    top = other
                elif self._keeps(f"{top}/{part}", part, target, top):
                    self._link(os.readlink(f"{top}/{part}"), part)
                    return
                else:
                    break  # it is read through
        self._file(path, f"{top}/{path}")

    def _keeps(self, link: str, part: str, target: str, top: str) -> bool:
        """Whether a link of a tree to something else in it stays one. Raises UndeclaredError."""
        place = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
        for tree in (os.path.realpath(top), *self._trees):
            if f"{place}/".startswith(f"{tree}/"):
                inside = place[len(tree) + 1 :]
                if not inside or inside in self._known:
                    return not os.readlink(link).startswith("/")
                if not any(name.startswith(".") for name in inside.split("/")):  # else it's a tool's own store
                    raise UndeclaredError(
                        f"'{inside}' is not declared, and the link '{part}' leads to it",
                        hint=f"add '{inside}' to the inputs, or its files where it is a folder",
                    )
                return False
        return False

    def _file(self, path: str, place: str) -> None:
        real = os.path.realpath(place)
        if not self._within(os.path.dirname(real)):
            raise LoadError(
                f"'{path}' is a link that leaves the workspace, to {os.path.dirname(real)!r}",
                hint="name a folder that it may lead below with --below",
            )
        try:
            mode = os.stat(real).st_mode
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"the input '{path}' cannot be read: {reason}", hint="the host declares it") from None
        if not stat.S_ISREG(mode):
            hint = f"declare its files, or '{path}/' if it is an empty folder"
            raise UsageError(f"the input '{path}' is no regular file", hint=hint)
        self._link(real, path)

    def _link(self, text: str, path: str) -> None:
        if path not in self._made:
            self._made.add(path)
            place = f"{self._at}/{path}"
            os.makedirs(os.path.dirname(place), exist_ok=True)
            try:
                os.symlink(text, place)
            except FileExistsError:
                hint = "declare the folder's files, or the link, and not both"
                raise UsageError(f"the input '{path}' is a link and a folder", hint=hint) from None

    def _within(self, folder: str) -> bool:
        """Whether a folder is one of the roots, or lies below one."""
        if folder not in self._inside:
            real = f"{os.path.realpath(folder)}/"
            self._inside[folder] = any(real.startswith(f"{top.rstrip('/')}/") for top in self.roots)
        return self._inside[folder]
