"""Reading YAML: from the events of libyaml's parser to nodes, in one walk.

Duplicate keys, aliases, merge keys, tags and several documents in a file are errors. An anchor is harmless without its
alias. (Repetition belongs into a rule; and an alias makes a position ambiguous.) Files of other systems are read with
their aliases and merge keys: what an alias stands for has the alias's place, within a bound.
"""

import sys
from typing import Any

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.source import Source
from buildrules.document.syntax import STRAY, syntax_error
from buildrules.errors import LoadError, Position

MAX_ALIASED = 10_000
"""Values that all aliases of a file may stand for: more is an attack, or a file nobody can have meant."""
MAX_DEPTH = 40
"""Levels of lists and maps around a value."""
MAX_VALUES = 300_000
"""Values and keys in a file, which take some 200 bytes each: a hundred times as many as a large BUILD.yaml has."""

_STR = "tag:yaml.org,2002:str"
_TAGS = frozenset({None, "!", _STR, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})


def parse(
    path: str, data: bytes, problems: Problems, *, aliases: bool = False, made: bool = False, most: int = MAX_VALUES
) -> Node | None:
    """Read a YAML file: the node of the document, None for an empty one and for one that is no YAML.

    `path` is workspace-relative and only used for positions. Errors are noted in `problems`; where the structure
    is sound what is refused is left out of the node, so that more errors can be found in the rest. With `aliases`
    they and merge keys are taken; together they may stand for so many values. A text that was `made` from the file
    at `path` has no lines of it to point at. It may hold `most` values.
    """
    import yaml

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add_error(not_utf8(path, error))
        return None
    source = Source(path, text, made=made)
    try:
        # The loader that resolves nothing, in C unless PyYAML was built without it.
        loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(text)
        try:
            walk = _Walk(source, loader, aliases=aliases, most=most)
            document = walk.document()
        finally:
            loader.dispose()
    except LoadError as error:
        problems.add_error(error)
        return None
    except yaml.MarkedYAMLError as error:
        problems.add_error(syntax_error(source, error))
        return None
    except yaml.YAMLError as error:
        message = f"'{path}' is not YAML: {str(error).splitlines()[0].lower()}"
        problems.add(message, position=Position(path, 1))
        return None
    for found in walk.errors:  # of a text that is no YAML only that is said
        problems.add_error(found)
    return document


class _Walk:
    """One pass over the events of a document. `errors` are what is refused in a sound structure."""

    def __init__(self, source: Source, loader: Any, *, aliases: bool, most: int) -> None:
        import yaml

        self.errors: list[LoadError] = []
        self._source = source
        self._next = loader.get_event
        self._aliases = aliases
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()  # anchors whose values are being read
        self._aliased = 0
        self._values = 0
        self._most = most
        self._scalar, self._list, self._map = yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent
        self._end = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        self._stream_end = yaml.StreamEndEvent

    def document(self) -> Node | None:
        """The only document. Raises LoadError and yaml.YAMLError where the text is no YAML."""
        self._next()
        if type(self._next()) is self._stream_end:
            return None
        node = self._node(self._next(), 0)
        self._next()
        event = self._next()
        if type(event) is not self._stream_end:
            hint = "one file holds one document: remove the `---`"
            raise LoadError("a second document begins here", hint=hint, position=self._position(event))
        return node

    def _node(self, event: Any, depth: int) -> Node:
        kind, start, anchor = type(event), event.start_mark, event.anchor
        line, column = start.line + 1, start.column + 1
        if kind is self._scalar:
            end = event.end_mark
            width = end.column - start.column if end.line == start.line else 1
            node = Node("scalar", self._source, line, column, width, event.value, plain=not event.style)
        elif kind is self._list:
            node = Node("list", self._source, line, column, 1)
        elif kind is self._map:
            node = Node("map", self._source, line, column, 1)
        else:
            return self._alias(event)
        self._bound(node, depth)
        if anchor is not None:
            if anchor in self._anchors:
                raise LoadError(STRAY[0], hint=STRAY[1], position=self._position(event))
            self._anchors[anchor] = node
            self._open.add(anchor)
        tag = event.tag
        if tag not in _TAGS or (tag == _STR and kind is not self._scalar):
            hint = "remove it; quote the value if it is a text"
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.errors.append(node.error(f"the tag '{shown}' is not supported", hint))
            if kind is not self._scalar:
                self._skip()
        elif kind is self._list:
            node.items = self._items(node, depth + 1)
        elif kind is self._map:
            self._entries(node, depth + 1)
        if anchor is not None:
            self._open.discard(anchor)
        return node

    def _bound(self, node: Node, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise node.error("this is nested too deeply")
        self._values += 1
        if self._values > self._most:
            raise node.error(f"this file holds more than {self._most} values", "divide it among several folders")

    def _items(self, node: Node, depth: int) -> list[Node]:
        items: list[Node] = []
        event = self._next()
        while type(event) is not self._end[0]:
            items.append(self._node(event, depth))
            event = self._next()
        mark: Any = event.end_mark
        if mark.line + 1 == node.line:
            node.width = mark.column + 1 - node.column
        return items

    def _entries(self, node: Node, depth: int) -> None:
        entries: dict[str, Node] = {}
        keys: dict[str, Node] = {}
        merged: list[Node] = []
        event = self._next()
        while type(event) is not self._end[1]:
            key = self._node(event, depth)
            value = self._node(self._next(), depth)
            event = self._next()
            name = sys.intern(key.text)
            if key.kind != "scalar":
                hint = "is it a placeholder that is not filled in?"
                self.errors.append(key.error(f"a key must be a text, not {key.describe()}", hint))
            elif name == "<<" and key.plain:
                if self._aliases:
                    merged += self._merged(value)
                else:
                    self.errors.append(key.error("merge keys (`<<`) are not supported", "write the entries out"))
            elif name in entries:
                hint = f"it is first set in line {keys[name].line}"
                self.errors.append(key.error(f"duplicate key '{name}'", hint))
            else:
                entries[name] = value
                keys[name] = key
                if not value.text and ":" in name and not self._aliases:
                    self._spaced(key, value, entries, keys)
        for one in merged:  # what is written counts, then what is merged first
            entries = {**one.entries, **entries}
            keys = {**one.keys, **keys}
        node.entries, node.keys = entries, keys

    def _spaced(self, key: Node, value: Node, entries: dict[str, Node], keys: dict[str, Node]) -> None:
        """Refuse `{rule:model}`, which is one long key to YAML, and go on with what was meant."""
        name, _, text = key.text.partition(":")
        nothing = value.is_null and (value.line, value.column) == (key.line, key.column + key.width)
        if not (nothing and key.plain and name and text) or text.startswith("//"):  # as an address does
            return
        hint = f"write a space after the colon: `{name}: {text}`"
        self.errors.append(key.error(f"the key '{key.text}' has no value", hint))
        del entries[key.text], keys[key.text]
        entries.setdefault(name, Node("scalar", self._source, key.line, key.column, key.width, text, plain=True))
        keys.setdefault(name, key)

    def _merged(self, value: Node) -> list[Node]:
        found = value.items if value.kind == "list" else [value]
        for one in found:
            if one.kind != "map":
                self.errors.append(one.error(f"`<<` merges maps, not {one.describe()}", "name a map's anchor"))
        return [one for one in found if one.kind == "map"]

    def _alias(self, event: Any) -> Node:
        """What an alias stands for, at the alias's place; where aliases are refused, an empty value of its kind."""
        name = event.anchor
        start = event.start_mark
        place = Node("scalar", self._source, start.line + 1, start.column + 1, len(name) + 1, plain=True)
        if name not in self._anchors:
            message, hint = "aliases are not supported", "write the value out"
            if self._aliases:
                message, hint = "this alias names no anchor above it", "a text that starts with * needs quotes"
            raise LoadError(message, hint=hint, position=self._position(event))
        meant = self._anchors[name]
        if not self._aliases:
            hint = f'write the value out; a text that starts with * needs quotes: "*{name}"'
            self.errors.append(place.error(f"aliases (`*{name}`) are not supported", hint))
        elif name in self._open:
            self.errors.append(place.error("this alias names a value that it stands in itself", "write the value out"))
        else:
            return self._placed(meant, place)
        place.kind, place.text, place.plain = meant.kind, meant.text, meant.plain
        return place

    def _placed(self, node: Node, place: Node) -> Node:
        """A copy of a value, all of it at one place."""
        self._aliased += 1
        if self._aliased == MAX_ALIASED + 1:
            message = f"the aliases of this file stand for more than {MAX_ALIASED} values"
            self.errors.append(place.error(message, "write out what is meant"))
        found = Node(node.kind, place.source, place.line, place.column, place.width, node.text, plain=node.plain)
        if self._aliased <= MAX_ALIASED:
            found.items = [self._placed(item, place) for item in node.items]
            found.keys = {name: self._placed(key, place) for name, key in node.keys.items()}
            found.entries = {name: self._placed(entry, place) for name, entry in node.entries.items()}
        return found

    def _skip(self) -> None:
        """Pass over the rest of a list or map."""
        level = 1
        while level:
            event = self._next()
            if isinstance(event, self._end):
                level -= 1
            elif type(event) in (self._list, self._map):
                level += 1

    def _position(self, event: Any) -> Position:
        return self._source.position(event.start_mark.line + 1, event.start_mark.column + 1)


def not_utf8(path: str, error: UnicodeDecodeError) -> LoadError:
    """The error for a file in another encoding, with the way out; it says which, where the file does."""
    data, hint = error.object, "save it as UTF-8"
    name = "UTF-32" if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") else "UTF-16"
    if name == "UTF-32" or data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2]:
        hint = f"it is {name}: {hint}, such as with iconv -f {name} -t UTF-8"
    line = data.count(b"\n", 0, error.start) + 1
    return LoadError(f"'{path}' is not UTF-8", hint=hint, position=Position(path, line))
