"""YAML as a tree that remembers where everything stands.

Nothing is resolved when it is read (`document.reader`): what a plain scalar means is decided here, when it is known
what is wanted in its place. So `1.10` is refused where a version is expected instead of becoming 1.1.

Stricter than YAML on purpose:
- unquoted `yes no on off`, numbers like `0755`, `1_000` and `1:30` read differently in YAML 1.1 and 1.2: they must be
  quoted to be texts and written plainly to be values.
- a text that reads as a boolean, null or a decimal number must be quoted. Whole numbers may stand for a text
  (`version: 1`), since they have one spelling only.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from buildrules.document.problems import Problems
from buildrules.document.source import Source
from buildrules.errors import LoadError, Position

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
_NUMERIC = frozenset("0123456789+-.")  # what a number, odd or not, begins with
_NO_ENTRIES: "Mapping[str, Node]" = MappingProxyType({})


class Node:
    """A place in a document: `kind` is "scalar", "list" or "map".

    A scalar has `text` and `plain` (not quoted, no block); a list `items`; a map `entries`, in file order, and `keys`,
    the nodes of their names. What a kind does not have is empty.
    """

    __slots__ = ("column", "entries", "items", "keys", "kind", "line", "plain", "source", "text", "width")

    def __init__(
        self, kind: str, source: Source, line: int, column: int, width: int, text: str = "", *, plain: bool = False
    ) -> None:
        self.kind = kind
        self.source = source
        self.line = line
        self.column = column
        self.width = width
        self.text = text
        self.plain = plain
        self.items: Sequence[Node] = ()
        self.entries: Mapping[str, Node] = _NO_ENTRIES
        self.keys: Mapping[str, Node] = _NO_ENTRIES

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
        if text[0] not in _NUMERIC or (_INT.fullmatch(text) and text != "-0"):
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
                if "n" in self.text.lower():  # infinite, or no number
                    raise self.error(f"'{self.text}' is not a number that can be used here")
                return float(self.text)
            if _INT.fullmatch(self.text) or _ODD_NUMBER.fullmatch(self.text):
                return self.integer()
        raise self.error(f"expected a number, not {self.describe()}")

    def boolean(self, other: str = "") -> bool:
        """The boolean that stands here. `other` is what may stand here too, for the hint. Raises LoadError."""
        if self.kind == "scalar" and self.plain:
            if self.text in _TRUE:
                return True
            if self.text in _FALSE:
                return False
        hint = f"write true, false or {other}" if other else "write true or false"
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
        if text[0] in _NUMERIC and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
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
