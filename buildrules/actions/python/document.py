"""Small readers of a PEP 751 document as `tomllib` gives it."""

from collections.abc import Iterator
from typing import Any


def files_of(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tables of all wheels, source archives and direct archives."""
    for package in data.get("packages", []):
        yield from package.get("wheels", [])
        for key in ("sdist", "archive"):
            if key in package:
                yield package[key]


def digest_of(entry: dict[str, Any]) -> str:
    """The sha256 of such a table, as lower-case hex; "" where it has none."""
    return str(entry.get("hashes", {}).get("sha256", "")).lower()
