"""Blobs from elsewhere: resumed where a transfer broke off, checked before they enter the store.

The transfer itself is `start.transfer`'s, which fetches models in containers as well: what has arrived is kept in
`<store>/tmp/partial/<hex>` under a file lock, so that an interrupted build goes on where it stopped, and two processes
that want the same blob fetch it once.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeVar
from urllib.parse import urlsplit

from buildrules.credentials.redact import redact
from buildrules.errors import BuildrulesError, FetchError, GoneError, IntegrityError, Interrupted, StoreError
from buildrules.net.session import Fetching
from buildrules.start import failure as reasons
from buildrules.start.failure import Failure
from buildrules.start.header import content_length
from buildrules.start.partial import Arrived, check
from buildrules.start.parts import Locate, Request
from buildrules.start.transfer import Transfer
from buildrules.store.blobs import Blobs, hex_of

HERE = "disk"
"""The source of what is told as read, and not as fetched."""

TRIES = 3  # per url, in a row without a mebibyte of progress among them
FULL = "free some space, run 'buildrules cache gc', or move the store with BUILDRULES_CACHE_DIR"
_HERE = (reasons.STOPPED, reasons.NO_SPACE, reasons.UNWRITABLE)  # of this machine: no other url does better
_GRAVEST = {**{reason: rank for rank, reason in enumerate((*_HERE, reasons.WRONG))}, reasons.MISSING: 99}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Download:
    """The blob `digest` (sha256:<hex>, `size` bytes where known), and the urls (http, https, file) to try in order.

    `what` names it in progress and errors.
    """

    urls: Sequence[str]
    digest: str
    size: int | None = None
    what: str = ""
    source: str = "index"  # where from, in a word, for the count of bytes


class Stop(Event):
    """Set by whoever fetches side by side, and by Ctrl-C."""

    def __init__(self, context: Fetching) -> None:
        super().__init__()
        self._context = context

    def is_set(self) -> bool:
        """Whether it is time to stop."""
        return super().is_set() or self._context.cancelled

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so many seconds, or until it is time to stop."""
        left = float("inf") if timeout is None else timeout
        while left > 0 and not self.is_set():
            super().wait(min(left, 0.1))
            left -= 0.1
        return self.is_set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Failure where it is time to stop."""
        self.wait(seconds)
        check(self)


def fetch_all(items: Sequence[Download], context: Fetching, parallel: int = 8) -> None:
    """Bring blobs into the store, `parallel` at a time, the largest first; those that are there are left alone.

    Raises the first error after the rest stopped: GoneError where every url of a blob answers 404 or 410,
    IntegrityError where only other content was offered, FetchError otherwise, StoreError on a full disk, Interrupted on
    Ctrl-C. No error holds a credential.
    """
    missing = [item for item in items if not context.blobs.has(item.digest, item.size)]
    missing.sort(key=lambda item: -(item.size or 0))
    side_by_side(lambda item, stop: _fetch(item, context, stop), missing, context, parallel)


def side_by_side(job: Callable[[Any, Stop], T], items: Iterable[Any], context: Fetching, parallel: int = 8) -> list[T]:
    """What `job` gives for each of `items`, on threads. Raises the first error after the rest were told to stop."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    stop, waiting = Stop(context), list(items)
    if len(waiting) <= 1:
        return [job(item, stop) for item in waiting]
    with ThreadPoolExecutor(min(parallel, len(waiting)), thread_name_prefix="fetch") as pool:
        futures = [pool.submit(job, item, stop) for item in waiting]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]


def bring(
    request: Request,
    locate: Locate,
    context: Fetching,
    title: str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    tries: int = TRIES,
    stop: Stop | None = None,
    source: str = "elsewhere",
    streams: int = 1,
) -> tuple[int, str]:
    """Have one file in the store, whatever its digest where `sha256` (hex) is None; gives its size and digest.

    A large one whose digest is known comes in parts, `streams` at once. `locate` gives url and headers anew for every
    try, `request` sends them. Raises Failure, Interrupted.
    """
    blobs = context.blobs
    partial = os.path.join(blobs.tmp, "partial", sha256) if sha256 else blobs.tmp_path()
    os.makedirs(os.path.dirname(partial), exist_ok=True)
    done, total = 0, size

    def counted(url: str, headers: Mapping[str, str], extra: Mapping[str, str]) -> Any:
        nonlocal total
        answer = request(url, headers, extra)
        length = content_length(answer.headers)
        if size is None and length is not None:
            total = length + (done if answer.status == 206 else 0)
        return answer

    def moved(grown: int, received: int) -> None:
        nonlocal done
        done += grown
        if received:
            context.count(**{"fetched" if source != HERE else "read": received}, source=source)
            context.progress(title, done, total)

    def there() -> bool:
        return bool(sha256) and blobs.has(str(sha256), size)

    def placed() -> tuple[str, dict[str, str]]:
        if there():  # since we last looked; the partial file was renamed away and is a new one now
            raise Arrived
        return locate()

    try:
        stop = stop or Stop(context)
        transfer = Transfer(counted, placed, size, sha256, moved=moved, stop=stop, tries=tries, streams=streams)
        found = transfer.fetch(partial, there)
        os.chmod(partial, 0o444)
        blobs.take(partial, found[1])
        blobs.bytes_written += found[0]
        return found
    except (Arrived, FileNotFoundError):  # another process was faster
        if not sha256 or not there():
            raise
        return os.stat(blobs.path(sha256)).st_size, sha256
    finally:
        if not sha256:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)


def error_of(failure: Failure, text: str, blobs: Blobs) -> BuildrulesError:
    """The error a failure is, with `text` for its message."""
    store = blobs.store
    if failure.reason == reasons.STOPPED:
        return Interrupted("fetching was stopped")
    if failure.reason == reasons.NO_SPACE:
        return StoreError(f"no space left in the store {store}", hint=FULL)
    if failure.reason == reasons.UNWRITABLE:
        return StoreError(f"the store {store} cannot be written: {failure.text}")
    kind = {reasons.MISSING: GoneError, reasons.WRONG: IntegrityError}.get(failure.reason, FetchError)
    return kind(text, hint=failure.hint)


def refused(failure: Failure, url: str, context: Fetching) -> Failure:
    """The failure with what to do about it, where a server wants other credentials."""
    if failure.reason != reasons.REFUSED:
        return failure
    served = context.session.connections.serving(url)
    if served is not None:
        message, hint = served.refused(failure.text)
        return Failure(failure.reason, message, hint=hint)
    hint = f"give credentials for {urlsplit(redact(url)).hostname!r}, in ~/.netrc for example"
    return Failure(failure.reason, failure.text, hint=failure.hint or hint)


def _fetch(item: Download, context: Fetching, stop: Stop) -> None:
    blobs, name = context.blobs, _name(item)
    if blobs.has(item.digest, item.size):
        return
    failures: list[Failure] = []
    client = context.session.client
    for url in item.urls:
        place = url, dict[str, str]()
        try:
            bring(
                lambda url, _, extra: client.get(url, extra),
                lambda: place,  # noqa: B023 - it is asked for before the next
                context,
                name,
                sha256=hex_of(item.digest),
                size=item.size,
                stop=stop,
                source=item.source,
            )
            return
        except Failure as failure:
            failures.append(refused(failure, url, context))
            if failure.reason in _HERE:
                break
    if not failures:
        raise GoneError(f"nothing says where {name!r} could be fetched from")
    told = "; ".join(failure.text for failure in failures)
    worst = min(failures, key=lambda failure: _GRAVEST.get(failure.reason, len(_GRAVEST)))
    said = {reasons.MISSING: f"{name!r} no longer exists", reasons.WRONG: f"{name!r} is not what it must be"}
    error = error_of(worst, f"{said.get(worst.reason, f'could not fetch {name!r}')}: {told}", blobs)
    error.hint = error.hint or next((failure.hint for failure in failures if failure.hint), None)
    raise error


def _name(item: Download) -> str:
    return item.what or (os.path.basename(redact(item.urls[0])) if item.urls else "") or item.digest
