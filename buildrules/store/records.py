"""Action records: what an action made, by the action's key.

A record is canonical JSON. It is trusted only by its key; what it names is checked to be there
before it counts as a hit. Records too long for a row live in a blob that the row names.
"""

import json
from collections.abc import Callable

from buildrules.errors import IntegrityError
from buildrules.store.blobs import Blobs
from buildrules.store.table import Table
from buildrules.typed import Any

_PREFIX = "r:"
_BLOB = b"blob "

canonical_text: Callable[[Any], str]
canonical_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
"""Plain JSON types as text that depends on the value alone: sorted keys, no spaces, ASCII."""


def canonical(value: Any) -> bytes:
    """The same as bytes."""
    return canonical_text(value).encode()


class Records:
    """JSON objects by a text key, in a table, with an overflow into blobs."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def get(self, key: str) -> dict[str, Any] | None:
        """The record, or None where there is none or it cannot be read."""
        row = self._table.get(_PREFIX + key)
        if row is None:
            return None
        try:
            if row.startswith(_BLOB):
                row = self._blobs.read(row[len(_BLOB) :].decode())
            value = json.loads(row)
        except (OSError, ValueError, IntegrityError):
            return None
        return value if isinstance(value, dict) else None

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Keep a record. A failing table loses it, which costs time later and nothing else."""
        row = canonical(record)
        if len(row) > self._table.largest:
            row = _BLOB + self._blobs.put(row).encode()
        self._table.set(_PREFIX + key, row)

    def delete(self, key: str) -> None:
        """Forget a record."""
        self._table.delete(_PREFIX + key)

    def keys(self) -> list[str]:
        """The keys of all records."""
        return [key[len(_PREFIX) :] for key in self._table.keys(_PREFIX)]

    def kept_before(self, limit: float) -> list[str]:
        """The keys of the records that were put before `limit` (Unix time)."""
        return [key[len(_PREFIX) :] for key in self._table.written_before(limit, _PREFIX)]

    def blob_of(self, key: str) -> str | None:
        """The digest of the blob a long record lives in, None for a short one."""
        row = self._table.get(_PREFIX + key)
        return row[len(_BLOB) :].decode() if row is not None and row.startswith(_BLOB) else None
