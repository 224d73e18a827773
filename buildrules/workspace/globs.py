"""Globs of a BUILD.yaml, expanded in one pass over the directories they can reach.

    *        any characters of one name            **     any number of directories, or every file below
    ?        one character                         [a-c]  one of these characters, [!a] one that is not

Names that start with a dot match like all others. Always left out: `BUILD.yaml`, `__pycache__`, `*.pyc`, `.git`,
`.DS_Store` and `.ipynb_checkpoints`, and virtual environments (folders with a `pyvenv.cfg`) unless a pattern spells
their name. Nested packages are not borders: a package names targets, it does not own files, so what lies in the
directory is what a glob finds. An exclusion that matches a directory leaves out all of it.

A link is read through (its name, its target's content) as long as the target stays inside the workspace. Where links
are kept, one whose target is found as well stays a link, and folders with nothing in them are found.

On the fast path: imports nothing but `os`, `re`, `stat` and what the state needs.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator

from buildrules.errors import ActionError, LoadError
from buildrules.state.rows import Stat, row_of
from buildrules.workspace.root import VENV_MARK, is_inside

File = tuple[str, str, os.stat_result]
"""(workspace-relative path, path relative to the glob's directory, stat of the file or of the link's target).

The stat of a link that is kept is its own."""

_IGNORED = frozenset({"BUILD.yaml", "__pycache__", ".git", ".DS_Store", ".ipynb_checkpoints"})

# A segment is None for `**`, a str for a literal name, and a compiled expression otherwise.
Segment = None | str | re.Pattern[str]
State = tuple[tuple[Segment, ...], int]
Trail = tuple[str, ...]  # targets of the links to directories that led here


def is_glob(text: str) -> bool:
    """Whether the text has a wildcard, so that it can match more than one path."""
    return any(sign in text for sign in "*?[")


def check_pattern(pattern: str) -> None:
    """Raise LoadError, without a position, if the pattern is not a glob below its directory."""
    _compile(pattern)


def expand(
    root: str,
    directory: str,
    include: "list[str] | tuple[str, ...]",
    exclude: "list[str] | tuple[str, ...]" = (),
    keep: bool = False,
) -> tuple[list[File], dict[str, Stat | None]]:
    """All files below `root`/`directory` that an `include` matches and no `exclude` does, sorted by name.

    With `keep` also empty folders, and links as what they are where they lead to something that is found too. `root` is
    absolute, `directory` workspace-relative ("" is the root). The second value holds the workspace-relative directories
    whose listing decided the answer, sorted, with their rows: if none of them and no file changed, neither would the
    answer. A row is from before the directory was listed, so that what comes or goes meanwhile counts as a change. A
    directory that does not exist is there as well, with None, and matches nothing.
    Raises LoadError for a bad pattern; ActionError for a link that leaves the workspace, dangles or loops, a
    special file, a name that is not UTF-8 and a directory that cannot be read.
    """
    if directory.startswith("/") or ".." in directory.split("/"):
        raise LoadError(f"'{directory}' is not a directory inside the workspace")
    wanted = _close([(_compile(pattern), 0) for pattern in include])
    unwanted = _close([(_compile(pattern), 0) for pattern in exclude])
    walk = _Walk(root)
    if keep:
        walk.kept = lambda name: selects(name, include, exclude)
    start = os.path.join(root, directory) if directory else root
    if directory and _has_link(root, directory) and not walk.inside(os.path.realpath(start)):
        raise ActionError(
            f"'{directory}' is a link that leaves the workspace", hint="move what it points to into the workspace"
        )
    walk.stack.append(_Place(directory, "", wanted, unwanted, ()))
    while walk.stack:
        walk.visit(walk.stack.pop())
    walk.files.sort(key=lambda file: file[1])
    return walk.files, {directory: walk.directories[directory] for directory in sorted(walk.directories)}


def _has_link(root: str, directory: str) -> bool:
    """Whether a step of the way from the root to a directory is a link."""
    path = root
    for name in directory.split("/"):
        path = f"{path}/{name}"
        if os.path.islink(path):
            return True
    return False


def matches(path: str, patterns: "list[str] | tuple[str, ...]") -> bool:
    """Whether an exclusion with these globs would leave out the file `path`, which need not exist. Raises LoadError."""
    states = _close([(_compile(pattern), 0) for pattern in patterns])
    for name in path.split("/"):
        if _hits(_last(states), name):
            return True
        states = _descend(states, name)
    return False


def selects(path: str, include: "list[str] | tuple[str, ...]", exclude: "list[str] | tuple[str, ...]" = ()) -> bool:
    """Whether `expand` would find a file at `path`, relative to the globs' directory, if it is there.

    Raises LoadError for a bad pattern.
    """
    wanted = _close([(_compile(pattern), 0) for pattern in include])
    unwanted = _close([(_compile(pattern), 0) for pattern in exclude])
    names = path.split("/")
    for number, name in enumerate(names, 1):
        if name in _IGNORED or name.endswith(".pyc") or _hits(_last(unwanted), name):
            return False
        if number == len(names):
            break
        wanted, unwanted = _descend(wanted, name), _descend(unwanted, name)
    return _hits(_last(wanted), names[-1])


def enters(path: str, include: "list[str] | tuple[str, ...]", exclude: "list[str] | tuple[str, ...]" = ()) -> bool:
    """Whether `expand` would look into the directory `path`, relative to the globs' own, if it is there.

    Raises LoadError for a bad pattern.
    """
    wanted = _close([(_compile(pattern), 0) for pattern in include])
    unwanted = _close([(_compile(pattern), 0) for pattern in exclude])
    for name in path.split("/"):
        if name in _IGNORED or _hits(_last(unwanted), name):
            return False
        wanted, unwanted = _descend(wanted, name), _descend(unwanted, name)
    return bool(wanted)


class _Place:
    """A directory the walk comes to, and what is looked for in it."""

    __slots__ = ("base", "directory", "exclude", "include", "prefix", "spelt", "trail")

    def __init__(self, directory: str, prefix: str, include: list[State], exclude: list[State], trail: Trail) -> None:
        self.directory = directory  # workspace-relative
        self.base = f"{directory}/" if directory else ""
        self.prefix = prefix  # relative to the glob's directory; "" or ends with a slash
        self.include = include
        self.exclude = exclude
        self.trail = trail
        self.spelt = not prefix  # whether a pattern spells its name

    def below(self, name: str, *link: str) -> "_Place":
        """The directory `name` in this one; `link` is what it points to if it is a link."""
        include = _descend(self.include, name)
        trail = (*self.trail, *link)
        found = _Place(self.base + name, f"{self.prefix}{name}/", include, _descend(self.exclude, name), trail)
        found.spelt = any(name in segments[at : at + 1] for segments, at in self.include)
        return found

    def wants(self, name: str) -> bool:
        """Whether a file of this name is looked for, exclusions aside."""
        return _hits(_last(self.include), name)

    def excludes(self, name: str) -> bool:
        """Whether an exclusion matches this file or directory."""
        return bool(self.exclude) and _hits(_last(self.exclude), name)


class _Walk:
    """State of one expansion. Patterns advance segment by segment as the walk goes down."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.stack: list[_Place] = []
        self.files: list[File] = []
        self.directories: dict[str, Stat | None] = {}
        self.kept: Callable[[str], bool] | None = None  # whether what links lead to is found too; None: none is kept

    def inside(self, target: str) -> bool:
        """Whether a path without links lies in the workspace, or where its user lets links lead."""
        return is_inside(self.root, target)

    def visit(self, place: _Place) -> None:
        """Look into one directory."""
        if not place.include:
            return
        names = _literals(place.include)
        if names is not None:
            for name in sorted(names):
                self._literal(name, place)
            return
        self._decides(place)
        try:
            with os.scandir(os.path.join(self.root, place.directory) if place.directory else self.root) as entries:
                self._entries(entries, place)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise ActionError(f"cannot list '{place.directory or '.'}': {error.strerror}") from error

    def _decides(self, place: _Place) -> None:
        """Take the row of a directory whose names are going to be looked at."""
        directory = place.directory
        if directory not in self.directories:
            self.directories[directory] = row_of(os.path.join(self.root, directory) if directory else self.root)

    def _entries(self, entries: Iterator[os.DirEntry[str]], place: _Place) -> None:
        include, base, prefix = place.include, place.base, place.prefix
        wanted = _last(include)
        every = None in wanted
        empty = True
        found = list(entries)
        if not place.spelt and any(entry.name == VENV_MARK for entry in found):
            return
        for entry in found:
            name = entry.name
            if name in _IGNORED or name.endswith(".pyc"):
                continue
            empty = False
            if entry.is_dir(follow_symlinks=False):
                if not place.excludes(name):
                    self.stack.append(place.below(name))
            elif entry.is_symlink():
                self._link(name, place)
            elif (every or _hits(wanted, name)) and not (place.exclude and place.excludes(name)):
                self._add(base + name, prefix + name, entry.stat(follow_symlinks=False))
        if empty and every and prefix and self.kept is not None:
            self.files.append((base[:-1], prefix[:-1], os.stat(os.path.join(self.root, base))))

    def _literal(self, name: str, place: _Place) -> None:
        """A name that is spelt out is looked up instead of searched for."""
        if name in _IGNORED or name.endswith(".pyc") or place.excludes(name):
            return
        path = place.base + name
        status = self._status(path)
        if status is None:
            self._decides(place)
            status = self._status(path)  # it may have come before the row was taken
        if status is None:
            return
        if stat.S_ISLNK(status.st_mode):
            self._link(name, place)
        elif stat.S_ISDIR(status.st_mode):
            self.stack.append(place.below(name))
        elif place.wants(name):
            self._add(path, place.prefix + name, status)

    def _status(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(os.path.join(self.root, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ActionError(f"cannot read '{path}': {error.strerror}") from error

    def _link(self, name: str, place: _Place) -> None:
        """A link counts as what it points to, if that is inside the workspace."""
        wanted = place.wants(name)
        if not (wanted or _descend(place.include, name)) or place.excludes(name):
            return
        path = place.base + name
        target = os.path.realpath(os.path.join(self.root, path))
        if not self.inside(target):
            hint = self._hint(path, "copy the target into the workspace, or exclude the link")
            raise ActionError(f"'{path}' is a link that leaves the workspace", hint=hint)
        try:
            status = os.stat(target)
        except OSError as error:
            hint = self._hint(path, "repair the link, or exclude it")
            raise ActionError(f"'{path}' is a link to nothing", hint=hint) from error
        if wanted and self._stays(path, place.prefix + name, target):
            self._named(path, place.prefix + name, os.lstat(os.path.join(self.root, path)))
            return
        if not stat.S_ISDIR(status.st_mode):
            if wanted:
                self._add(path, place.prefix + name, status)
            return
        here = os.path.realpath(os.path.join(self.root, place.directory))
        if target in place.trail or here == target or here.startswith(target.rstrip("/") + "/"):
            raise ActionError(f"'{path}' is a link to a directory it lies in", hint="remove the link, or exclude it")
        self.stack.append(place.below(name, target))

    def _stays(self, path: str, name: str, target: str) -> bool:
        """Whether a link is kept: its own text leads to `target`, which is found too, and not to where it lies."""
        text = os.readlink(os.path.join(self.root, path))
        if self.kept is None or text.startswith("/"):
            return False
        leads = os.path.normpath(os.path.join(os.path.dirname(name), text))
        if leads == "." or leads.startswith("../") or leads == ".." or f"{name}/".startswith(f"{leads}/"):
            return False
        top = os.path.join(self.root, path[: len(path) - len(name)])
        return os.path.realpath(os.path.join(top, leads)) == target and self.kept(leads)

    def _hint(self, path: str, otherwise: str) -> str:
        """The command that puts a file where the link `path` is, if a tool for data made the link."""
        from buildrules.actions.models.pointers import link_command

        command = link_command(path, os.readlink(os.path.join(self.root, path)))
        return f"run `{command}`" if command else otherwise

    def _add(self, path: str, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ActionError(
                f"'{path}' is not a regular file", hint="exclude it; sockets, pipes and devices cannot be packaged"
            )
        self._named(path, name, status)

    def _named(self, path: str, name: str, status: os.stat_result) -> None:
        if not name.isascii():
            try:
                name.encode()
            except UnicodeEncodeError as error:
                shown = path.encode("utf-8", "backslashreplace").decode()
                raise ActionError(
                    f"the name of '{shown}' is not UTF-8", hint="rename the file, or exclude it"
                ) from error
        self.files.append((path, name, status))


def _compile(pattern: str) -> tuple[Segment, ...]:
    """Split a glob into segments. Raises LoadError."""
    if not pattern:
        raise LoadError("an empty glob matches nothing", hint="** matches every file")
    if pattern.startswith("/"):
        raise LoadError(f"glob '{pattern}' is absolute", hint="globs are relative to the directory of their BUILD.yaml")
    if "\\" in pattern or "\0" in pattern:
        raise LoadError(
            f"glob '{pattern}' holds a backslash or NUL", hint="separate directories with `/`; write [*] for a plain *"
        )
    if ("{" in pattern or "}" in pattern) and re.search("[{}]", re.sub(r"\[[{}]\]", "", pattern)):
        raise LoadError(
            f"glob '{pattern}' has braces, which are not expanded",
            hint="list the patterns one by one; [{] is a plain brace",
        )
    if pattern.endswith("/"):
        raise LoadError(f"glob '{pattern}' ends with a slash", hint=f"write '{pattern}**' for all files below")
    segments: list[Segment] = []
    for part in pattern.split("/"):
        if part in ("", ".", ".."):
            hint = "globs cannot hold `.`, `..` or empty parts"
            hint += "; code of another directory is a python_library there, which `code:` of a package names as well"
            raise LoadError(f"glob '{pattern}' is not a plain path", hint=hint)
        if part == "**":
            if not segments or segments[-1] is not None:  # `**/**` is `**`
                segments.append(None)
        elif "**" in part:
            raise LoadError(
                f"glob '{pattern}': `**` must stand alone between slashes", hint="write `**/*.py`, not `**.py`"
            )
        elif is_glob(part):
            segments.append(re.compile(_translate(part, pattern), re.DOTALL))
        else:
            segments.append(part)
    return tuple(segments)


def _translate(part: str, pattern: str) -> str:
    """One segment with wildcards as a regular expression."""
    out: list[str] = []
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "[":
            start = at + 1 if part[at : at + 1] == "!" else at
            end = part.find("]", start + 1)  # a bracket right at the start is a member
            if end < 0:
                raise LoadError(f"glob '{pattern}' has a `[` without `]`", hint="write [[] for a plain bracket")
            members = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[start:end])
            out.append(f"[{'^' if start > at else ''}{members}]")
            at = end + 1
        else:
            out.append(re.escape(char))
    text = "".join(out)
    try:
        re.compile(text)
    except re.error as error:
        raise LoadError(f"glob '{pattern}': '{part}' is not a valid pattern", hint=str(error)) from error
    return text


def _close(states: list[State]) -> list[State]:
    """`**` may also stand for no directory at all: add the states after it."""
    closed = list(states)
    for segments, at in states:
        if segments[at] is None and at + 1 < len(segments):
            closed.append((segments, at + 1))
    return list(dict.fromkeys(closed))


def _descend(states: list[State], name: str) -> list[State]:
    """The states inside the directory `name`."""
    after: list[State] = []
    for segments, at in states:
        segment = segments[at]
        if segment is None:
            after.append((segments, at))
        elif at + 1 < len(segments) and (name == segment if isinstance(segment, str) else segment.fullmatch(name)):
            after.append((segments, at + 1))
    return _close(after)


def _hits(segments: list[Segment], name: str) -> bool:
    """Whether one of these last segments matches a file's name."""
    for segment in segments:
        if segment is None or (name == segment if isinstance(segment, str) else segment.fullmatch(name)):
            return True
    return False


def _last(states: list[State]) -> list[Segment]:
    """The segments that decide about the files of a directory."""
    return [segments[at] for segments, at in states if at == len(segments) - 1]


def _literals(states: list[State]) -> set[str] | None:
    """The names that can match next, if all of them are spelt out."""
    names: set[str] = set()
    for segments, at in states:
        segment = segments[at]
        if not isinstance(segment, str):
            return None
        names.add(segment)
    return names
