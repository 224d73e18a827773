"""Whether a JSON value is the expected one, numbers within a tolerance, and what differs where it is not."""

import difflib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

_SHOWN = 60  # lines of a diff
_CONTEXT = 3
_MOST_LINES = 50_000  # that are held against each other to show where they differ
MOST_VALUES = 1_000_000
"""Values of a JSON text, or lines of another, that are compared: each takes a hundred bytes."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a number may be from the expected one: `absolute`, or `relative` to the expected one's size."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, expected: float, got: float) -> bool:
        """Whether `got` is near enough. Infinities and NaN are only near themselves."""
        if expected == got or (_nan(expected) and _nan(got)):
            return True
        if not (_finite(expected) and _finite(got)):
            return False
        return _difference(expected, got) <= max(self.absolute, self.relative * abs(float(expected)))

    def __str__(self) -> str:
        parts = [
            f"{name} {value:g}" for name, value in (("absolute", self.absolute), ("relative", self.relative)) if value
        ]
        return " and ".join(parts) or "none"


EXACT = Tolerance()


def too_many(text: bytes) -> bool:
    """Whether a JSON text holds more values than are compared."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") > MOST_VALUES


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two JSON values differ, and in a few words how."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {self.message}"


def path_text(path: Path) -> str:
    """A place as JSONPath writes it (RFC 9535): `$.rows[0]`."""
    text = "$"
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if step.isidentifier() else f"[{json.dumps(step)}]"
    return text


def differences(expected: Any, got: Any, tolerance: Tolerance = EXACT, path: Path = ()) -> Iterator[Difference]:
    """Every place where `got` is not `expected`; none where they are equal.

    1 and 1.0 are equal, true and 1 are not. The order of a list counts, that of an object does not.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected:
            if key in got:
                yield from differences(expected[key], got[key], tolerance, (*path, key))
            else:
                yield Difference((*path, key), "is missing")
        for key in got:
            if key not in expected:
                yield Difference((*path, key), "is not expected")
    elif isinstance(expected, list) and isinstance(got, list):
        for number, (one, other) in enumerate(zip(expected, got, strict=False)):
            yield from differences(one, other, tolerance, (*path, number))
        if len(expected) != len(got):
            items = "item" if len(got) == 1 else "items"
            yield Difference(path, f"has {len(got)} {items} instead of {len(expected)}")
    elif _number(expected) and _number(got):
        if not tolerance.allows(expected, got):
            yield Difference(path, _off(expected, got, tolerance))
    elif type(expected) is not type(got) or expected != got:
        yield Difference(path, f"is {_short(got)} instead of {_short(expected)}")


def diff(expected: Any, got: Any, tolerance: Tolerance = EXACT) -> str:
    """A unified diff of two JSON values. Numbers within the tolerance count as equal; those beyond it say by how much.

    "" where nothing differs. Of large values the first differences alone.
    """
    if any(next(islice(_lines(value, ()), _MOST_LINES, None), None) for value in (expected, got)):
        return "\n".join(str(item) for item in islice(differences(expected, got, tolerance), _SHOWN))
    notes = {item.path: item.message for item in differences(expected, got, tolerance)}
    if not notes:
        return ""
    left = [text for _, text in _lines(expected, ())]
    right = []
    for path, text in _lines(_aligned(expected, got, tolerance), ()):
        note = notes.get(path, "")
        right.append(f"{text}   <- {note}" if note.startswith("off by") else text)
    return unified(left, right)


_NUMERAL = re.compile(r"(?<![\w.])([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])", re.ASCII)


def near(expected: list[str], got: list[str], tolerance: Tolerance) -> list[str]:
    """`got` with the expected line in the place of each that differs from it by near enough numbers alone.

    Lines are held against the lines of the same number. A number stands by itself: not the 1 of `x1`, `1.2.3` or `1px`.
    """
    found = [one if _alike(one, other, tolerance) else other for one, other in zip(expected, got, strict=False)]
    return found + got[len(found) :]


def _alike(expected: str, got: str, tolerance: Tolerance) -> bool:
    left, right = _NUMERAL.split(expected), _NUMERAL.split(got)
    if len(left) != len(right) or left[::2] != right[::2]:
        return False
    pairs = zip(left[1::2], right[1::2], strict=True)
    return all(one == other or tolerance.allows(float(one), float(other)) for one, other in pairs)


def unified(expected: list[str], got: list[str]) -> str:
    """A unified diff of lines, cut where it is long; of very many the first that differ."""
    if max(len(expected), len(got)) > _MOST_LINES:
        pairs = zip_longest(expected, got, fillvalue="")
        where = next((number for number, (one, other) in enumerate(pairs) if one != other), 0)
        expected, got = expected[where : where + _SHOWN], got[where : where + _SHOWN]
    lines = list(difflib.unified_diff(expected, got, "expected", "got", lineterm="", n=_CONTEXT))
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], f"... and {len(lines) - _SHOWN} lines more"]
    return "\n".join(lines)


def _lines(value: Any, path: Path, indent: str = "", key: str = "", comma: str = "") -> Iterator[tuple[Path, str]]:
    """A value as `json.dumps` indents it, each line with the place it shows."""
    if not isinstance(value, dict | list) or not value:
        yield path, f"{indent}{key}{json.dumps(value, ensure_ascii=False)}{comma}"
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield path, f"{indent}{key}{opening}"
    items: list[tuple[str | int, str, Any]]
    if isinstance(value, dict):
        items = [(name, json.dumps(name, ensure_ascii=False) + ": ", value[name]) for name in sorted(value)]
    else:
        items = [(number, "", item) for number, item in enumerate(value)]
    for number, (step, name, item) in enumerate(items):
        yield from _lines(item, (*path, step), indent + "  ", name, "," if number < len(items) - 1 else "")
    yield path, f"{indent}{closing}{comma}"


def _aligned(expected: Any, got: Any, tolerance: Tolerance) -> Any:
    """`got` with the expected numbers in the place of those that are near enough, so that a diff does not show them."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return {k: _aligned(expected[k], item, tolerance) if k in expected else item for k, item in got.items()}
    if isinstance(expected, list) and isinstance(got, list):
        near = [_aligned(one, other, tolerance) for one, other in zip(expected, got, strict=False)]
        return near + got[len(near) :]
    if _number(expected) and _number(got) and tolerance.allows(expected, got):
        return expected
    return got


def _off(expected: float, got: float, tolerance: Tolerance) -> str:
    if not (_finite(expected) and _finite(got)):
        return f"is {_short(got)} instead of {_short(expected)}"
    by = _difference(expected, got)
    relative = f", relative {by / abs(float(expected)):.3g}" if expected else ""
    return f"off by {by:.6g}{relative}; tolerance {tolerance}"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: float) -> bool:
    """Whether it is a number that a float can hold: JSON's have no limit (RFC 8259, section 6)."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _difference(expected: float, got: float) -> float:
    """How far apart two finite numbers are; exact where both are whole."""
    try:
        return float(abs(expected - got))
    except OverflowError:
        return math.inf


def _nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
