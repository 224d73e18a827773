"""Targets for many folders that are alike: the `for_each` section of a BUILD.yaml, written out folder by folder."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.document.source import Source
from buildrules.errors import LoadError
from buildrules.workspace.disk import Disk
from buildrules.workspace.globs import check_pattern, is_glob, matches, selects
from buildrules.workspace.labels import check_name
from buildrules.workspace.root import Tree
from buildrules.workspace.suggest import did_you_mean

KEYS = {
    "folders": "Globs of the folders, relative to the directory of the BUILD.yaml; `*` is one name, `**` is refused.",
    "exclude": "Globs of folders to leave out.",
    "targets": "Its targets, by name; `{folder}` is its path, `{name}` its name, `{parent}` that of the one above.",
    "override": "What is different for some: folder, then target, then attributes; `null` for what is left out.",
    "override_file": "Name of a file that a folder may have, with what is different there: target, then attributes.",
}
_VARIABLE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_SKIPPED = frozenset({"node_modules", "__pycache__"})

Variables = Mapping[str, str]


def written_out(disk: Disk, package: str, section: Node, problems: Problems) -> Iterator[Node]:
    """For each folder of each template a map of targets, as it would stand below `targets:`.

    Each node stands where the template does, and its errors name the folder as well. Errors are noted in `problems`.
    """
    for template in section.items if section.kind == "list" else [section]:
        try:
            yield from _Template(disk.by(f"//{package}"), package, template, problems).maps()
        except LoadError as error:
            problems.add_error(error, template.position)


class _Template:
    """One `for_each`. Raises LoadError where it cannot be read at all."""

    def __init__(self, disk: Disk, package: str, node: Node, problems: Problems) -> None:
        if node.kind != "map":
            raise node.error(
                f"a template is a map, not {node.describe()}", 'write {folders: "*", targets: {...}}, or a list of such'
            )
        for name, key in node.keys.items():
            if name not in KEYS:
                problems.add_error(key.error(f"unknown key '{name}'", did_you_mean(name, KEYS, what="known keys")))
        for name in ("folders", "targets"):
            if name not in node.entries:
                raise node.error(f"'{name}' is missing in for_each", KEYS[name])
        self._disk, self._package, self._problems = disk, package, problems
        self._node = node.entries
        self._base = f"{package}/" if package else ""
        self._partly = isinstance(disk.root, Tree)  # folders that a target does not need may not be laid out
        self._override = _map(node.entries.get("override"), "override", "folders")

    def maps(self) -> Iterator[Node]:
        """The targets of each folder."""
        _map(self._node["targets"], "targets", "names of targets")
        before = len(self._problems)
        folders = self._folders()
        for name in self._override if len(self._problems) == before else ():  # else it may follow from what is wrong
            if name not in folders and not self._partly:
                hint = did_you_mean(name, folders, what="folders", limit=8)
                key = self._node["override"].keys[name]
                self._problems.add_error(key.error(f"for_each has no folder '{name}'", hint))
        for folder in folders:
            try:
                yield self._of(folder)
            except LoadError as error:
                self._problems.add_error(error)

    def _of(self, folder: str) -> Node:
        path = f"{self._base}{folder}".split("/")
        names = {"folder": folder, "name": path[-1], "parent": path[-2] if len(path) > 1 else ""}
        fill = _Fill(names, folder, self._problems)
        found = fill(self._node["targets"])
        for override in self._overrides(folder):
            _lay_over(found, fill(override), self._problems)
            found.source.selects |= override.source.selects
        return found

    def _overrides(self, folder: str) -> Iterator[Node]:
        """What is different for a folder: as the template says it, then as a file in the folder does."""
        if folder in self._override:
            yield self._override[folder]
        own = self._node.get("override_file")
        if own is None:
            return
        name = own.string("the name of a file")
        if "/" in name or is_glob(name) or name in ("", ".", ".."):
            raise own.error(f"'{name}' is not the name of a file")
        path = f"{self._base}{folder}/{name}"
        if not self._disk.exists(path):
            return
        try:
            node = parse(path, self._disk.read(path), self._problems)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise own.error(f"cannot read '{path}': {reason}", "make it a file, or take it away") from error
        if node is not None:
            yield node

    def _folders(self) -> list[str]:
        """The folders, sorted. What their names cannot be in a label is an error, not a broken label."""
        exclude = [glob.string("a glob") for glob in _list(self._node.get("exclude"))]
        for place, glob in zip(_list(self._node.get("exclude")), exclude, strict=True):
            _checked(place, check_pattern, glob)
        found: set[str] = set()
        for place in _list(self._node["folders"]):
            pattern = place.string("a glob")
            _checked(place, check_pattern, pattern)
            if "**" in pattern:
                raise place.error(f"the folders '{pattern}' have no depth", "write one `*` for each level: */*")
            below = {folder for folder in self._below(pattern) if not (exclude and matches(folder, exclude))}
            if not below and not self._partly:
                there = f"folders are relative to '{self._package or '.'}/', where the BUILD.yaml is"
                self._problems.add_error(place.error(f"no folder matches '{pattern}'", there))
            for folder in sorted(below):
                wrong = next(((part, why) for part in folder.split("/") if (why := check_name(part))), None)
                if wrong is None:
                    found.add(folder)
                    continue
                shown = folder.encode("utf-8", "backslashreplace").decode()
                part = wrong[0].encode("utf-8", "backslashreplace").decode()
                hint = "rename the folder, or name it under `exclude:`"
                self._problems.add_error(place.error(f"the folder {shown!r} has no targets: {part!r} {wrong[1]}", hint))
        return sorted(found)

    def _below(self, pattern: str) -> Iterable[str]:
        found = [""]
        for part in pattern.split("/"):
            after = []
            for folder in found:
                for name in self._names(folder, part) if is_glob(part) else [part]:
                    path = f"{folder}/{name}" if folder else name
                    if self._is_there(f"{self._base}{path}"):
                        after.append(path)
            found = after
        return found

    def _is_there(self, path: str) -> bool:
        return os.path.isdir(self._disk.path(path)) if self._partly else self._disk.is_directory(path)

    def _names(self, folder: str, part: str) -> list[str]:
        """The names in a folder that a part of a pattern matches, without those that hold no packages either."""
        try:
            names = self._disk.names(f"{self._base}{folder}".rstrip("/"))
        except OSError:
            return []
        return [
            name
            for name in names
            if (name[0] != "." or part[0] == ".") and name not in _SKIPPED and selects(name, [part])
        ]


class _Fill:
    """Copies nodes for one folder, with its names in the place of variables."""

    def __init__(self, names: Variables, folder: str, problems: Problems) -> None:
        self._names = names
        self._folder = folder
        self._problems = problems
        self._sources: dict[int, Source] = {}

    def __call__(self, node: Node) -> Node:
        """A copy of a node and all in it."""
        source = self._sources.get(id(node.source))
        if source is None:
            source = self._sources[id(node.source)] = node.source.for_folder(self._folder)
        text = node.text
        found = Node(node.kind, source, node.line, node.column, node.width, text, plain=node.plain)
        if "{" in text:
            found.text = self._text(text, found)
            found.plain = node.plain and found.text == text  # a folder `1.10` is no number
        if node.items:
            found.items = [self(item) for item in node.items]
        if node.entries:
            keys: dict[str, Node] = {}
            entries: dict[str, Node] = {}
            for written, entry in node.entries.items():
                key = self(node.keys[written])
                name = key.text if "{" in written else written
                if name in entries:
                    self._problems.add_error(key.error(f"duplicate key '{name}'"))
                keys[name], entries[name] = key, self(entry)
            found.keys, found.entries = keys, entries
        return found

    def _text(self, text: str, at: Node) -> str:
        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal is not None:
                return f"{{{literal}}}"
            if name not in self._names:
                there = ", ".join(f"{{{one}}}" for one in self._names)
                hint = did_you_mean(name, self._names, limit=0) or f"there are {there}; {{{{{name}}}}} is a plain one"
                self._problems.add_error(at.error(f"for_each has no variable '{{{name}}}'", hint))
                return name
            return self._names[name]

        return _VARIABLE.sub(value, text)


def _lay_over(targets: Node, override: Node, problems: Problems) -> None:
    """Put what an override says into the copied `targets`, a map of maps."""
    entries = dict(targets.entries)
    for name, said in _map(override, "override", "names of targets").items():
        before = entries.get(name)
        key = override.keys[name]
        if before is None:
            hint = did_you_mean(name, entries, what="its targets")
            problems.add_error(key.error(f"the template has no target '{name}'", hint))
        elif said.is_null:
            del entries[name]
        elif said.kind != "map" or before.kind != "map":
            problems.add_error(said.error(f"expected a map of attributes, not {said.describe()}"))
        else:
            _merge(before, said)
    targets.entries = entries


def _merge(below: Node, above: Node) -> None:
    """Lay one map over another: maps in it are merged, as in rules that extend each other, all else is replaced."""
    entries = dict(below.entries)
    for name, value in above.entries.items():
        before = entries.get(name)
        if value.is_null:
            entries.pop(name, None)
        elif before is not None and before.kind == value.kind == "map" and "select" not in {*before.keys, *value.keys}:
            _merge(before, value)
        else:
            entries[name] = value
    below.entries, below.keys = entries, {**below.keys, **above.keys}


def _map(node: Node | None, what: str, names: str) -> Mapping[str, Node]:
    if node is None:
        return {}
    if node.kind != "map":
        raise node.error(f"`{what}` is a map from {names}, not {node.describe()}")
    return node.entries


def _list(node: Node | None) -> list[Node]:
    """The items of a list of texts; a text alone is one of them."""
    if node is None:
        return []
    if node.kind == "map":
        raise node.error(f"expected a glob or a list of them, not {node.describe()}")
    return [node] if node.kind == "scalar" else list(node.items)


def _checked(place: Node, check: Callable[[str], None], text: str) -> None:
    try:
        check(text)
    except LoadError as error:
        raise place.error(error.message, error.hint) from error
