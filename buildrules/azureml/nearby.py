"""Files of Azure ML near a file: what is named by name is looked for beside, below and above it."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from buildrules.azureml.document import Document, Kind, read_document, text_of
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.disk import NAMES, Disk

LARGEST = 1 << 20
"""Bytes of a file that is looked into unasked."""
_SUFFIXES = (".yml", ".yaml", ".json")
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist"})
_BELOW, _ABOVE, _FILES = 4, 3, 1000


@dataclass(slots=True)
class Nearby:
    """Reads the files around `start` (a directory) when something is first asked for.

    Below it four levels, above it three, with the folders directly in each; never above `top`, where one is given.
    `known` are the documents that the user gave.
    """

    disk: Disk
    start: str
    top: str | None
    known: list[Document]
    _read: list[Document] | None = None
    _broken: list[tuple[str, LoadError]] = field(default_factory=list)

    def documents(self, kind: Kind) -> list[Document]:
        """Those of one kind: the ones given by the user first, then the others; the nearest first among both."""
        if self._read is None:
            given = {document.path for document in self.known}
            self._read = sorted(self.known, key=lambda document: self._way(document.directory))
            self._read += [one for path in self._paths() if path not in given and (one := self._look(path)) is not None]
        return [document for document in self._read if document.kind is kind]

    def broken(self, name: str) -> list[str]:
        """Where files are no YAML that hold the text `name`: nobody named them, so it matters where that is missing."""
        found = [(self.disk.read(path), error) for path, error in self._broken]
        return [str(error.position) for data, error in found if name.encode() in data.replace(b"\0", b"")]

    def inside(self, document: Document) -> bool:
        """Whether a document stands in the start or below it."""
        return f"{document.directory}/".startswith(self.start.rstrip("/") + "/")

    def reaches(self, document: Document) -> bool:
        """Whether a document is as near as those that are looked for unasked; a large folder holds more."""
        up, down = self._way(document.directory)
        return up == 0 or (up <= _ABOVE and down <= 1)

    def _way(self, directory: str) -> tuple[int, int]:
        """Steps up from the start, and then down, to a directory."""
        way = os.path.relpath(directory, self.start).split(os.sep)
        return way.count(".."), len(way) - way.count("..") - way.count(".")

    def _look(self, path: str) -> Document | None:
        problems, found = Problems(), None
        with contextlib.suppress(OSError, UsageError):
            if os.path.getsize(path) <= LARGEST:
                found = read_document(self.disk, path, problems)
        self._broken += [(path, error) for error in problems.errors[:1]]
        return found

    def _paths(self) -> Iterator[str]:
        seen: set[str] = set()
        every = (yaml_files(self.disk, directory, levels, seen) for directory, levels in self._roots())
        return itertools.islice(itertools.chain.from_iterable(every), _FILES)

    def _roots(self) -> Iterator[tuple[str, int]]:
        yield self.start, _BELOW
        directory = self.start
        for _ in range(_ABOVE):
            parent = os.path.dirname(directory)
            if directory in (self.top, parent) or parent == os.path.dirname(parent):
                return
            directory = parent
            yield directory, 1


def yaml_files(disk: Disk, directory: str, levels: int = _BELOW, seen: set[str] | None = None) -> Iterator[str]:
    """YAML and JSON files in a directory and `levels` below it; what is in `seen` is left out, and added to it."""
    seen = set() if seen is None else seen
    if directory in seen:
        return
    seen.add(directory)
    disk.note(NAMES, directory)
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    below = []
    for entry in found:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.path)
        elif entry.name.endswith(_SUFFIXES) and entry.is_file():
            yield entry.path
    for path in below[:200] if levels > 0 else ():
        yield from yaml_files(disk, path, levels - 1, seen)


def matching(documents: list[Document], name: str, version: str | None) -> Document | None:
    """The document of this name and version; without a version the newest. One that says none is any."""
    named = [document for document in documents if text_of(document.node, "name") == name]
    if version is not None:
        exact = [document for document in named if text_of(document.node, "version") == version]
        open_ = [document for document in named if text_of(document.node, "version") is None]
        return next(iter(exact or open_), None)
    return max(named, key=lambda document: _order(text_of(document.node, "version")), default=None)


def _order(version: str | None) -> tuple[int, int, str]:
    if version is None:
        return (0, 0, "")
    number = version.isascii() and version.isdigit() and len(version) < 20
    return (1, int(version), "") if number else (1, 0, version)
