"""Reading JSON that others wrote: bounded, and with one kind of error for whatever is wrong with it."""

import json

from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NoReturn

_INFINITE = float("inf")

MOST = 4 << 20
"""Bytes of a document: what registries are asked to take (OCI distribution specification 1.1). As Python's values the
worst of it takes about forty times as much."""


def read_json(data: bytes | str, most: int = MOST) -> Any:
    """The value. Raises ValueError for what is no JSON, is nested too deeply, holds a number that is infinite or of
    thousands of digits, or is longer than `most` bytes."""
    if len(data) > most:
        raise ValueError(f"it has {len(data)} bytes, more than {most}")
    try:
        return json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) < _INFINITE else _refuse(text)


def _refuse(text: str) -> "NoReturn":
    raise ValueError(f"{text[:20]} is no number of JSON")
