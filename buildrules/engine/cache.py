"""Records of what steps made, by key: where they are kept, and thin wrappers around that.

A cache can only save time. What is missing, malformed or not whole is None.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from buildrules import __version__
from buildrules.engine.action import Action, Outputs
from buildrules.store.blobs import Blobs
from buildrules.store.records import Records
from buildrules.typed import Any, NamedTuple, Protocol


class Record(NamedTuple):
    """What a step made, and what made it. It names no place."""

    outputs: Outputs
    kind: str  # and its version: "files_layer/1"
    listing: str  # sha256 of what the key saw, see `engine.key.Listing.digest`
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


class Shared(Protocol):
    """What others made, and what is made here for them, see `engine.borrowed` and `engine.publishing`."""

    waiting: Callable[[], AbstractContextManager[None]]
    """What is entered while servers are waited for."""

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""

    def publish(self, action: Action, key: str, record: Record, sees: dict[str, str]) -> None:
        """Take note of a step that ran, and what its key saw. Raises nothing."""


class StoreCache:
    """The records of a store."""

    def __init__(self, records: Records, fits: Callable[[str, Outputs], bool] = lambda *_: True) -> None:
        """`fits` says of the name of a kind and of outputs whether they have the form of what it makes."""
        self._records = records
        self._fits = fits

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""
        data = self._records.get(key)
        try:
            record = None if data is None else Record.from_dict(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return record if record and self._fits(record.kind.partition("/")[0], record.outputs) else None

    def put(self, key: str, record: Record) -> None:
        """See `Cache.put`."""
        self._records.put(key, record.to_dict())


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


def foresee(made: Iterable[Outputs], blobs: Blobs) -> None:
    """Ask at once for all that `lacking` is about to be asked for one by one, where some of it may be elsewhere."""
    if blobs.elsewhere is not None:
        blobs.holds({digest for outputs in made for digest in outputs.blobs.values()})


def lacking(outputs: Outputs, blobs: Blobs) -> str | None:
    """What is nowhere of all that outputs cannot do without, as a sentence; None where everything can be had."""
    there = blobs.holds(outputs.blobs.values()) if outputs.blobs else ()
    for name, digest in outputs.blobs.items():
        if digest not in there:
            where = "the store" if blobs.elsewhere is None else "the store, and the cache does not give it"
            return f"{name} {digest[:19]} is missing from {where}"
    return None
