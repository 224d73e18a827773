"""What this build made, sent to places elsewhere in the background: content first, then the record that names it.

What fails costs one warning. A record of the same key that is there already stays; where it says something else, that
is told. Beside the record stands what its key saw, under the label and the kind of step: `why --not-cached` compares.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from buildrules.engine.action import Action
from buildrules.engine.borrowed import Fits, Found, Reader, nearest_key
from buildrules.engine.cache import Record
from buildrules.engine.parcel import SMALL, RecordParcel, named, naming, packed, parcel_of
from buildrules.remote.backend import LARGEST_RECORD, Blob, Body, body_of
from buildrules.remote.envelope import Envelope, Signer, address
from buildrules.remote.guarded import Guarded
from buildrules.store.blobs import Blobs
from buildrules.store.records import canonical
from buildrules.typed import Any, NamedTuple

LARGEST_PACK = 48 << 20
"""Bytes of the records of a pack, as JSON: less than `parcel.LARGEST`."""

_THREADS = 8
_ROOM = 4096  # bytes that an envelope takes besides its body, at most


class Made(NamedTuple):
    """One step that ran, for whoever it is of use to: its action, key, record, and what the key saw (by name)."""

    action: Action
    key: str
    record: Record
    sees: dict[str, str]


class Publishing:
    """Sends to all of the reader's places. Safe for threads.

    `size_of` gives the bytes of content that is elsewhere, by digest; `told` hears lines for people, and `noted` the
    keys of the records that all places have.
    """

    def __init__(
        self,
        reader: Reader,
        blobs: Blobs,
        fits: Fits,
        namespace: str,
        signer: Signer | None,
        size_of: Callable[[str], int | None],
        told: Callable[[str], None],
        noted: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.sent = 0  # records
        self._reader = reader
        self._blobs = blobs
        self._fits = fits
        self._namespace = namespace
        self._signer = signer
        self._size_of = size_of
        self._told = told
        self._noted = noted
        self._made: set[str] = set()  # keys
        self._sure: set[tuple[str, str]] = set()  # places, and digests that they have
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: list[Future[None]] = []
        self._failed = self._count = 0
        self._lock = threading.Lock()

    def publish(self, made: Made) -> None:
        """Send one, later."""
        self._made.add(made.key)
        self._later(lambda: self._each(lambda place: self._send(place, made), key=made.key))

    def offer(self, records: Mapping[str, Record | None]) -> None:
        """Send those that were not made now where a place has none, later: they are older than the cache, say.

        Where it has one, that is written once more: what is in use does not expire.
        """
        for key, record in records.items():
            if record is not None and key not in self._made:
                self._later(partial(self._each, partial(self._offer, key=key, record=record), key=key))

    def pass_on(self, found: Found, blobs: Iterable[Blob]) -> None:
        """Send what a farther place has to those before it, as it is: with the signature of whoever made it."""
        nearer = self._reader.places[: self._reader.places.index(found.place)]
        wanted = [*blobs, *([found.packed] if found.packed else [])]
        if nearer:
            self._later(lambda: self._each(lambda place: self._copy(found, wanted, place), nearer))

    def publish_pack(self, key: str, records: Mapping[str, Record | None], there: Mapping[str, Any]) -> None:
        """Send the records of a whole command as one, later; of very many the first ones.

        `there` is what is packed now, and has some that are None here. A place gets those whose content it has:
        readers do not ask again.
        """

        def send() -> None:
            parcels: dict[str, RecordParcel] = {}
            size = 0
            for name, record in records.items():
                parcel = None if record is None else parcel_of(record, self._blobs, self._size_of)
                parcel = parcel or self._read(there.get(name))
                size += 0 if parcel is None else len(canonical(parcel.to_dict()))
                if size > LARGEST_PACK:
                    break
                if parcel is not None:
                    parcels[name] = parcel
            self._each(lambda place: self._send_pack(place, key, parcels, there))

        self._later(send)

    def finish(self, waiting: Callable[[], None]) -> None:
        """Wait as `wait` does, and say what could not be sent."""
        if not self.wait(waiting):
            self._told(f"{self._failed} of {self._count} records could not be sent to the cache; nothing else is lost")
            self._failed = 0

    def wait(self, waiting: Callable[[], None]) -> bool:
        """Wait until all is sent, and call `waiting` now and then meanwhile; whether nothing failed so far."""
        jobs, self._jobs = self._jobs, []
        left = set(jobs)
        while left:
            waiting()
            done, left = wait(left, timeout=0.1)
            with self._lock:
                self._failed += sum(job.exception() is not None for job in done)
        self._count += len(jobs)
        return not self._failed

    def cancel(self) -> None:
        """Send nothing more."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _later(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="upload")
            self._jobs.append(self._pool.submit(job))

    def _each(
        self, send: Callable[[Guarded], bool | None], places: Sequence[Guarded] | None = None, key: str = ""
    ) -> None:
        """Send to each place; `send` says whether that was done, None where there was nothing to do.

        `key` is that of a record which is noted where nothing failed.
        """
        to = self._reader.places if places is None else places
        done = {
            None if not did and place.refuses else did for place in to if not place.refuses for did in [send(place)]
        }
        with self._lock:
            self.sent += True in done and False not in done
            self._failed += False in done
        if key and False not in done and not any(place.refuses or place.silent for place in to):
            self._noted(key)

    def _offer(self, place: Guarded, key: str, record: Record) -> bool | None:
        at = address(self._namespace, key)
        data = place.get(at)
        envelope = None if data is None else self._reader.opened(data, key, self._namespace)
        there = None if envelope is None else self._read(self._reader.body(place, envelope))
        parcel = there or parcel_of(record, self._blobs, self._size_of)
        if parcel is None:
            return None
        if not self._have(place, parcel.blobs):
            here = all(self._blobs.has(blob.digest) for blob in parcel.blobs)
            return False if here else None  # else it cannot be had
        if data is None or envelope is None or there is None:
            return self._put(place, key, parcel.to_dict(), parcel.blobs, replace=data is not None)
        blob = named(envelope.body)  # as it is: with the signature of whoever made it
        return None if place.put(at, data, [*there.blobs, *([blob] if blob else [])], replace=True) else False

    def _send_pack(
        self, place: Guarded, key: str, parcels: Mapping[str, RecordParcel], there: Mapping[str, Any]
    ) -> bool | None:
        self._have(place, [blob for parcel in parcels.values() for blob in parcel.blobs])
        body = {
            name: parcel.to_dict()
            for name, parcel in parcels.items()
            if all((place.url, digest) in self._sure for digest in parcel.sizes)
        }
        # A place that cannot be asked seems to lack everything: what it has stays.
        if body == there or 2 * len(body) < sum(name in parcels for name in there):
            return None
        return self._put(place, key, body, (), replace=True)

    def _have(self, place: Guarded, blobs: Iterable[Blob]) -> bool:
        """Let a place have content as far as it is here; whether it has all of it then."""
        asked = {blob.digest: blob for blob in blobs if (place.url, blob.digest) not in self._sure}
        there = place.holds(asked.values()) if asked else set()
        for digest, blob in asked.items():
            if digest in there or (self._blobs.has(digest) and place.write(blob, self._body(blob))):
                self._sure.add((place.url, digest))
        return all((place.url, digest) in self._sure for digest in asked)

    def _send(self, place: Guarded, made: Made) -> bool:
        parcel = parcel_of(made.record, self._blobs)
        if parcel is None:
            return False  # collected, or damaged meanwhile
        data = place.get(address(self._namespace, made.key))
        there = None if data is None else self._there(place, data, made.key)
        same = there is not None and there.record.outputs == made.record.outputs
        whole = there is not None and len(place.holds(there.blobs)) == len(there.sizes)
        if there is not None and not same and whole:
            self._told(_two_results(made, there.record))
            return True
        if same and whole:
            return True
        if not self._send_blobs(place, parcel.blobs):
            return False
        if not same and not self._put(place, made.key, parcel.to_dict(), parcel.blobs, replace=data is not None):
            return False
        action = made.action
        nearest = {"key": made.key, "sees": made.sees, "target": action.target, "title": action.title}
        return self._put(place, nearest_key(action.target, action.title), nearest, (), replace=True)

    def _copy(self, found: Found, blobs: Sequence[Blob], place: Guarded) -> bool:
        there = place.holds(blobs) if blobs else ()
        left = [blob for blob in blobs if blob.digest not in there]
        done = all(place.write(blob, lambda blob=blob: found.place.read(blob)) for blob in left)  # type: ignore[misc]
        return done and place.put(found.address, found.data, blobs)

    def _there(self, place: Guarded, data: bytes, key: str) -> RecordParcel | None:
        """What the place has for the key, if it may be used."""
        envelope = self._reader.opened(data, key, self._namespace)
        return None if envelope is None else self._read(self._reader.body(place, envelope))

    def _read(self, body: Any) -> RecordParcel | None:
        try:
            return None if body is None else RecordParcel.from_dict(body, self._fits)
        except ValueError:
            return None

    def _send_blobs(self, place: Guarded, blobs: Sequence[Blob]) -> bool:
        large = [blob for blob in blobs if blob.size > SMALL]
        there = place.holds(large) if large else ()
        done = all(place.write(blob, self._body(blob)) for blob in blobs if blob.digest not in there)
        if done:
            self._sure.update((place.url, blob.digest) for blob in blobs)
        return done

    def _body(self, blob: Blob) -> Body:
        return body_of(self._blobs.open, blob.digest)

    def _put(self, place: Guarded, key: str, body: Any, blobs: Sequence[Blob], *, replace: bool) -> bool:
        data = self._sealed(key, body)
        if len(data) > LARGEST_RECORD - _ROOM:
            blob, text = packed(body)
            if blob.digest not in place.holds([blob]) and not place.write(blob, lambda: [text]):
                return False
            blobs = [*blobs, blob]
            data = self._sealed(key, naming(blob))
        return place.put(address(self._namespace, key), data, blobs, replace=replace)

    def _sealed(self, key: str, body: Any) -> bytes:
        return Envelope(key, self._namespace, body).seal(self._signer)


def _two_results(made: Made, there: Record) -> str:
    mine, theirs = made.record.outputs, there.outputs
    lines = [f"{made.action.title} came out otherwise than what the cache has for the same inputs, and keeps:"]
    for name, outputs in (("there", theirs), ("here", mine)):
        layers = [f"layer {layer.digest[7:19]} ({layer.size} bytes)" for layer in outputs.layers]
        blobs = [f"{blob} {digest[7:19]}" for blob, digest in sorted(outputs.blobs.items())]
        lines.append(f"  {name}: {', '.join([*layers, *blobs]) or outputs.values}")
    lines.append(
        f"  both saw {made.record.listing[7:19]}, key {made.key[:12]}; made there by buildrules {there.program}"
    )
    return "\n".join(lines)
