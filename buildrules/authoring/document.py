"""A document as YAML that every reader takes for what it is."""

from collections.abc import Iterator
from typing import Any

from buildrules.authoring.text import scalar


def render_document(value: Any) -> str:
    """JSON types as the lines of a YAML document, keys in their order. Texts that could be misread are quoted."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _headed(f"{scalar(key, flow=True)}:", item)
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _inline(value)


def _headed(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_inline(value)}"


def _inline(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, float):  # YAML 1.1 knows no exponent without a point
        return repr(value) if "." in repr(value) else repr(value).replace("e", ".0e")
    return scalar(value, flow=True)
