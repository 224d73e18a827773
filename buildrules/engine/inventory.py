"""What lies in a place elsewhere: who wrote each record, what it holds, and the content it names."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from buildrules.engine.parcel import named, unpacked
from buildrules.errors import FetchError
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Entry, RemoteError
from buildrules.remote.envelope import Envelope, address, read_envelope
from buildrules.remote.guarded import IN_FLIGHT, LONGEST_WAIT
from buildrules.remote.trust import Trust
from buildrules.sha256 import new_hash
from buildrules.store.records import canonical_text
from buildrules.typed import Any, NamedTuple, TypeVar

T = TypeVar("T")

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_PAUSES = (0.25, 1.0)  # seconds before another attempt
MALFORMED = "no record of this version"
MISPLACED = "kept for another key or namespace"


class Written(NamedTuple):
    """One record. `writer` is an id, "" for an unsigned one; `wrong` is "" where a trusted key signed it.

    `key` is that of the step; `about` is, where this is what a step saw, the key of that step and what it is called.
    `names` are all digests that stand in it, `needs` the content that it is worth nothing without; None where that
    cannot be read, as that of a record that is packed in content which is gone.
    """

    entry: Entry
    writer: str = ""
    namespace: str = ""
    wrong: str = ""
    holds: str = ""  # in words: a kind of step and its version, or what else it is
    names: frozenset[str] = frozenset()
    needs: Sequence[Blob] | None = ()
    key: str = ""
    about: tuple[str, str] | None = None


class Inventory:
    """Reads a place that can list what it has. `trust` says who is known; all it judges is read as if required.

    What cannot be read is an error here, where `remote.guarded` would take it for a miss: what is removed depends on
    it. All methods raise FetchError.
    """

    def __init__(self, place: Backend, trust: Trust, *, strict: bool = False) -> None:
        """`strict`: nobody uses what `trust` finds wrong, so that nothing that it names need be fetched.

        Also raises FetchError for a place whose protocol cannot list."""
        if place.shelf is None:
            raise FetchError(
                f"the cache {place.url} cannot say what it has: its protocol has no list",
                hint="do it where its files are: --remote file:///path, or by the server's own means",
            )
        self.url = place.url
        self._place = place
        self._shelf = place.shelf
        self._trust = trust
        self._strict = strict
        self._unpacking = Lock()  # a short record can name content that is long when it is unpacked

    def entries(self) -> list[Entry]:
        """All that is there."""
        return self._tried("listed", lambda: list(self._shelf.entries()))

    def remove(self, entry: Entry) -> None:
        """Keep it no longer."""
        self._tried("changed", lambda: self._shelf.remove(entry))

    def sound(self, blob: Blob) -> bool:
        """Whether content is what its digest says; so is what is gone by now."""
        return self._tried("read", lambda: self._hashed(blob, lambda _: None))

    def holds(self, blobs: Collection[Blob]) -> set[Blob]:
        """Those that are there, whether the place lists them or not."""
        turns: Counter[str] = Counter()
        rounds: defaultdict[int, list[Blob]] = defaultdict(list)  # a place answers digests: one size of each at a time
        for blob in dict.fromkeys(blobs):
            rounds[turns[blob.digest]].append(blob)
            turns[blob.digest] += 1
        found: set[Blob] = set()
        for wanted in rounds.values():
            for start in range(0, len(wanted), self._place.batch):
                group = wanted[start : start + self._place.batch]
                there: set[str] = self._tried("read", lambda group=group: self._place.content.holds(group))  # type: ignore[misc]
                found |= {blob for blob in group if blob.digest in there}
        return found

    def read(self, records: Sequence[Entry], progress: Callable[[int, int], None]) -> Iterator[Written]:
        """What stands in records, in their order; those that are gone by now are left out.

        `progress` hears bytes read and in all.
        """
        done, total = 0, sum(entry.size for entry in records)
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="inventory")
        try:
            for entry, found in zip(records, pool.map(self._one, records), strict=True):
                done += entry.size
                progress(done, total)
                if found is not None:
                    yield found
        finally:
            pool.shutdown(cancel_futures=True)

    def _tried(self, what: str, ask: Callable[[], T]) -> T:
        for pause in (*_PAUSES, None):
            try:
                return ask()
            except RemoteError as error:
                if pause is None or not error.retry:
                    raise FetchError(f"the cache {self.url} cannot be {what}: {error.text}") from None
                time.sleep(min(error.wait or pause, LONGEST_WAIT))
        raise AssertionError

    def _one(self, entry: Entry) -> Written | None:
        if entry.size > LARGEST_RECORD:  # nobody takes it
            return Written(entry, wrong=MALFORMED)
        data = self._tried("read", lambda: self._place.records.get(entry.name))
        if data is None:
            return None
        try:
            envelope = read_envelope(data)
            where = address(envelope.namespace, envelope.key)
        except ValueError:  # it may be one of a later version
            return Written(entry, wrong=MALFORMED, names=_named(data.decode("latin-1")))
        return self._opened(entry, envelope, where)

    def _hashed(self, blob: Blob, hear: Callable[[bytes], object]) -> bool:
        """Whether content has its digest; `hear` hears it, as far as it is not too long."""
        sha256, size = new_hash(blob.size), 0
        try:
            for chunk in self._place.content.read(blob):
                size += len(chunk)
                if size > blob.size:
                    return False
                sha256.update(chunk)
                hear(chunk)
        except FileNotFoundError:
            return True
        return "sha256:" + sha256.hexdigest() == blob.digest

    def _content(self, blob: Blob) -> bytes:
        """Raises ValueError where it is gone, or other content."""
        chunks: list[bytes] = []

        def read() -> bool:
            chunks.clear()
            return self._hashed(blob, chunks.append)

        if not self._tried("read", read) or (blob.size and not chunks):
            raise ValueError("it is not there")
        return b"".join(chunks)

    def _opened(self, entry: Entry, envelope: Envelope, where: str) -> Written:
        wrong = self._trust.judge(envelope, envelope.key, envelope.namespace).why
        if where != entry.name:
            wrong = MISPLACED
        body: Any = envelope.body
        needs: list[Blob] = []
        names = _named(canonical_text(body))
        try:
            blob = named(body)
            if blob is not None:
                needs.append(blob)
                if wrong and self._strict:
                    return Written(entry, envelope.writer, envelope.namespace, wrong, "?", names, needs)
                with self._unpacking:
                    body = unpacked(self._content(blob))
                    names |= _named(canonical_text(body))
        except (ValueError, RecursionError):
            return Written(entry, envelope.writer, envelope.namespace, wrong or MALFORMED, "?", names, None)
        holds, more = _described(body)
        needs += more
        return Written(
            entry, envelope.writer, envelope.namespace, wrong, holds, names, needs, envelope.key, _about(body)
        )


def _named(text: str) -> frozenset[str]:
    """All digests in a text, whatever they are there for."""
    return frozenset(f"sha256:{name}" for name in _DIGEST.findall(text))


def _about(body: Any) -> tuple[str, str] | None:
    """The key of a step, and its target and title, where a body is what a step saw."""
    key, target, title = (body.get(name) if isinstance(body, dict) else None for name in ("key", "target", "title"))
    if not (isinstance(key, str) and isinstance(target, str) and isinstance(title, str)):
        return None
    return key, f"{target} {title}"


def _described(body: Any) -> tuple[str, list[Blob]]:
    """What a body holds, in words, and the content it needs."""
    if not isinstance(body, dict):
        return "?", []
    if isinstance(body.get("sees"), dict):
        return "what a step saw", []
    if "record" not in body:
        parts = [_described(part)[1] for part in body.values() if isinstance(part, dict) and "record" in part]
        return f"{len(parts)} records in one", [blob for part in parts for blob in part]
    record, sizes = body["record"], body.get("sizes")
    kind = record.get("kind") if isinstance(record, dict) else None
    rows = sizes.items() if isinstance(sizes, dict) else ()
    blobs = [Blob(digest, size) for digest, size in rows if is_digest(digest) and is_size(size)]
    return kind if isinstance(kind, str) else "?", blobs
