"""Blobs from urls: resumed where a transfer broke off, checked before they enter the store.

A transfer is kept in `<store>/tmp/partial/<hex>` under a file lock, so an interrupted build goes on
where it stopped and two processes that want the same blob fetch it once.
"""

import contextlib
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from buildrules.credentials import connections
from buildrules.errors import FetchError, GoneError, IntegrityError, Interrupted, StoreError
from buildrules.start.header import content_length
from buildrules.start.retry import retry_after
from buildrules.store.blobs import CHUNK, Blobs
from buildrules.store.partial import PartialBlob
from buildrules.store.webclient import get, reason, redact

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

TRIES = 3  # per url, in a row without a mebibyte of progress among them
BACKOFF = 0.5  # seconds before the second try; doubles, with jitter
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is not waited for
READ = 256 << 10


class Fetching(Protocol):
    """What a fetch needs to know of its surroundings; `engine.action.Context` has it all."""

    @property
    def blobs(self) -> Blobs:
        """Where the content goes."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Bytes done so far, and in all where known."""

    def count(self, *, fetched: int = 0) -> None:
        """Add to the bytes fetched."""

    @property
    def cancelled(self) -> bool:
        """True after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Download:
    """One blob to fetch: see `fetch_blob` for the fields."""

    urls: Sequence[str]
    digest: str
    size: int | None = None
    what: str = ""
    headers: Mapping[str, str] | None = None


class _RetryLater(Exception):
    """This try failed in a way that another may not; `wait` is what the server asked for, in seconds."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.wait = wait


class _GivenUp(Exception):
    """This url will not do; `gone` says that the server knows the content no more."""

    def __init__(self, cause: str, *, gone: bool = False, corrupt: bool = False, hint: str | None = None) -> None:
        super().__init__(cause)
        self.gone = gone
        self.corrupt = corrupt
        self.hint = hint


def fetch_blob(
    urls: Sequence[str],
    digest: str,
    size: int | None,
    context: Fetching,
    *,
    what: str = "",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Bring the blob `digest` (sha256:<hex>, `size` bytes where known) into the store; nothing if it is there.

    `urls` (http, https, file) are tried in order. `what` names the content in progress and errors;
    `headers` go to each url's own host only. Raises GoneError where every url answers 404 or 410,
    IntegrityError where only other content was offered, FetchError otherwise, StoreError on a full
    disk, Interrupted on Ctrl-C. No error holds a credential.
    """
    _fetch(Download(urls, digest, size, what, headers), context, Event())


def fetch_all(items: Sequence[Download], context: Fetching, parallel: int = 8) -> None:
    """Fetch many blobs, `parallel` at a time, the largest first. Raises the first error after the rest stopped."""
    missing = [item for item in items if not context.blobs.has(item.digest, item.size)]
    if len(missing) <= 1:
        for item in missing:
            _fetch(item, context, Event())
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    stop = Event()
    missing.sort(key=lambda item: -(item.size or 0))
    with ThreadPoolExecutor(min(parallel, len(missing)), thread_name_prefix="fetch") as pool:
        futures = [pool.submit(_fetch, item, context, stop) for item in missing]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def _fetch(item: Download, context: Fetching, stop: Event) -> None:
    blobs = context.blobs
    if blobs.has(item.digest, item.size):
        return
    causes: list[_GivenUp] = []
    try:
        with PartialBlob(blobs, item.digest, item.size, lambda: _check(context, stop)) as partial:
            if blobs.has(item.digest, item.size):  # somebody else fetched it while we waited for the lock
                return
            for url in item.urls:
                try:
                    _Transfer(url, item, partial, context, stop).run()
                except _GivenUp as cause:
                    causes.append(cause)
                    continue
                partial.commit()
                return
    except OSError as error:
        raise _store_error(error, blobs) from error
    raise _failure(item, causes)


def _name(item: Download) -> str:
    return item.what or (os.path.basename(redact(item.urls[0])) if item.urls else "") or item.digest


def _failure(item: Download, causes: list[_GivenUp]) -> Exception:
    name = _name(item)
    if not causes:
        return GoneError(f"nothing says where {name!r} could be fetched from")
    text = "; ".join(f"{redact(url)}: {cause}" for url, cause in zip(item.urls, causes, strict=True))
    hint = next((cause.hint for cause in causes if cause.hint), None)
    if all(cause.gone for cause in causes):
        return GoneError(f"{name!r} no longer exists: {text}", hint=hint)
    if any(cause.corrupt for cause in causes):
        return IntegrityError(f"{name!r} is not what it must be: {text}", hint=hint)
    return FetchError(f"could not fetch {name!r}: {text}", hint=hint)


@dataclass(slots=True)
class _Transfer:
    """All tries with one url; `run` returns with the verified content in `partial`, or raises _GivenUp."""

    url: str
    item: Download
    partial: PartialBlob
    context: Fetching
    stop: Event

    def run(self) -> None:
        try:
            scheme = urlsplit(self.url).scheme.lower()
        except ValueError:
            raise _GivenUp("not a url") from None
        if scheme == "file":
            self._copy()
        elif scheme in ("http", "https"):
            self._try_on()
        else:
            raise _GivenUp(f"cannot fetch by {scheme or 'a relative path'!r}; only http, https and file are understood")

    def _try_on(self) -> None:
        failures, reached, tries = 0, self.partial.size, 0
        while True:
            tries += 1
            try:
                self._receive()
                return
            except _RetryLater as cause:
                failures += 1
                if self.partial.size >= reached + CHUNK:
                    failures, reached = 1, self.partial.size
                if failures >= TRIES:
                    raise _GivenUp(f"{cause} (after {tries} tries)") from None
                wait = cause.wait
                if wait is None:
                    wait = BACKOFF * 2 ** (failures - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                _sleep(wait, self.context, self.stop)

    def _receive(self) -> None:
        """One try: ask for what is missing, append it, check the whole."""
        from urllib3.exceptions import HTTPError

        partial, size = self.partial, self.item.size
        if size is not None and partial.size > size:
            partial.restart()
        resumed = partial.size
        if not resumed or resumed != size:
            extra = {"Range": f"bytes={resumed}-"} if resumed else None
            try:
                response = get(self.url, self.item.headers, extra)
            except (HTTPError, UnicodeError) as error:
                raise _RetryLater(reason(error)) from None
            except FetchError as error:
                raise _GivenUp(error.message, hint=error.hint) from None
            try:
                self._judge(response)
                self._append(response)
            except HTTPError as error:
                raise _RetryLater(reason(error)) from None
            finally:
                response.close()
        problem = partial.problem(size)
        if problem:
            partial.restart()
            if resumed:  # what was left of an earlier transfer may be to blame
                raise _RetryLater(problem)
            raise _GivenUp(problem, corrupt=True, hint="the file on the server is not the one that was locked")

    def _append(self, response: "BaseHTTPResponse") -> None:
        partial, size, name = self.partial, self.item.size, _name(self.item)
        length = content_length(response.headers)
        total = size if size is not None or length is None else partial.size + length
        while data := response.read(READ):
            _check(self.context, self.stop)
            partial.write(data)
            self.context.count(fetched=len(data))
            self.context.progress(name, partial.size, total)
            if size is not None and partial.size > size:
                return

    def _judge(self, response: "BaseHTTPResponse") -> None:
        """Turn the status into 'go on', _RetryLater or _GivenUp; put `partial` where the answer starts."""
        from http.client import responses

        status, partial, size = response.status, self.partial, self.item.size
        cause = (
            f"status {status} {responses.get(status, '')}".rstrip()
        )  # the server's words may repeat what it was sent
        if status == 200:
            partial.restart()
            length = content_length(response.headers)
            if size is not None and length is not None and length != size:
                raise _GivenUp(f"the server offers {length} bytes, expected {size}", corrupt=True)
        elif status == 206:
            start = response.headers.get("Content-Range", "").removeprefix("bytes").strip().partition("-")[0]
            if start != str(partial.size):
                partial.restart()
                raise _RetryLater("the server answered another range than was asked for")
        elif status == 416:
            partial.restart()
            raise _RetryLater(cause)
        elif status in (404, 410):
            raise _GivenUp(cause, gone=True)
        elif status in (401, 403, 407):
            raise _refused(self.url, cause)
        elif status in (408, 425, 429) or status >= 500:
            wait = retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait > LONGEST_WAIT:
                raise _GivenUp(f"{cause}, and asks to come back in {wait:.0f} s")
            raise _RetryLater(cause, wait)
        else:
            raise _GivenUp(cause)

    def _copy(self) -> None:
        from urllib.request import url2pathname

        partial, name = self.partial, _name(self.item)
        partial.restart()
        try:
            file = open(url2pathname(urlsplit(self.url).path), "rb")  # noqa: SIM115 - opening fails in its own way
        except FileNotFoundError:
            raise _GivenUp("no such file", gone=True) from None
        except OSError as error:
            raise _GivenUp(error.strerror or str(error)) from None
        with file:
            total = os.fstat(file.fileno()).st_size
            while data := file.read(CHUNK):
                _check(self.context, self.stop)
                partial.write(data)
                self.context.count(fetched=len(data))
                self.context.progress(name, partial.size, total)
        problem = partial.problem(self.item.size)
        if problem:
            partial.restart()
            raise _GivenUp(problem, corrupt=True)


def _refused(url: str, cause: str) -> _GivenUp:
    """What a server that wants other credentials is taken for."""
    served = connections.serving(url)
    if served is not None:
        message, hint = served.refused(cause)
        return _GivenUp(message, hint=hint)
    host = urlsplit(redact(url)).hostname
    return _GivenUp(cause, hint=f"give credentials for {host!r}, in ~/.netrc for example")


def _check(context: Fetching, stop: Event) -> None:
    if stop.is_set() or context.cancelled:
        raise Interrupted("fetching was stopped")


def _sleep(seconds: float, context: Fetching, stop: Event) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _check(context, stop)
        stop.wait(min(left, 0.1))
    _check(context, stop)


def _store_error(error: OSError, blobs: Blobs) -> Exception:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with contextlib.suppress(OSError):
            return StoreError(
                f"no space left in the store {os.path.dirname(blobs.aside)}",
                hint="free some space, run 'buildrules cache gc', or move the store with BUILDRULES_CACHE_DIR",
            )
    return StoreError(f"the store {os.path.dirname(blobs.aside)} cannot be written: {error.strerror or error}")
