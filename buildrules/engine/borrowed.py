"""Records that others made, from places elsewhere, and the content that these name, which stays there until it is read.

A hit moves digests. Nothing is believed that was not asked for: a record counts as far as its signature goes
(`remote.trust`), where it has the form of what its kind makes, and where all it names can be had.
"""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from buildrules.engine.action import Outputs
from buildrules.engine.cache import Record
from buildrules.engine.parcel import RecordParcel, named, unpacked
from buildrules.engine.plan import Goal
from buildrules.remote.backend import Blob
from buildrules.remote.envelope import Envelope, address, read_envelope
from buildrules.remote.guarded import Guarded
from buildrules.remote.trust import Trust
from buildrules.sha256 import hex_digest
from buildrules.store.blobs import Blobs
from buildrules.store.noted import NotedSizes
from buildrules.typed import Any, NamedTuple

_VERSION = re.compile(r" \d+\.\S+$")

Fits = Callable[[str, Outputs], bool]


def nearest_key(target: str, title: str) -> str:
    """The key under which stands what was last made for a step of a target: 64 hex digits.

    Versions in titles do not count: the step that made "numpy 2.3.1" is the one to compare that of "numpy 2.3.2" with.
    """
    return hex_digest(f"buildrules-nearest-1\0{target}\0{_VERSION.sub('', title)}".encode())


def pack_key(workspace: str, goals: Iterable[Goal]) -> str:
    """The key under which stand, as one, the records of all steps that these goals need: 64 hex digits."""
    names = "\0".join(sorted({f"{goal.label} {goal.platform} {goal.kind}" for goal in goals}))
    return hex_digest(f"buildrules-pack-1\0{workspace}\0{names}".encode())


class Found(NamedTuple):
    """What a place has for a key of a namespace and may be used: as it was sent, and its body, unpacked.

    `packed` is the blob that the body was in, if it was in one; `writer` is the id of who signed it, "" for nobody.
    """

    place: Guarded
    address: str
    data: bytes
    body: dict[str, Any]
    packed: Blob | None
    writer: str


class Nearest(NamedTuple):
    """What was last made for a step of a target, wherever: its key, what that saw, and who made it, "" for unknown."""

    key: str
    sees: Mapping[str, str]
    writer: str


class Reader:
    """Reads what was kept at `places` for the keys of `namespaces`, the first that has it."""

    def __init__(self, places: Sequence[Guarded], namespaces: Sequence[str], trust: Trust) -> None:
        self.places = places
        self.malformed = 0
        self._namespaces = namespaces
        self._trust = trust
        self._unpacking = threading.Lock()

    def found(self, key: str) -> Iterator[Found]:
        """What each place has for `key`."""
        for place in self.places:
            for namespace in self._namespaces:
                at = address(namespace, key)
                data = place.get(at)
                envelope = None if data is None else self.opened(data, key, namespace)
                if data is not None and envelope is not None and (body := self.body(place, envelope)) is not None:
                    yield Found(place, at, data, body, named(envelope.body), envelope.writer)

    def opened(self, data: bytes, key: str, namespace: str) -> Envelope | None:
        """What was sent for a key of a namespace, if it may be used."""
        try:
            envelope = read_envelope(data)
        except ValueError:
            self.malformed += 1
            return None
        return envelope if self._trust.judge(envelope, key, namespace).accepted else None

    def body(self, place: Guarded, envelope: Envelope) -> dict[str, Any] | None:
        """The body of what was sent, whether that is short or in a blob; None where it cannot be had."""
        try:
            blob = named(envelope.body)
            if blob is None:
                return envelope.body
            with self._unpacking:  # they are large: one at a time
                body = unpacked(b"".join(place.read(blob)))
        except FileNotFoundError:
            return None
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self.malformed += 1
            return None
        return body


class Borrowed:
    """The records of `reader`, and for `Blobs` the content they name. Safe for threads.

    `lost` are digests that are nowhere, whatever a place says: it said so and did not keep its word.
    """

    def __init__(self, reader: Reader, blobs: Blobs, sizes: NotedSizes, fits: Fits, lost: Iterable[str] = ()) -> None:
        self.lost = set(lost)
        self._wary = bool(self.lost)  # a promise was broken: only what is here now counts as there
        self.keys: set[str] = set()  # of the records that were taken
        self.waiting: Callable[[], AbstractContextManager[None]] = nullcontext  # entered while servers are waited for
        self.taken: Callable[[Found, Iterable[Blob]], object] = lambda *_: None  # hears of what is used, and its blobs
        self._reader = reader
        self._blobs = blobs
        self._sizes = sizes
        self._fits = fits
        self._where: dict[str, list[Guarded]] = {}  # digest -> the places that say that they have it
        self._pack: Mapping[str, Any] = {}
        self._pack_key = ""
        self._packed = ""  # the key of the pack that was read
        self._lock = threading.Lock()

    def expect(self, pack_key: str) -> None:
        """Look into the pack of that key before anything else, once it is first asked for a record."""
        self._pack_key = pack_key

    def pack(self, pack_key: str) -> Mapping[str, Any]:
        """The records of the pack of that key as it is now, as bodies by key; nothing where there is none."""
        if self._packed == pack_key:
            return self._pack
        return next((found.body for found in self._reader.found(pack_key)), {})

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""
        self._unpack()
        if key in self._pack and (record := self._taken(key, self._pack[key])) is not None:
            return record
        with self.waiting():
            for found in self._reader.found(key):
                record = self._taken(key, found.body)
                if record is not None:
                    self.taken(found, _blobs_of(found.body))
                    return record
        return None

    def nearest(self, target: str, title: str) -> Nearest | None:
        """What was last made for a step of a target; None where nothing was, or nobody says."""
        for found in self._reader.found(nearest_key(target, title)):
            key, sees = found.body.get("key"), found.body.get("sees")
            if isinstance(key, str) and isinstance(sees, dict) and all(type(value) is str for value in sees.values()):
                return Nearest(key, sees, found.writer.partition(":")[0])
        return None

    def _unpack(self) -> None:
        if not self._pack_key:
            return
        with self._lock:
            if self._pack_key:
                found = next(self._reader.found(self._pack_key), None)
                if found is not None:
                    self._pack = found.body
                    blobs = [blob for body in self._pack.values() for blob in _blobs_of(body)]
                    # Whoever sent it had confirmed them. To ask for thousands again takes longer than to make anew
                    # what was lost since, once somebody reads it.
                    self._where.update({blob.digest: [found.place] for blob in blobs})
                    self.taken(found, blobs)
                self._packed, self._pack_key = self._pack_key, ""

    def _taken(self, key: str, body: Any) -> Record | None:
        """The record of a body, if it and all that it names can be had."""
        try:
            parcel = RecordParcel.from_dict(body, self._fits)
        except ValueError:
            self._reader.malformed += 1
            return None
        self._sizes.note(parcel.sizes)
        if len(self._blobs.holds(parcel.sizes)) < len(parcel.sizes):
            return None
        for data in parcel.content.values():
            self._blobs.put(data)
        with self._lock:
            self.keys.add(key)
        return parcel.record

    def holds(self, digests: Collection[str]) -> set[str]:
        """See `Elsewhere.holds`."""
        sizes = {digest: self._sizes.get(digest) for digest in digests if digest not in self.lost}
        self._confirm(Blob(digest, size) for digest, size in sizes.items() if size is not None)
        there = {digest for digest in sizes if self._where.get(digest)}
        return {digest for digest in there if self.bring(digest)} if self._wary else there

    def _confirm(self, blobs: Iterable[Blob]) -> None:
        """Ask the places for what nobody asked for yet, all of it at once."""
        left = {blob.digest: blob for blob in blobs if blob.digest not in self._where}
        found: dict[str, list[Guarded]] = {digest: [] for digest in left}
        for place in self._reader.places:
            wanted = [blob for blob in left.values() if not found[blob.digest]]
            for digest in place.holds(wanted) if wanted else ():
                found[digest].append(place)
        self._where.update(found)

    def bring(self, digest: str, size: int | None = None) -> bool:
        """See `Elsewhere.bring`."""
        if size is None:
            size = self._sizes.get(digest)
        elif digest not in self.lost:
            self._confirm([Blob(digest, size)])
        places = self._where.get(digest, ())
        if self._blobs.has(digest):
            return True
        if size is not None and any(place.bring(Blob(digest, size), self._blobs) for place in places):
            return True
        if places:
            self.lost.add(digest)
        return False


def _blobs_of(body: Any) -> Iterable[Blob]:
    """The blobs that a body of a pack says stay where they are, before it is known to be sound."""
    sizes = body.get("sizes") if isinstance(body, dict) else None
    if isinstance(sizes, dict):
        return [Blob(digest, size) for digest, size in sizes.items() if type(size) is int]
    return []
