"""YAML as a tree that remembers where everything stands.

The C loader composes the document and resolves nothing: what a plain scalar means is decided here, when it is known
what is wanted in its place. So `1.10` is refused where a version is expected instead of becoming 1.1.

Stricter than YAML on purpose:
- duplicate keys, aliases, merge keys, tags and several documents in a file are errors. An anchor is harmless without
  its alias. (Repetition belongs into a rule; and an alias makes a position ambiguous.) Files of other systems are read
  with their aliases and merge keys: what an alias stands for has the alias's place.
- unquoted `yes no on off`, numbers like `0755`, `1_000` and `1:30` read differently in YAML 1.1 and 1.2: they must be
  quoted to be texts and written plainly to be values.
- a text that reads as a boolean, null or a decimal number must be quoted. Whole numbers may stand for a text
  (`version: 1`), since they have one spelling only.
"""

import re
from typing import Any

from buildrules.document.aliases import MOST, Aliases
from buildrules.document.nesting import MAX_DEPTH, too_deep
from buildrules.document.problems import Problems
from buildrules.document.source import Source
from buildrules.errors import LoadError, Position

__all__ = ["Node", "parse"]

_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_YES_NO = frozenset(w for word in ("yes", "no", "on", "off") for w in (word, word.capitalize(), word.upper()))
# numbers of YAML 1.1 or 1.2 that are not plain decimals: octal, hexadecimal, binary, underscores, sexagesimal, signs
_ODD_NUMBER = re.compile(
    r"[-+]?0[0-7_]+|0o[0-7]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|\+[0-9]+|0[0-9]+"
)
_STR = "tag:yaml.org,2002:str"


class Node:
    """A place in a document: `kind` is "scalar", "list" or "map".

    A scalar has `text` and `plain` (not quoted, no block); a list `items`; a map `entries`, in file order.
    """

    __slots__ = ("column", "entries", "items", "keys", "kind", "line", "plain", "source", "text", "width")

    kind: str
    source: Source
    line: int
    column: int
    width: int
    text: str
    plain: bool
    items: "list[Node]"
    entries: "dict[str, Node]"
    keys: "dict[str, Node]"  # the key nodes of a map

    @property
    def position(self) -> Position:
        """Where it begins."""
        return self.source.position(self.line, self.column, self.width)

    def error(self, message: str, hint: str | None = None) -> LoadError:
        """An error that points here."""
        return LoadError(message, hint=hint, position=self.position)

    def describe(self) -> str:
        """What stands here, for "expected ..., not ..."."""
        if self.kind != "scalar":
            return f"a {self.kind}"
        if self.is_null:
            return "nothing"
        text = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return f"'{text}'"

    @property
    def is_null(self) -> bool:
        """An empty value, `~` or `null`."""
        return self.kind == "scalar" and self.plain and self.text in _NULL

    def string(self, what: str = "a text") -> str:
        """The text that stands here. Raises LoadError if it could be taken for something else."""
        if self.kind != "scalar":
            raise self.error(f"expected {what}, not {self.describe()}")
        if not self.plain:
            return self.text
        text = self.text
        if text in _NULL:
            raise self.error(f"expected {what}, not nothing", 'write "" for an empty text, or leave the attribute out')
        if text in _YES_NO or text in _TRUE or text in _FALSE:
            raise self.error(f"expected {what}, but an unquoted '{text}' is a boolean", f'quote it: "{text}"')
        if _INT.fullmatch(text) and text != "-0":
            return text
        if _FLOAT.fullmatch(text) or _ODD_NUMBER.fullmatch(text):
            raise self.error(f"expected {what}, but an unquoted '{text}' is a number", f'quote it: "{text}"')
        return text

    def integer(self) -> int:
        """The whole number that stands here. Raises LoadError."""
        if self.kind == "scalar" and self.plain:
            if _INT.fullmatch(self.text):
                if len(self.text) > 18:
                    raise self.error(f"'{self.text}' is too large a number")
                return int(self.text)
            if _ODD_NUMBER.fullmatch(self.text):
                raise self.error(f"'{self.text}' reads differently in YAML 1.1 and 1.2", "write a plain decimal number")
        hint = None
        if self.kind == "scalar" and not self.plain and _INT.fullmatch(self.text):
            hint = f"remove the quotes: {self.text}"
        raise self.error(f"expected a whole number, not {self.describe()}", hint)

    def number(self) -> int | float:
        """The number that stands here. Raises LoadError."""
        if self.kind == "scalar" and self.plain:
            if _FLOAT.fullmatch(self.text):
                value = (
                    float(self.text.replace(".inf", "inf").replace(".nan", "nan"))
                    if "n" not in self.text.lower()
                    else None
                )
                if value is not None:
                    return value
                raise self.error(f"'{self.text}' is not a number that can be used here")
            if _INT.fullmatch(self.text) or _ODD_NUMBER.fullmatch(self.text):
                return self.integer()
        raise self.error(f"expected a number, not {self.describe()}")

    def boolean(self) -> bool:
        """The boolean that stands here. Raises LoadError."""
        if self.kind == "scalar" and self.plain:
            if self.text in _TRUE:
                return True
            if self.text in _FALSE:
                return False
        hint = "write true or false"
        if self.kind == "scalar" and self.text.lower() in ("yes", "on", "true", "y"):
            hint = "write true"
        elif self.kind == "scalar" and self.text.lower() in ("no", "off", "false", "n"):
            hint = "write false"
        raise self.error(f"expected true or false, not {self.describe()}", hint)

    def value(self, problems: Problems | None = None) -> Any:
        """Plain JSON types, each scalar taken for what it looks like.

        Where that is ambiguous the error is noted in `problems` and the text stands in; without it,
        LoadError is raised.
        """
        if self.kind == "list":
            return [item.value(problems) for item in self.items]
        if self.kind == "map":
            return {key: item.value(problems) for key, item in self.entries.items()}
        try:
            return self._scalar() if self.plain else self.text
        except LoadError as error:
            if problems is None:
                raise
            problems.add_error(error)
            return self.text

    def _scalar(self) -> Any:
        text = self.text
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _INT.fullmatch(text) or _FLOAT.fullmatch(text):
            return self.number()
        if text in _YES_NO:
            hint = f'write true, false or "{text}"'
            raise self.error(f"an unquoted '{text}' is a boolean in YAML 1.1 and a text in 1.2", hint)
        if _ODD_NUMBER.fullmatch(text):
            raise self.error(f"an unquoted '{text}' reads differently in YAML 1.1 and 1.2", f'quote it: "{text}"')
        return text

    def find(self, path: "tuple[str | int, ...]") -> "Node":
        """The deepest node on a path of keys and indexes, as validators report it."""
        node = self
        for step in path:
            if node.kind == "map" and isinstance(step, str) and step in node.entries:
                node = node.entries[step]
            elif node.kind == "list" and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
        return node

    def __repr__(self) -> str:
        return f"<{self.kind} at {self.source.path}:{self.line}:{self.column}>"


def parse(path: str, data: bytes, problems: Problems, *, aliases: bool = False, made: bool = False) -> Node | None:
    """Read a YAML file: the node of the document, None for an empty one and for one that is no YAML.

    `path` is workspace-relative and only used for positions. Errors are noted in `problems`; where the structure
    is sound what is refused is left out of the node, so that more errors can be found in the rest. With `aliases`
    they and merge keys are taken; together they may stand for so many values. A text that was `made` from the file
    at `path` has no lines of it to point at.
    """
    try:
        document, source = _compose(path, data, aliases=aliases, made=made)
    except LoadError as error:
        problems.add_error(error)
        return None
    if document is None:
        return None
    return _Reader(source, problems, Aliases(source, _loader()) if aliases else None).convert(document, 0)


def _compose(path: str, data: bytes, *, aliases: bool, made: bool) -> tuple[Any, Source]:
    import yaml

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LoadError(f"'{path}' is not UTF-8", hint=_encoding(data), position=Position(path, line)) from error
    source = Source(path, text, made=made)
    try:
        deep = too_deep(text, _loader())
        if deep is not None:
            position = source.position(deep.line + 1, deep.column + 1)
            raise LoadError("this is nested too deeply", position=position)
        loader = _loader()(text)
        try:
            document = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(source, error, aliases=aliases) from error
    except yaml.YAMLError as error:
        raise LoadError(
            f"'{path}' is not YAML: {str(error).splitlines()[0].lower()}", position=Position(path, 1)
        ) from error
    return document, source


def _encoding(data: bytes) -> str | None:
    """How to make UTF-8 of a text in another encoding, where it says which."""
    name = "UTF-32" if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") else "UTF-16"
    if name == "UTF-16" and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return "save it as UTF-8"
    return f"it is {name}: save it as UTF-8, such as with iconv -f {name} -t UTF-8"


def _syntax_error(source: Source, error: Any, *, aliases: bool) -> LoadError:
    mark = error.problem_mark or error.context_mark
    if mark and mark.line >= len(source.lines) > 0:  # libyaml puts the end of a file behind its last line
        position = source.position(len(source.lines), len(source.lines[-1]) + 1)
    else:
        position = source.position(mark.line + 1, mark.column + 1) if mark else Position(source.path, 1)
    problem = str(error.problem or error.context or "cannot be read").lower()
    context = str(error.context)
    hint = None
    if "expected a single document" in context:
        return LoadError(
            "a second document begins here", hint="one file holds one document: remove the `---`", position=position
        )
    if "undefined alias" in problem and aliases:
        problem, hint = "this alias names no anchor above it", "a text that starts with * needs quotes"
    elif "undefined alias" in problem:
        problem, hint = "aliases are not supported", "write the value out"
    elif "cannot start any token" in problem:
        hint = "indent with spaces, and quote texts that start with % @ or `"
    elif "mapping values are not allowed" in problem:
        hint = "a `: ` inside a text needs quotes around the text; or the line is indented too far"
    elif "alias" in context or "anchor" in context:
        problem, hint = (
            "an unquoted `*` or `&` begins an alias or anchor",
            'a text that starts with * or & needs quotes: "*.py"',
        )
    elif "unexpected end of stream" in problem:
        hint = "a quote is not closed"
    elif "did not find expected" in problem and error.context:
        problem = f"{context}: {problem}"
        if mark and source.text[mark.index : mark.index + 1] == ":":
            hint = 'a label that starts with a colon needs quotes inside braces or brackets: ":name"'
    return LoadError(problem, hint=hint, position=position)


class _Reader:
    """Turns PyYAML's nodes into ours and notes what is refused."""

    def __init__(self, source: Source, problems: Problems, aliases: Aliases | None) -> None:
        self.source = source
        self.problems = problems
        self._taken = aliases
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._found_aliases = False

    def convert(self, raw: Any, depth: int) -> Node:
        node = Node()
        node.source = self.source
        start, end = raw.start_mark, raw.end_mark
        node.line = start.line + 1
        node.column = start.column + 1
        node.width = end.column - start.column if end.line == start.line else 1
        node.text = ""
        node.plain = False
        node.items = []
        node.entries = {}
        node.keys = {}
        if isinstance(raw.value, str):
            node.kind = "scalar"
            node.text = raw.value
            node.plain = not raw.style
        else:
            node.kind = "list" if raw.id == "sequence" else "map"
        if id(raw) in self._seen:
            if self._taken is None:
                self._aliases()
                return node
            if self._taken.enter():
                try:
                    return self._expanded(raw, node, depth, self._taken)
                finally:
                    self._taken.leave()
            return self._expanded(raw, node, depth, self._taken)
        self._seen.add(id(raw))
        return self._filled(raw, node, depth)

    def _expanded(self, raw: Any, node: Node, depth: int, aliases: Aliases) -> Node:
        """What an alias stands for, at the alias's place."""
        if aliases.place is not None:
            node.line, node.column, node.width = aliases.place
        if id(raw) in self._open:
            hint = "write the value out"
            self.problems.add_error(aliases.error("this alias names a value that it stands in itself", hint))
            return node
        count = aliases.count()
        if count == MOST + 1:
            hint = "write out what is meant"
            self.problems.add_error(aliases.error(f"the aliases of this file stand for more than {MOST} values", hint))
        if count > MOST:
            return node
        return self._filled(raw, node, depth)

    def _filled(self, raw: Any, node: Node, depth: int) -> Node:
        """`node` with the entries or items of `raw`."""
        content = raw.value
        if depth > MAX_DEPTH:
            self.problems.add_error(node.error("this is nested too deeply"))
            return node
        if raw.tag not in (_STR, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map") or (
            node.kind != "scalar" and raw.tag == _STR
        ):
            tag = raw.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.add_error(
                node.error(f"the tag '{tag}' is not supported", "remove it; quote the value if it is a text")
            )
        elif node.kind != "scalar":
            self._open.add(id(raw))
            if node.kind == "list":
                node.items = [self.convert(item, depth + 1) for item in content]
            else:
                node.width = 1
                self._entries(node, content, depth)
            self._open.discard(id(raw))
        return node

    def _entries(self, node: Node, content: Any, depth: int) -> None:
        merged: list[Node] = []
        for raw_key, raw_value in content:
            key, value = self.convert(raw_key, depth + 1), self.convert(raw_value, depth + 1)
            if self._taken is not None and key.kind == "scalar" and key.plain and key.text == "<<":
                merged += self._merged(value)
            else:
                self._entry(node, key, value)
        for one in merged:  # what is written counts, then what is merged first
            node.entries = one.entries | node.entries
            node.keys = one.keys | node.keys

    def _merged(self, value: Node) -> list[Node]:
        found = value.items if value.kind == "list" else [value]
        for one in found:
            if one.kind != "map":
                self.problems.add_error(one.error(f"`<<` merges maps, not {one.describe()}", "name a map's anchor"))
        return [one for one in found if one.kind == "map"]

    def _entry(self, node: Node, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            self.problems.add_error(
                key.error(f"a key must be a text, not {key.describe()}", "is it a placeholder that is not filled in?")
            )
        elif key.plain and key.text == "<<":
            self.problems.add_error(key.error("merge keys (`<<`) are not supported", "write the entries out"))
        elif key.text in node.entries:
            first = node.keys[key.text]
            self.problems.add_error(key.error(f"duplicate key '{key.text}'", f"it is first set in line {first.line}"))
        else:
            node.entries[key.text] = value
            node.keys[key.text] = key

    def _aliases(self) -> None:
        """An alias gives the node of its anchor a second time; the place of the alias is only in the events."""
        if self._found_aliases:
            return
        self._found_aliases = True
        import yaml

        for event in yaml.parse(self.source.text, _loader()):
            if isinstance(event, yaml.AliasEvent):
                mark: Any = event.start_mark
                name: str = event.anchor or ""
                position = self.source.position(mark.line + 1, mark.column + 1, len(name) + 1)
                hint = f'write the value out; a text that starts with * needs quotes: "*{name}"'
                self.problems.add(f"aliases (`*{name}`) are not supported", hint=hint, position=position)


def _loader() -> Any:
    """The C loader that resolves nothing, or its Python twin where PyYAML was built without C."""
    import yaml

    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)
