"""Files of Azure ML near a file: what is named by name is looked for beside, below and above it."""

import os
from collections.abc import Iterator

from buildrules.azureml.document import Document, Kind, read_document
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import UsageError

__all__ = ["Neighbourhood"]

_SUFFIXES = (".yml", ".yaml", ".json")
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "build", "dist"})
_LARGEST = 1 << 20
_BELOW, _ABOVE, _FILES = 4, 3, 1000


class Neighbourhood:
    """Reads the files around `start` (a directory) when something is first asked for.

    Below it four levels, above it three, with the folders directly in each; never above `top`, where one is given.
    `directories` are those that were listed, `files` those that were looked into.
    """

    def __init__(self, start: str, top: str | None, known: list[Document]) -> None:
        self._start = start
        self._top = top
        self._known = known
        self._read: list[Document] | None = None
        self.directories: set[str] = set()
        self.files: set[str] = set()

    def documents(self, kind: Kind) -> list[Document]:
        """Those of one kind: the ones given by the user first, then the others; the nearest first among both."""
        if self._read is None:
            given = {document.path for document in self._known}
            self._read = sorted(self._known, key=lambda document: self._distance(document.directory))
            for path in self._paths():
                if path not in given:
                    self._look(path)
        return [document for document in self._read if document.kind is kind]

    def inside(self, document: Document) -> bool:
        """Whether a document stands in the start or below it."""
        return document.directory == self._start or document.directory.startswith(self._start.rstrip("/") + "/")

    def reaches(self, document: Document) -> bool:
        """Whether a document is as near as those that are looked for unasked; a large folder holds more."""
        way = os.path.relpath(document.directory, self._start).split(os.sep)
        return way.count("..") <= _ABOVE and (".." not in way or len(way) - way.count("..") <= 1)

    def _distance(self, directory: str) -> int:
        """Steps from the start to a directory; those down count less than any up."""
        way = os.path.relpath(directory, self._start).split(os.sep)
        return 100 * way.count("..") + len(way) - way.count("..") - way.count(".")

    def below(self) -> list[str]:
        """The files below the start."""
        return list(self._walk(self._start, _BELOW, set()))

    def _look(self, path: str) -> None:
        assert self._read is not None
        self.files.add(path)  # also one that is no document now: it may be edited into one
        try:
            if os.path.getsize(path) > _LARGEST:
                return
            document = read_document(path, Problems())  # what is wrong with a file nobody named is nobody's matter
        except (OSError, UsageError):
            return
        if document is not None:
            self._read.append(document)

    def _paths(self) -> Iterator[str]:
        seen: set[str] = set()
        count = 0
        for directory, depth in self._roots():
            for path in self._walk(directory, depth, seen):
                count += 1
                if count > _FILES:
                    return
                yield path

    def _roots(self) -> Iterator[tuple[str, int]]:
        yield self._start, _BELOW
        directory = self._start
        for _ in range(_ABOVE):
            parent = os.path.dirname(directory)
            if directory in (self._top, parent) or parent == os.path.dirname(parent):
                return
            directory = parent
            yield directory, 1

    def _walk(self, directory: str, depth: int, seen: set[str]) -> Iterator[str]:
        if directory in seen:
            return
        seen.add(directory)
        try:
            with os.scandir(directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return
        self.directories.add(directory)
        below = []
        for entry in found:
            if entry.name.startswith(".") or entry.name in _SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif entry.name.endswith(_SUFFIXES) and entry.is_file():
                yield entry.path
        if depth > 0:
            for path in below[:200]:
                yield from self._walk(path, depth - 1, seen)


def text_of(node: Node, *names: str) -> str | None:
    """The text of the first of these attributes that is there."""
    for name in names:
        value = node.entries.get(name)
        if value is not None and value.kind == "scalar" and not value.is_null:
            return value.text
    return None


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
