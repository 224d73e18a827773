"""A place elsewhere as the engine uses it: whatever is wrong with it costs time, and never a build.

Around every request of a back end: further attempts with a pause that grows, limits of time, being left alone for a
while (`remote.breaker`), reads that go on where they broke off, the digest of all that is read and sent, and counts.
Numbers: at most TRIES attempts without progress; the pause is drawn from 0 to 0.25 * 2^n seconds, at most 4 ("full
jitter"); a server's Retry-After (RFC 9110, 10.2.3) is obeyed up to 30 seconds.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from buildrules.errors import BuildrulesError, CredentialsError, Interrupted, UsageError
from buildrules.oci.descriptor import is_digest
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.breaker import Breaker, State
from buildrules.remote.names import is_key
from buildrules.remote.sending import Sending
from buildrules.sha256 import new_hash
from buildrules.start.secret import hide
from buildrules.store.blobs import Blobs
from buildrules.typed import Any, TypeVar

TRIES = 3
PROGRESS = 1 << 20  # bytes of a read that count as progress
LONGEST_WAIT = 30.0  # seconds; a server that asks for more is not asked again
PATIENCE = 30.0  # seconds a read may take, besides those that SLOWEST gives it
SLOWEST = 100_000  # bytes a second
SILENCE = 2.5  # seconds with nothing after which an attempt that fails says that nobody answers
IN_FLIGHT = 32  # requests under way at a time, of one `holds`

T = TypeVar("T")
V = TypeVar("V")


class _UnlikeError(Exception):
    """What came is not what its digest says."""


class Stats:
    """What one place cost. A miss is a record or content that was asked for and not there."""

    __slots__ = ("bytes_in", "bytes_out", "failures", "misses", "requests")

    def __init__(self) -> None:
        self.requests = self.bytes_in = self.bytes_out = self.misses = self.failures = 0


class Guarded:
    """One place. Safe for concurrent threads.

    `told` hears a line for people, once for each thing that is wrong. `wait` lets seconds pass; without one `close`
    ends all waiting. `clock` gives seconds.
    """

    def __init__(
        self,
        place: Backend,
        told: Callable[[str], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        self.url = place.url
        self.shelf = place.shelf
        self.stats = Stats()
        self._place = place
        self._told = told
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._lock = threading.Lock()
        self._breakers = {"reading": Breaker(clock), "writing": Breaker(clock)}
        self._largest: int | None = None  # bytes: so much was too large for the place
        self.failure = ""  # what failed last
        self._said: set[str] = set()
        self._unsaid: dict[str, str] = {}  # direction -> what failed last, where that was no news yet
        self._gone: set[str] = set()  # digests of content that was asked for in vain
        self._wrong: set[Blob] = set()  # what other bytes are kept for

    @property
    def refuses(self) -> bool:
        """Whether the place takes nothing from us, as it has said."""
        return self._breakers["writing"].state is State.REFUSED

    @property
    def silent(self) -> bool:
        """Whether nothing comes from there: then nothing is sent there either."""
        return self._breakers["reading"].state is State.SILENT

    def get(self, address: str) -> bytes | None:
        """The record at `address`, 64 hex digits; None where there is none, or it cannot be had."""
        if not is_key(address):
            return None

        def attempt() -> bytes | None:
            found = self._place.records.get(address)
            if found is not None and len(found) > LARGEST_RECORD:
                raise RemoteError(f"a record of more than {LARGEST_RECORD} bytes")
            return found

        found = self._tried("reading", attempt)
        self._count(bytes_in=len(found or b""), misses=found is None)
        return found

    def put(self, address: str, data: bytes, blobs: Sequence[Blob] = (), *, replace: bool = False) -> bool:
        """Keep a record that names `blobs`, which are there; whether that was done. See `RecordPlace.put`."""
        if not is_key(address) or len(data) > LARGEST_RECORD:
            return False

        def attempt() -> bool:
            self._place.records.put(address, data, blobs, replace=replace)
            self._count(bytes_out=len(data))
            return True

        return self._tried("writing", attempt) is not None

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """The digests of those that are there, as far as that can be learned."""
        return self.looked(blobs)[0]

    def looked(self, blobs: Collection[Blob]) -> tuple[set[str], bool]:
        """The digests of those that are there, and whether that was learned of all."""
        wanted = [blob for blob in dict.fromkeys(blobs) if is_digest(blob.digest) and blob.digest not in self._gone]
        groups = [wanted[at : at + self._place.batch] for at in range(0, len(wanted), self._place.batch)]

        def ask(group: list[Blob]) -> set[str] | None:
            return self._tried("reading", lambda: self._place.content.holds(group))

        answers = side_by_side(ask, groups)
        found = set().union(*filter(None, answers)) & {blob.digest for blob in wanted}
        self._count(misses=len(wanted) - len(found))
        return found, None not in answers

    def read(self, blob: Blob) -> Iterator[bytes]:
        """The content. Raises FileNotFoundError where it cannot be had, also at the end, where it was other content:
        nobody may use what came before that. From then on `holds` says no."""
        if not is_digest(blob.digest):
            raise FileNotFoundError(f"not a digest: {blob.digest!r}")
        sha256, got = new_hash(blob.size), 0
        breaker, failures, mark = self._breakers["reading"], 0, 0
        while got < blob.size:
            if self._closed.is_set() or not breaker.admits():
                raise self._lost(blob, f"{self.url} is not asked any more")
            started, before = self._clock(), got
            self._count(requests=1)
            try:
                for chunk in self._rest(blob, got):
                    got += len(chunk)
                    sha256.update(chunk)
                    yield chunk
            except FileNotFoundError:
                breaker.answered()
                raise self._lost(blob, f"{self.url} has no {blob.digest}") from None
            except _UnlikeError:
                breaker.answered()
                raise self._unlike(blob, "bytes of another length") from None
            except GeneratorExit:  # nobody wants the rest
                breaker.answered()
                raise
            except Exception as error:  # noqa: BLE001 - a cache never fails a build
                if got - mark >= PROGRESS:
                    failures, mark = 0, got
                    breaker.answered()
                failures += 1
                quiet = got == before and self._clock() - started >= SILENCE
                why = self._failed("reading", error, failures, started, quiet=quiet)
                if why is not None:
                    raise self._lost(blob, why) from None
        if "sha256:" + sha256.hexdigest() != blob.digest:
            raise self._unlike(blob, "other bytes")
        if blob.size:
            breaker.answered()
            breaker.ended(well=True)

    def bring(self, blob: Blob, blobs: Blobs) -> bool:
        """Have the content in the store; whether it is there. Other bytes are fetched once more. Raises StoreError."""
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                blobs.put_stream(self.read(blob), blob.digest, blob.size)
                self._gone.discard(blob.digest)
                return True
            if blob not in self._wrong:
                break
        return False

    def write(self, blob: Blob, body: Body) -> bool:
        """Keep content that `body` opens; whether that was done. What is not what its digest says is not sent."""
        if not is_digest(blob.digest) or (self._largest is not None and blob.size >= self._largest):
            return False
        passed, latest = 0, 0.0  # bytes of an attempt, and when the last of them went

        def sent(count: int) -> None:
            nonlocal passed, latest
            passed, latest = passed + count, self._clock()
            self._count(bytes_out=count)

        sending = Sending(blob, body, sent)

        def attempt() -> bool:
            nonlocal passed
            passed = 0
            if blob in self._wrong and self._place.shelf is not None:
                with contextlib.suppress(RemoteError):  # many a writer may not remove
                    self._place.shelf.remove(Entry("content", blob.digest, 0, 0.0))
            try:
                self._place.content.write(blob, sending.open)
            except Exception:
                self._count(bytes_out=-passed)  # of no use
                if sending.spoilt:  # nothing of that is the place's fault
                    return False
                raise
            return True

        done = self._tried("writing", attempt, blob.size, lambda: latest)
        if done:
            self._gone.discard(blob.digest)
            self._wrong.discard(blob)
        return bool(done)

    def tell(self) -> None:
        """Say what failed so far, where too little did to be said at once."""
        while self._unsaid:
            direction, text = self._unsaid.popitem()
            self._say(direction, f"failed while {direction}: {text}")

    def close(self) -> None:
        """Ask nothing any more, and close what is open."""
        self._closed.set()
        self._place.close()

    def _rest(self, blob: Blob, offset: int) -> Iterator[bytes]:
        """What there is from `offset` on, in one attempt. Raises RemoteError where it is too slow, _UnlikeError
        where it has another length."""
        got, waited, since = offset, 0.0, self._clock()
        for chunk in self._place.content.read(blob, offset):
            got += len(chunk)
            waited += self._clock() - since
            self._count(bytes_in=len(chunk))
            if got > blob.size:
                raise _UnlikeError
            if waited > PATIENCE + (got - offset) / SLOWEST:
                raise RemoteError("it sends too slowly", retry=True)
            yield chunk
            since = self._clock()
        if got < blob.size and got - offset < PROGRESS:
            raise _UnlikeError

    def _tried(
        self, direction: str, attempt: Callable[[], T], size: int = 0, latest: Callable[[], float] = lambda: 0.0
    ) -> T | None:
        """What `attempt` gives, which is made up to TRIES times; None where it fails. `latest` is when it last sent."""
        breaker = self._breakers[direction]
        for number in range(1, TRIES + 1):
            if self._closed.is_set() or self.silent or not breaker.admits():
                break
            started = self._clock()
            self._count(requests=1)
            try:
                found = attempt()
            except Exception as error:  # noqa: BLE001 - a cache never fails a build
                quiet = self._clock() - max(started, latest()) >= SILENCE
                if self._failed(direction, error, number, started, size, quiet=quiet) is not None:
                    break
            else:
                breaker.answered()
                breaker.ended(well=True)
                return found
        return None

    def _failed(
        self, direction: str, error: Exception, number: int, started: float, size: int = 0, *, quiet: bool = False
    ) -> str | None:
        """Take note of an attempt that failed, and pause; why there is none after it, None where there is.

        `quiet` is whether nothing came for as long as SILENCE.
        """
        failure, breaker = _understood(error), self._breakers[direction]
        if self._closed.is_set():
            return failure.text
        if failure.too_large and size:
            self._too_large(size, failure)
            breaker.answered()
        elif failure.refused:
            if breaker.refuse():
                self._say(direction, f"is left out for {direction}: {failure.text}")
        elif (quiet and failure.wait is None and breaker.silent(started)) or breaker.failed(started):
            self._left_alone(direction, failure)
        elif failure.retry and number < TRIES and (failure.wait or 0) <= LONGEST_WAIT:
            longest = min(0.25 * 2.0**number, 4.0)
            self._wait(random.uniform(0, longest) if failure.wait is None else failure.wait)  # noqa: S311 - jitter
            return None
        self._count(failures=1)
        if breaker.ended(well=False):
            self._left_alone(direction, failure)
        self.failure = self._unsaid[direction] = failure.text
        return failure.text

    def _left_alone(self, direction: str, failure: RemoteError) -> None:
        self._say(direction, f"fails and is left alone for {direction}: {failure.text}")

    def _too_large(self, size: int, failure: RemoteError) -> None:
        with self._lock:
            self._largest = min(size, self._largest or size)
        self._say("size", f"takes nothing of {size} bytes or more: {failure.text}")

    def _unlike(self, blob: Blob, what: str) -> FileNotFoundError:
        """The error for content that is not what its digest and size say, but `what`. Either of them may be wrong."""
        self._wrong.add(blob)
        self._say("other bytes", f"has {what} under {blob.digest}, which were not used")
        return self._lost(blob, f"{self.url} has {what} under {blob.digest}")

    def _lost(self, blob: Blob, why: str) -> FileNotFoundError:
        """The error for content that cannot be had, which is taken note of."""
        self._gone.add(blob.digest)
        self._count(misses=1)
        return FileNotFoundError(hide(why))

    def _say(self, about: str, text: str) -> None:
        """Tell people what is wrong, unless something was told about it before."""
        with self._lock:
            first = about not in self._said
            self._said.add(about)
        if first:
            self._told(hide(f"cache {self.url} {text}"))

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, count in more.items():
                setattr(self.stats, name, getattr(self.stats, name) + count)


def _understood(error: Exception) -> RemoteError:
    """What an attempt failed of. Raises Interrupted where it is that."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, Interrupted):
        raise error
    if isinstance(error, BuildrulesError):
        useless = isinstance(error, CredentialsError | UsageError)  # no login, no such connection
        return RemoteError(f"{error.message}{f' ({error.hint})' if error.hint else ''}", refused=useless)
    return RemoteError(f"{type(error).__name__}: {error}")


def side_by_side(ask: Callable[[T], V], groups: Sequence[T]) -> list[V]:
    """What `ask` gives for each group, with IN_FLIGHT of them under way. Raises the first of what it raises."""
    if len(groups) < 2:
        return [ask(group) for group in groups]
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(IN_FLIGHT, len(groups)), thread_name_prefix="cache")
    try:
        return list(pool.map(ask, groups))
    finally:
        pool.shutdown(cancel_futures=True)
