"""Reads requirements one file or list after the other, and keeps every error."""

import codecs
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from buildrules.actions.python.versions import VARIABLES
from buildrules.authoring.release import minor_of_patch
from buildrules.credentials.address import split_userinfo
from buildrules.credentials.connections import Connections
from buildrules.credentials.redact import redact, scrub
from buildrules.document.reader import not_utf8
from buildrules.errors import LoadError, Position
from buildrules.locking.python.formats import HARMLESS, REQUIREMENTS
from buildrules.locking.python.kinds import mistaken
from buildrules.locking.python.requirement import Requirement, parse, workspace_path
from buildrules.workspace.root import read_inside

_INDEX_OPTIONS = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-index": "--no-index",
    "--trusted-host": "--trusted-host",
}
_IGNORED = {name for name, verdict in REQUIREMENTS.items() if verdict == HARMLESS}
_BUILT = "remove it: what has a wheel for the image is taken as that, and all else is built from source"
_WITHOUT = {"--no-binary": _BUILT, "--only-binary": _BUILT}
_OPTION = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:[=\s]\s*(.*)|(.*))$")
_NEXT = re.compile(r"\s+(?=--?[A-Za-z])")  # a line may have several
_MOST = 20_000  # a hundred times as many as a large environment has
_MOST_ERRORS = 1000
_NAME = re.compile(r"(?:[^\s\[]*::)?([A-Za-z0-9_.-]+)")
_CHANNEL = re.compile(  # CHANNEL::name, CHANNEL/SUBDIR::name and name[channel=CHANNEL]
    r"^(?P<before>[^\s\[]+?)(?:/(?:noarch|(?:linux|osx|win)-[a-z0-9]+))?::"
    r"|(?<=[\[,\s])channel\s*=\s*(?P<quote>['\"]?)(?P<inside>[^'\"\s,\]]+)(?P=quote)"
)
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")


class Asked(NamedTuple):
    """One text of a conda file, and where it stands."""

    text: str
    position: Position

    @property
    def name(self) -> str:
        """The name of the package, in lower case, of a text that is a spec."""
        match = _NAME.match(self.text)
        return match[1].lower() if match else self.text

    @property
    def channel(self) -> "Asked | None":
        """The channel that a spec wants its package from."""
        match = _CHANNEL.search(self.text)
        return Asked(match["before"] or match["inside"], self.position) if match else None

    def taken_from(self, url: str) -> str:
        """The text of a spec that names a channel, with the address of it."""
        match = _CHANNEL.search(self.text)
        assert match is not None
        group = "before" if match["before"] else "inside"
        return self.text[: match.start(group)] + url + self.text[match.end(group) :]


class CondaAsked(NamedTuple):
    """What conda's solver is asked for; paths of channels start at `folder` (workspace-relative)."""

    specs: Sequence[Asked]
    channels: Sequence[Asked]
    folder: str


class Declared(NamedTuple):
    """A project's normalised name, its version, "" for what its back end says, and variables for its back end."""

    name: str = ""
    version: str = ""
    variables: Mapping[str, str] = {}

    def environment(self) -> dict[str, str]:
        """What the back end is to see."""
        return {**{name: self.version for name in VARIABLES if self.version}, **self.variables}


@dataclass(slots=True)
class Requirements:
    """What was collected. `files` are the workspace-relative files it stands in, for change detection.

    `exclude` are distributions left out on purpose, whoever depends on them: names and globs. With `require_hashes`
    every file must have one of the hashes that the requirements give. `indexes` are urls of package indexes, each below
    the address of a connection, and `sources` packages that come from one index only, as `feeds.Feeds` has both.
    `preferences` are versions by name that are taken where they fit, from the file `preferred_by`; `folders` those in
    which such files were looked for. `declared` is what is said of projects, by folder. With local projects `files` are
    also those that may name their dependencies, whether they exist or not. `conda` is for conda's solver.
    """

    items: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    prerelease: bool = False
    python: "PythonPin | None" = None
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    sources: list[tuple[str, str, str]] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    preferences: dict[str, str] = field(default_factory=dict)
    preferred_by: str = ""
    require_hashes: bool = False
    declared: dict[str, Declared] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    conda: CondaAsked | None = None

    def all(self) -> list[Requirement]:
        """What is asked for, and the constraints."""
        return [*self.items, *self.constraints]


@dataclass(frozen=True, slots=True)
class PythonPin:
    """What asks for a Python: a PEP 440 specifier like "==3.12.*", the text that it was read from, where, and what it
    is, for people. With `free_threaded` it must be the build without the global lock.
    """

    specifier: str
    text: str
    position: Position
    asker: str = "the conda file"
    free_threaded: bool = False

    @property
    def version(self) -> str:
        """For people: "3.12" of "==3.12.*"."""
        return self.specifier.removeprefix("==").removesuffix(".*") + ("t" if self.free_threaded else "")

    @property
    def minor(self) -> str | None:
        """The minor version of a pin that asks for a single release: "3.11" of "==3.11.9"."""
        return minor_of_patch(self.specifier)


class Collector:
    """Reads one file or list after the other into `found`; `finish` raises everything that was wrong at once."""

    def __init__(
        self,
        root: str,
        asker: str = "",
        exclude: Iterable[str] = (),
        connections: Connections | None = None,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.asker = asker
        self.connections = connections or Connections()
        self.environment = environment  # of the image, for markers; None: this machine's
        self.exclude = frozenset(canonicalize_name(name) for name in exclude)
        self.found = Requirements(exclude=list(exclude))
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
        """Note an error and go on. Raises LoadError where there are too many."""
        self.errors.append(LoadError(message, position=position, hint=hint))
        self._bound(position)

    def _bound(self, position: Position | None) -> None:
        for found, most, what in (
            (len(self.errors), _MOST_ERRORS, "errors in the requirements"),
            (len(self.found.items), _MOST, "requirements"),
            (len(self.found.constraints), _MOST, "constraints"),
        ):
            if found > most:
                raise LoadError(f"there are more than {most} {what}", position=position)

    def open(self, path: str, position: Position | None) -> str | None:
        """The text of a workspace-relative file; None, with the error noted, where it cannot be read."""
        try:
            text = self.texts[path] if path in self.texts else _decoded(read_inside(self.root, path))
        except FileNotFoundError:
            self.fail(f"there is no file {path!r}", position)
            return None
        except UnicodeDecodeError as error:
            self.errors.append(not_utf8(path, error))
            return None
        except OSError as error:
            self.fail(f"cannot read {path!r}: {error.strerror}", position)
            return None
        self.watch(path)
        return text

    def is_mistaken(self, path: str, text: str, attribute: str, position: Position | None) -> bool:
        """Whether a file is of another kind than `attribute` takes, which is noted then."""
        error = mistaken(path, text, attribute, position)
        self.errors += [error] if error is not None else []
        return error is not None

    def add(self, text: str, folder: str, position: Position | None, *, conda: str = "") -> None:
        """One requirement; `conda` is the conda package it was made from."""
        self._keep(self.found.items, text, folder, position, conda=conda)

    def _keep(
        self,
        into: list[Requirement],
        text: str,
        folder: str,
        position: Position | None,
        *,
        hashes: tuple[str, ...] = (),
        conda: str = "",
    ) -> None:
        try:
            item = parse(text, self.root, folder, position)
        except LoadError as error:
            self.errors.append(error)
            self._bound(position)
        else:
            self.take(replace(item, hashes=hashes, conda=conda), into)

    def take(self, item: Requirement, into: list[Requirement] | None = None) -> None:
        """A requirement that was read already. Raises LoadError where there are too many."""
        into = self.found.items if into is None else into
        into.append(replace(item, asker=self.asker))
        self._bound(item.position)
        self.watch(*item.describing_files(self.root))

    def watch(self, *paths: str) -> None:
        """Workspace-relative files that decide something, whether they are there or not."""
        self.found.files += [path for path in dict.fromkeys(paths) if path not in self.found.files]

    def add_constraint(self, text: str, folder: str, position: Position | None) -> None:
        """A limit that asks for nothing by itself."""
        self._keep(self.found.constraints, text, folder, position)

    def line(self, text: str, folder: str, position: Position, *, constraint: bool = False) -> None:
        """One logical line of a requirements file or of a conda file's pip list."""
        text = re.sub(r"(^|\s)#.*$", "", text).strip()
        if not text:
            return
        if text.startswith("-"):
            for option in _NEXT.split(text):
                self._option(option, folder, position, constraint)
            return
        hashes = tuple(_HASH.findall(text))
        text = _HASH.sub("", text).strip()
        into = self.found.constraints if constraint else self.found.items
        if " --" in text:
            self.fail(
                f"options of a single requirement are not supported: {scrub(text)!r}",
                position,
                f"build a wheel and give its path: `pip wheel --no-deps -w wheels {scrub(text)}`",
            )
        else:
            self._keep(into, text, folder, position, hashes=hashes)

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
        elif name == "--require-hashes":
            self.found.require_hashes = True
        elif name in ("-e", "--editable"):
            self._keep(self.found.constraints if constraint else self.found.items, value, folder, position)
            self.found.notes.append(
                f"{position}: an image has no editable installs; a wheel is built of {scrub(value)}"
            )
        elif name not in _IGNORED:
            self.fail(f"option {name!r} is not supported in requirements", position, _WITHOUT.get(name, "remove it"))

    def _index(self, name: str, value: str, position: Position) -> None:
        """An index is taken where a connection of the workspace says that it is to be trusted, and with what login."""
        try:
            open_index = name in ("--index-url", "--extra-index-url") and not split_userinfo(value)[1]
            known = open_index and self.connections.serving(value)
        except ValueError:
            self.fail(f"{name} {redact(value)!r} is not an address", position, "write it like https://HOST/simple")
            return
        if known:
            if value not in self.found.indexes:
                self.found.indexes.append(value)
            return
        declared = "declare its address as a python_feed under workspace.connections"
        if open_index:
            declared = f'write under workspace.connections: `feed: {{type: python_feed, target: "{redact(value)}"}}`'
        self.fail(
            f"{name} does not belong to the requirements: it says where from, not what",
            position,
            f"{declared}; or remove it, and set UV_DEFAULT_INDEX or UV_FIND_LINKS, or give a uv.toml",
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
        if text is None or self.is_mistaken(path, text, "requirements_file", position):
            return
        self._stack.append(path)
        for number, line in _logical_lines(text):
            if not line.strip():
                continue
            place = Position(path, number, 1, scrub(line))
            self.line(line, os.path.dirname(path), place, constraint=constraint)
        self._stack.pop()


def _decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark, as PowerShell writes it."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and data[2:4] != b"\0\0"
    if b"\0" in data[:4] and not marked:
        raise UnicodeDecodeError("utf-8", data, 0, 1, "NUL")
    return data.decode("utf-16" if marked else "utf-8-sig")


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
