"""Bazel's HTTP cache: `http(s)://host/path`, with records at `<path>/ac/<64 hex>` and content at `<path>/cas/<64 hex>`.

Source: bazel.build/remote/caching#http-caching-protocol. Any server of files that takes PUT will do, such as nginx with
its dav module. Such a server checks no digest, and may keep the newest of two records. A container of Azure's Blob
Storage is one as well, with a shared access signature (learn.microsoft.com, "Put Blob").
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from buildrules.credentials.address import is_open
from buildrules.credentials.login import Login
from buildrules.credentials.redact import redact
from buildrules.errors import CredentialsError, UsageError
from buildrules.net.client import Answer
from buildrules.net.session import Session
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, RemoteError
from buildrules.remote.names import hex_key, hex_name
from buildrules.start.failure import REFUSED, Failure
from buildrules.start.header import content_length, content_range
from buildrules.start.web import Prepare, failure_of, origin

CONNECT = 3.0  # seconds
IDLE = 30.0  # seconds without a byte of content
SHORT = 5.0  # seconds for all of a record
CHUNK = 1 << 20
_THERE = (200, 206)
_MISSING = (404, 410)
_NO_HEAD = (405, 501)
_AZURE = {"azure_blob": {"x-ms-blob-type": "BlockBlob"}}
"""What has to be said with what is written, by type of connection."""
_DONE = (200, 201, 202, 204)


def open_place(url: str, session: Session, connection: str | None) -> Backend:
    """See `remote.opening.open_backend`."""
    if urlsplit(url).query or urlsplit(url).fragment:
        raise UsageError(f"{redact(url)!r} cannot have a query", hint="declare its login under workspace.connections")
    place = HttpPlace(url.rstrip("/"), session, connection)
    return Backend(redact(url), place, place)


class HttpPlace:
    """The records and content below `url`. Safe for concurrent threads."""

    def __init__(self, url: str, session: Session, connection: str | None) -> None:
        self._url = url
        self._session = session
        self._connection = connection
        self._login = None if connection is None else lambda hop: _login(session, connection, hop)
        self._heads = True  # whether the server knows HEAD
        self._lacking: CredentialsError | None = None  # why reads are anonymous

    def get(self, key: str) -> bytes | None:
        """See `RecordPlace.get`."""
        end = time.monotonic() + SHORT
        answer = self._ask("GET", f"/ac/{hex_key(key)}", idle=SHORT)
        with _Reading(answer):
            if answer.status in _MISSING:
                return None
            if answer.status != 200:
                raise self._error(answer)
            data = b""
            while len(data) <= LARGEST_RECORD and (run := answer.some(CHUNK)):
                data += run
                if time.monotonic() > end:
                    raise RemoteError(f"a record took more than {SHORT:.0f} seconds", retry=True)
            return data

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """See `RecordPlace.put`."""
        path, only = f"/ac/{hex_key(key)}", {} if replace else {"If-None-Match": "*"}
        self._put(path, data, len(data), only, idle=SHORT)

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See `ContentPlace.holds`. Where the server does not know HEAD everything is taken to be missing."""
        return {blob.digest for blob in blobs if self._is_there(f"/cas/{hex_name(blob.digest)}", blob.size)}

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See `ContentPlace.read`. A server that ignores Range sends what comes before once more."""
        extra = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._ask("GET", f"/cas/{hex_name(blob.digest)}", extra)
        with _Reading(answer):
            if answer.status in _MISSING:
                raise FileNotFoundError(blob.digest)
            if answer.status not in _THERE:
                raise self._error(answer)
            start = (content_range(answer.headers) or (0,))[0] if answer.status == 206 else 0
            if start > offset:
                raise RemoteError(f"it sent bytes from {start} on instead of {offset}")
            while run := answer.some(CHUNK):
                rest = run[max(0, offset - start) :]
                start += len(run)
                if rest:
                    yield rest

    def write(self, blob: Blob, body: Body) -> None:
        """See `ContentPlace.write`."""
        self._put(f"/cas/{hex_name(blob.digest)}", body(), blob.size, {})

    def _put(self, path: str, body: Any, size: int, extra: Mapping[str, str], **more: Any) -> None:
        kind = self._session.connections.named(self._connection).type if self._connection else ""
        answer = self._ask("PUT", path, {**extra, **_AZURE.get(kind, {})}, body=body, size=size, **more)
        with _Reading(answer):
            if answer.status in _DONE or answer.status == 412:  # somebody else was faster
                return
            if answer.status == 409:  # the same, or a folder that is missing
                kept = size if path.startswith("/cas/") else None  # a record may be somebody else's
                if self._is_there(path, kept):
                    return
            raise self._error(answer)

    def _is_there(self, path: str, size: int | None) -> bool:
        """Whether something is there, of `size` bytes where that is given. Raises RemoteError."""
        if not self._heads:
            return False
        answer = self._ask("HEAD", path, idle=SHORT)
        with _Reading(answer):
            if answer.status in _NO_HEAD:
                self._heads = False
            if answer.status in (*_MISSING, *_NO_HEAD):
                return False
            if answer.status != 200:
                raise self._error(answer)
            return size is None or content_length(answer.headers) in (None, size)

    def _ask(self, method: str, path: str, extra: Mapping[str, str] | None = None, **more: Any) -> Answer:
        """One request. Raises RemoteError where there is no answer, CredentialsError."""
        anonymous = self._lacking is not None and method != "PUT"
        login = _anonymous if anonymous else self._login
        try:
            clean, prepare = self._session.client.prepared(self._url + path, extra, login)
            limits = {"connect": CONNECT, "idle": IDLE, **more}
            prepare = self._careful(prepare, anonymous=anonymous)
            found: Answer = self._session.client.follow(clean, prepare, method=method, **limits)
            return found
        except CredentialsError as error:  # many a cache is read by all, and written by few
            if method == "PUT":
                raise
            self._lacking = error
            return self._ask(method, path, extra, **more)
        except Failure as failure:
            raise _as_remote(failure) from None

    def _careful(self, prepare: Prepare, *, anonymous: bool) -> Prepare:
        """What to send, without a login that can be read on the way: for `anonymous` none, else it is an error."""

        def prepared(hop: str) -> tuple[str, dict[str, str]]:
            target, sent = prepare(hop)
            if "Authorization" in sent and is_open(hop) and not self._plain(hop):
                if not anonymous:
                    raise CredentialsError(
                        f"a login would be sent unencrypted, to {redact(hop)}",
                        hint="use https, or say plain_http: true in a connection of workspace.connections",
                    )
                sent = {name: value for name, value in sent.items() if name != "Authorization"}
            return target, sent

        return prepared

    def _plain(self, hop: str) -> bool:
        """Whether the workspace has a login sent to an address that others can read."""
        connections = self._session.connections
        if self._connection is not None and origin(hop) == origin(self._url):
            return connections.named(self._connection).plain_http
        found = connections.serving(hop)
        return found is not None and found.plain_http

    def _error(self, answer: Answer) -> RemoteError:
        """The error that an answer stands for. Its words may be the server's."""
        failure = failure_of(answer, redact(self._url))
        if failure.reason == REFUSED and self._lacking is not None:
            raise self._lacking
        if answer.status == 405:  # a server that only gives
            return RemoteError(failure.text, refused=True)
        return _as_remote(failure, too_large=answer.status == 413)


class _Reading:
    """Closes an answer, and says in our words what breaks while it is read."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._answer.close()
        else:
            self._answer.abandon()
        if isinstance(error, Failure):
            raise _as_remote(error) from None


def _anonymous(_url: str) -> None:
    """Nobody's login."""


def _login(session: Session, connection: str, url: str) -> Login | None:
    """The login of the connection that the cache names. Raises CredentialsError."""
    found = session.connections.named(connection)
    if found.kind != "none" and is_open(url) and not found.plain_http:
        raise CredentialsError(
            f"connection {connection!r} would send its credentials unencrypted, to {redact(url)}",
            hint=f"use https, or say plain_http: true in workspace.connections.{connection}",
        )
    return found.login()


def _as_remote(failure: Failure, *, too_large: bool = False) -> RemoteError:
    text = failure.text + (f" ({failure.hint})" if failure.hint else "")
    refused = failure.reason == REFUSED
    return RemoteError(text, retry=failure.retry, wait=failure.wait, refused=refused, too_large=too_large)
