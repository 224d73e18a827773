"""`{name}` in the values of a rule: plain substitution, no code.

`{{` and `}}` are braces. A value that is one template and nothing else keeps the type of what it names; as an item of a
list it is spliced in if that is a list. Names are words joined by dots: `workers`, `model.version`.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)

Part = tuple[bool, str]
"""(is a name, text)."""


class TemplateError(ValueError):
    """The text is not a template."""


class MissingValueError(ValueError):
    """A name has no value here; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has no value")
        self.name = name


def parse(text: str) -> list[Part]:
    """Split a template into literal texts and names. Raises TemplateError."""
    parts: list[Part] = []
    literal = ""
    at = 0
    for token in _TOKEN.finditer(text):
        literal += text[at : token.start()]
        at = token.end()
        found = token[0]
        if found in ("{{", "}}"):
            literal += found[0]
            continue
        if token[1] is None:
            raise TemplateError(f"a single '{found}' in '{text}'")
        if not _NAME.fullmatch(token[1]):
            raise TemplateError(f"'{found}' in '{text}' is not a name in braces")
        if literal:
            parts.append((False, literal))
            literal = ""
        parts.append((True, token[1]))
    literal += text[at:]
    if literal or not parts:
        parts.append((False, literal))
    return parts


def names_in(value: Any) -> Iterator[tuple[str, bool]]:
    """Every name in a text, list or map of texts, and whether it stands alone there. Raises TemplateError."""
    if isinstance(value, str):
        parts = parse(value)
        for is_name, text in parts:
            if is_name:
                yield text, len(parts) == 1
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def substitute(value: Any, scope: Mapping[str, Any]) -> Any:
    """Replace the names in a text; anything else comes back as it is.

    Raises MissingValueError if a name is unknown or None.
    """
    if not isinstance(value, str) or ("{" not in value and "}" not in value):
        return value
    if value[0] == "{" and value[-1] == "}" and (alone := scope.get(value[1:-1])) is not None:
        return alone
    parts = parse(value)
    if len(parts) == 1 and parts[0][0]:
        return _value(parts[0][1], scope)
    return "".join(as_text(_value(text, scope)) if is_name else text for is_name, text in parts)


def substitute_list(value: Any, scope: Mapping[str, Any]) -> list[Any]:
    """Replace the names in a list. An item that names a list is spliced in.

    An item that is a list is spliced in too, or left out if a name in it has no value. Raises MissingValueError.
    """
    if isinstance(value, str):
        try:
            value = substitute(value, scope)
        except MissingValueError:
            return []
        return list(value) if isinstance(value, list | tuple) else [value]
    items: list[Any] = []
    for item in value or ():
        if isinstance(item, list):
            with contextlib.suppress(MissingValueError):
                items += substitute_list(item, scope)
            continue
        found = substitute(item, scope)
        if isinstance(found, list | tuple):
            items.extend(found)
        else:
            items.append(found)
    return items


def substitute_map(
    value: Any, scope: Mapping[str, Any], convert: Callable[[Any], Any] = lambda found: found
) -> dict[str, Any]:
    """Replace the names in the values of a map. An entry with a name that has no value is left out."""
    if isinstance(value, str):
        try:
            value = substitute(value, scope)
        except MissingValueError:
            return {}
    found: dict[str, Any] = {}
    for key, item in (value or {}).items():
        try:
            found[key] = convert(substitute(item, scope))
        except MissingValueError:
            continue
    return found


def as_text(value: Any) -> str:
    """A scalar as it is written into an environment variable or argument: booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        raise TemplateError("a list or map cannot be part of a text")
    return str(value)


def _value(name: str, scope: Mapping[str, Any]) -> Any:
    value = scope.get(name)
    if value is None:
        raise MissingValueError(name)
    return value
