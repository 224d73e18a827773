"""Documents that are data with templates in them: what a platform file writes for a package.

Texts are templates as in a rule (`rules.template`), in keys as well. An entry or item whose template has no value is
left out, and so is a map or list of which nothing is left. A map with `each: LIST` stands for itself once for each
item of a list, whose fields it names as `{each.FIELD}` (an item that is no map is `{each}`): in a list these are
items, elsewhere their entries are joined in one map. So a list of none or one item says whether something is there.
What an `item` beside `each` says is the item of the list itself, such as a text.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buildrules.rules.template import MissingValueError, as_text, substitute, substitute_list

EACH, ITEM = "each", "item"


class Part(NamedTuple):
    """What one document of a platform's file stands for: itself, or with `each` any number."""

    repeated: bool = False
    made: tuple[Any, ...] = ()

    def joined(self, other: "Part") -> "Part":
        """With that of another package in the same file: one document is joined with one, others follow each other."""
        if self.repeated or other.repeated or len(self.made) != 1 or len(other.made) != 1:
            return Part(self.repeated or other.repeated, self.made + other.made)
        return Part(made=(join(self.made[0], other.made[0]),))


def parts(documents: list[Any], names: Mapping[str, Any]) -> list[Part]:
    """All documents of a file with the names filled in. Raises as `fill`."""
    found = [Part(isinstance(one, dict) and EACH in one, tuple(_items([one], names))) for one in documents]
    if documents and not any(part.made for part in found):
        raise MissingValueError("what stands here")
    return found


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """A document, or a part of it, with the names filled in.

    Raises MissingValueError where nothing of it is left, and TemplateError for a list or map within a text.
    """
    found: dict[str, Any] | list[Any]
    if isinstance(value, dict):
        found = functools.reduce(join, _repeated(value, names), {}) if EACH in value else _entries(value, names)
    elif isinstance(value, list):
        found = _items(value, names)
    else:
        return substitute(value, names)
    if value and not found:
        raise MissingValueError("what stands here")
    return found


def join(first: Any, second: Any) -> Any:
    """Two documents of one file in one: maps are joined, lists follow each other, else the second counts."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {**first, **{key: join(first[key], item) if key in first else item for key, item in second.items()}}
    return [*first, *second] if isinstance(first, list) and isinstance(second, list) else second


def _entries(value: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        try:
            found[as_text(substitute(key, names))] = fill(item, names)
        except MissingValueError:
            continue
    return found


def _items(value: list[Any], names: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for item in value:
        if isinstance(item, dict) and EACH in item:
            found += _repeated(item, names)
            continue
        try:
            found += substitute_list([item], names) if isinstance(item, str) else [fill(item, names)]
        except MissingValueError:
            continue
    return found


def _repeated(value: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[Any]:
    rest = {key: item for key, item in value.items() if key != EACH}
    for one in names.get(value[EACH]) or ():
        scope = {f"{EACH}.{key}": field for key, field in one.items()} if isinstance(one, dict) else {EACH: one}
        with contextlib.suppress(MissingValueError):
            yield fill(rest.get(ITEM, rest), {**names, **scope})
