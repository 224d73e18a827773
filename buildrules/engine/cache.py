"""Records of what steps made, by key: where they are kept, and thin wrappers around that.

A cache can only save time. What is missing, malformed or not whole is None.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from buildrules import __version__
from buildrules.engine.action import Outputs
from buildrules.store.blobs import Blobs
from buildrules.store.records import Records


class Record(NamedTuple):
    """What a step made, and what made it. It names no place."""

    outputs: Outputs
    kind: str  # and its version: "files_layer/1"
    listing: str  # sha256 of what the key saw, see `engine.key.listing_digest`
    program: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**self._asdict(), "outputs": self.outputs.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Record":
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        texts = [data[name] for name in ("kind", "listing", "program")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("kind, listing and program of a record are texts")
        return cls(Outputs.from_dict(data["outputs"]), *texts)


class Cache(Protocol):
    """Where records are."""

    def get(self, key: str) -> Record | None:
        """The record of a key, None where there is none that can be used. Raises nothing."""

    def put(self, key: str, record: Record) -> None:
        """Keep a record, if that can be done. Raises nothing."""


class Kept:
    """The records of a store."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""
        data = self._records.get(key)
        try:
            return None if data is None else Record.from_dict(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def put(self, key: str, record: Record) -> None:
        """See `Cache.put`."""
        self._records.put(key, record.to_dict())


class Tiers:
    """Several caches, the nearest first: what a farther one has is kept in those before it."""

    def __init__(self, *tiers: Cache) -> None:
        self._tiers = tiers

    def get(self, key: str) -> Record | None:
        """The record of the nearest cache that has it."""
        for number, tier in enumerate(self._tiers):
            record = tier.get(key)
            if record is not None:
                for nearer in self._tiers[:number]:
                    nearer.put(key, record)
                return record
        return None

    def put(self, key: str, record: Record) -> None:
        """Keep it in all of them."""
        for tier in self._tiers:
            tier.put(key, record)


class ReadOnly:
    """A cache that is only asked."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def get(self, key: str) -> Record | None:
        """What the cache has."""
        return self._cache.get(key)

    def put(self, key: str, record: Record) -> None:
        """Nothing."""


class Whole:
    """A cache whose records count only where the store has all they cannot do without; `told` hears what it lacks."""

    def __init__(self, cache: Cache, blobs: Blobs, told: Callable[[str, str], None] = lambda *_: None) -> None:
        self._cache = cache
        self._blobs = blobs
        self._told = told

    def get(self, key: str) -> Record | None:
        """The record, if it is whole."""
        record = self._cache.get(key)
        missing = None if record is None else lacking(record.outputs, self._blobs)
        if missing is not None:
            self._told(key, missing)
            return None
        return record

    def put(self, key: str, record: Record) -> None:
        """Keep it."""
        self._cache.put(key, record)


class Noted:
    """A cache that lists what it was asked: `found`, `missed` and `kept` are keys in order."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.found: list[str] = []
        self.missed: list[str] = []
        self.kept: list[str] = []

    def get(self, key: str) -> Record | None:
        """What the cache has."""
        record = self._cache.get(key)
        (self.missed if record is None else self.found).append(key)
        return record

    def put(self, key: str, record: Record) -> None:
        """Keep it."""
        self.kept.append(key)
        self._cache.put(key, record)


def lacking(outputs: Outputs, blobs: Blobs) -> str | None:
    """What the store lacks of all that outputs cannot do without, as a sentence; None where it has everything."""
    for name, digest in outputs.blobs.items():
        if not blobs.has(digest):
            return f"{name} {digest[:19]} is missing from the store"
    return None
