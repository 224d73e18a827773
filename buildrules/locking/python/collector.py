"""Reads requirements one file or list after the other, and keeps every error."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from buildrules.credentials.address import split_userinfo
from buildrules.credentials.connections import Connections
from buildrules.credentials.redact import redact, scrub
from buildrules.errors import LoadError, Position
from buildrules.locking.python.requirement import Requirement, Written, parse, workspace_path

_INDEX_OPTIONS = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-index": "--no-index",
    "--trusted-host": "--trusted-host",
}
_IGNORED = {"--require-hashes", "--prefer-binary", "--no-deps-check"}
_OPTION = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:[=\s]\s*(.*)|(.*))$")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")


@dataclass(slots=True)
class Requirements:
    """What was collected. `files` are the workspace-relative files it stands in, for change detection.

    `indexes` are urls of package indexes, each below the address of a connection.
    With local projects these are also the files that may name their dependencies, whether they exist or not.
    """

    items: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    prerelease: bool = False
    python: "PythonPin | None" = None
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PythonPin:
    """What a conda file says of Python: a PEP 440 specifier like "==3.12.*", and where."""

    specifier: str
    position: Position | None


class Collector:
    """Reads one file or list after the other into `found`; `finish` raises everything that was wrong at once."""

    def __init__(
        self, root: str, asker: str = "", exclude: Iterable[str] = (), connections: Connections | None = None
    ) -> None:
        from packaging.utils import canonicalize_name

        self.root = root
        self.asker = asker
        self.connections = connections or Connections()
        self.exclude = frozenset(canonicalize_name(name) for name in exclude)
        self.found = Requirements()
        self.errors: list[LoadError] = []
        self.texts: Mapping[str, str] = {}  # by path, of files that need not be in the workspace
        self._stack: list[str] = []

    def finish(self) -> Requirements:
        """Everything collected. Raises LoadError with all errors."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise LoadError(
                f"{len(self.errors)} requirements cannot be read",
                position=self.errors[0].position,
                errors=self.errors,
            )
        return self.found

    def fail(self, message: str, position: Position | None, hint: str | None = None) -> None:
        """Note an error and go on."""
        self.errors.append(LoadError(message, position=position, hint=hint))

    def open(self, path: str, position: Position | None) -> str | None:
        """The text of a workspace-relative file; None, with the error noted, where it cannot be read."""
        try:
            text = self.texts[path] if path in self.texts else _text(os.path.join(self.root, path))
        except FileNotFoundError:
            self.fail(f"there is no file {path!r}", position)
            return None
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"cannot read {path!r}: {getattr(error, 'strerror', None) or 'not UTF-8'}", position)
            return None
        if path not in self.found.files:
            self.found.files.append(path)
        return text

    def add(self, text: str, folder: str, position: Position | None, *, conda: str = "") -> None:
        """One requirement; `conda` is the conda package it was made from."""
        self._keep(self.found.items, text, Written(self.root, folder, position, self.asker, conda=conda))

    def _keep(self, into: list[Requirement], text: str, written: Written) -> None:
        try:
            item = parse(text, written)
        except LoadError as error:
            self.errors.append(error)
        else:
            into.append(item)
            for path in item.describing_files(self.root):
                if path not in self.found.files:
                    self.found.files.append(path)

    def line(self, text: str, folder: str, position: Position, *, constraint: bool = False) -> None:
        """One logical line of a requirements file or of a conda file's pip list."""
        text = re.sub(r"(^|\s)#.*$", "", text).strip()
        if not text:
            return
        if text.startswith("-"):
            self._option(text, folder, position, constraint)
            return
        hashes = tuple(_HASH.findall(text))
        text = _HASH.sub("", text).strip()
        into = self.found.constraints if constraint else self.found.items
        if " --" in text:
            self.fail(f"options of a single requirement are not supported: {scrub(text)!r}", position)
        else:
            self._keep(into, text, Written(self.root, folder, position, self.asker, hashes))

    def _option(self, text: str, folder: str, position: Position, constraint: bool) -> None:
        match = _OPTION.match(text)
        name = match[1] if match else text
        value = ((match[2] or match[3] or "") if match else "").strip()
        if len(name) > 2 and not name.startswith("--"):  # -rfile
            name, value = name[:2], name[2:] + value
        if name in ("-r", "--requirement", "-c", "--constraint"):
            self._nested(value, folder, position, constraint or name in ("-c", "--constraint"))
        elif name in _INDEX_OPTIONS:
            self._index(_INDEX_OPTIONS[name], value, position)
        elif name == "--pre":
            self.found.prerelease = True
        elif name in ("-e", "--editable"):
            self.fail(
                f"an editable install cannot be part of an image: {scrub(value)!r}",
                position,
                "give the project's folder without -e: a wheel is built of it",
            )
        elif name not in _IGNORED:
            self.fail(f"option {name!r} is not supported in requirements", position)

    def _index(self, name: str, value: str, position: Position) -> None:
        """An index is taken where a connection of the workspace says that it is to be trusted, and with what login."""
        try:
            open_index = name in ("--index-url", "--extra-index-url") and not split_userinfo(value)[1]
            known = open_index and self.connections.serving(value)
        except ValueError:
            self.fail(f"{name} {redact(value)!r} is no address", position, "write it like https://HOST/simple")
            return
        if known:
            if value not in self.found.indexes:
                self.found.indexes.append(value)
            return
        self.fail(
            f"{name} does not belong to the requirements: it says where from, not what",
            position,
            "declare its address as a python_feed under workspace.connections; or remove it, and set"
            " UV_DEFAULT_INDEX or UV_FIND_LINKS, or give a uv.toml",
        )

    def _nested(self, value: str, folder: str, position: Position, constraint: bool) -> None:
        if "://" in value:
            self.fail("requirements cannot be read from a url", position, "copy the file into the workspace")
            return
        try:
            path = workspace_path(value.strip("\"'"), self.root, folder, position)
        except LoadError as error:
            self.errors.append(error)
            return
        self.requirements_file(path, position, constraint=constraint)

    def requirements_file(self, path: str, position: Position | None, *, constraint: bool = False) -> None:
        """A requirements file, workspace-relative, with everything it includes."""
        if path in self._stack:
            cycle = " -> ".join([*self._stack, path])
            self.fail(f"requirements files include each other: {cycle}", position)
            return
        text = self.open(path, position)
        if text is None:
            return
        self._stack.append(path)
        for number, line in _logical_lines(text):
            place = Position(path, number, 1, scrub(line))
            self.line(line, os.path.dirname(path), place, constraint=constraint)
        self._stack.pop()


def _text(path: str) -> str:
    """The text of a regular file: a pipe would wait for its other end."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8-sig") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) with continuation lines joined."""
    pending, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1] + " "
            continue
        yield begun, pending + line
        pending, begun = "", 0
    if pending:
        yield begun, pending
