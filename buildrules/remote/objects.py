"""Stores of objects, by obstore: `s3://bucket/path`, `gs://bucket/path`, `az://account/container/path`.

Objects are called as in `remote.names`. What is small is written with the condition that nothing is there yet, what is
large in parts, of which nobody sees anything before the last; S3 checks a sha256 of both. Keys and endpoint come from
the connection, or from where obstore finds them: the provider's usual variables, the machine's or the job's identity.

obstore follows redirects. The signature does not go along, but a session token of temporary keys does: it is of no use
without the secret key, which is never sent.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from buildrules.credentials.address import is_open
from buildrules.credentials.redact import redact
from buildrules.errors import CredentialsError, UsageError
from buildrules.net.session import Session
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.names import CONTENT, RECORDS, content_path, named, record_path

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CONNECT = 3.0  # seconds
IDLE = 30.0  # seconds without a byte of content
SHORT = 5.0  # seconds for all of a record
LONG = 86400.0  # seconds for all of what `IDLE` watches over
PART = 8 << 20  # bytes; what is longer is sent in parts
PARTS = 9000  # at most; S3 takes 10,000
CHUNK = 1 << 20
_AGAIN = 2  # attempts at a part, besides the first: the whole need not be sent again
_STATUS = re.compile(r"status code: (\d{3})")
_RETRY = (408, 425, 429)


def open_place(url: str, session: Session, connection: str | None) -> Backend:
    """See `remote.opening.open_backend`."""
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"{redact(url)!r} is not the address of a bucket", hint="write s3://BUCKET/PATH")
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise UsageError(
            f"a cache at {parts.scheme}:// needs obstore, which is not installed",
            hint="pip install 'buildrules[s3]'",
        ) from None
    place = Objects(url.rstrip("/"), *_access(parts.scheme, session, connection))
    return Backend(redact(url), place, place, place)


class Objects:
    """The records and content below `url`. Safe for concurrent threads."""

    def __init__(self, url: str, config: dict[str, str], client: dict[str, Any]) -> None:
        from obstore.store import from_url

        def opened(seconds: float, retries: int) -> "ObjectStore":
            options: Any = {**client, "timeout": timedelta(seconds=seconds)}
            longest = timedelta(seconds=LONG)
            retry: Any = {"max_retries": retries, "retry_timeout": longest}
            settings: Any = config
            return from_url(url, config=settings, client_options=options, retry_config=retry)

        self._url = url
        try:
            self._short, self._long, self._parts = opened(SHORT, 0), opened(LONG, 0), opened(LONG, _AGAIN)
        except Exception as error:  # noqa: BLE001 - errors of obstore may quote what it was given
            raise UsageError(
                f"{redact(url)!r} cannot be opened with these settings: {type(error).__name__}",
                hint="see that the bucket's name, AWS_ENDPOINT_URL and the keys are right",
            ) from None

    def get(self, key: str) -> bytes | None:
        """See `RecordPlace.get`."""
        import obstore

        path = record_path(key)
        try:
            found = obstore.get(self._short, path)
            if found.meta["size"] > LARGEST_RECORD:
                raise RemoteError(f"a record of more than {LARGEST_RECORD} bytes")
            return bytes(found.bytes())
        except FileNotFoundError as error:
            self._there(error)
            return None
        except obstore.exceptions.BaseError as error:
            self._raise(error)

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """See `RecordPlace.put`."""
        self._put(self._short, record_path(key), data, "overwrite" if replace else "create")

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See `ContentPlace.holds`."""
        return {blob.digest for blob in blobs if self._size(content_path(blob.digest)) == blob.size}

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See `ContentPlace.read`."""
        import obstore

        options: Any = {"range": {"offset": offset}} if offset else None
        try:
            for run in obstore.get(self._long, content_path(blob.digest), options=options).stream(CHUNK):
                yield bytes(run)
        except FileNotFoundError as error:
            self._there(error)
            raise FileNotFoundError(blob.digest) from None
        except obstore.exceptions.BaseError as error:
            self._raise(error)

    def write(self, blob: Blob, body: Body) -> None:
        """See `ContentPlace.write`."""
        path = content_path(blob.digest)
        if blob.size > PART:
            self._put(self._parts, path, iter(body()), "overwrite", max(PART, blob.size // PARTS))
            return
        data = b"".join(body())
        if not self._put(self._long, path, data, "create") and self._size(path) != blob.size:
            self._put(self._long, path, data, "overwrite")

    def entries(self) -> Iterator[Entry]:
        """See `Shelf.entries`."""
        import obstore

        try:
            for top in (RECORDS, CONTENT):
                for run in obstore.list(self._long, top):
                    for row in run:
                        found = named(row["path"])
                        if found is not None:
                            yield Entry(*found, row["size"], row["last_modified"].timestamp())
        except (obstore.exceptions.BaseError, FileNotFoundError) as error:
            self._raise(error)

    def remove(self, entry: Entry) -> None:
        """See `Shelf.remove`."""
        import obstore

        path = record_path(entry.name) if entry.kind == "record" else content_path(entry.name)
        try:
            obstore.delete(self._short, path)
        except FileNotFoundError:
            pass
        except obstore.exceptions.BaseError as error:
            self._raise(error)

    def _size(self, path: str) -> int | None:
        """The size of an object, in bytes; None where there is none."""
        import obstore

        try:
            return obstore.head(self._short, path)["size"]
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            self._raise(error)

    def _put(self, store: "ObjectStore", path: str, data: Any, mode: Any, part: int = PART) -> bool:
        """Write an object; whether that was done, and nothing was there. Raises RemoteError."""
        import obstore

        several = not isinstance(data, bytes)
        try:
            obstore.put(store, path, data, mode=mode, use_multipart=several, chunk_size=part, max_concurrency=4)
        except obstore.exceptions.AlreadyExistsError:
            return False
        except (obstore.exceptions.BaseError, FileNotFoundError) as error:
            self._raise(error)
        return True

    def _there(self, error: FileNotFoundError) -> None:
        """Raise RemoteError where not the object is missing, but the bucket."""
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            self._raise(error)

    def _raise(self, error: Exception) -> NoReturn:
        """The error in our words: obstore's hold addresses with what signs them, and the server's words."""
        from obstore import exceptions

        shown = redact(self._url)
        if isinstance(error, FileNotFoundError):
            raise RemoteError(f"there is no {shown}: make the bucket, or mend the address", refused=True) from None
        refused = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        found = _STATUS.search(str(error))
        if found is None:
            text = f"{shown} cannot be reached, or broke off"
            raise RemoteError(text, retry="builder error" not in str(error), refused=refused) from None
        status = int(found[1])
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        text = f"{shown} answered {status} {phrase}".rstrip()
        retry = status in _RETRY or status >= 500
        raise RemoteError(text, retry=retry, refused=refused, too_large=status == 413) from None


def _access(scheme: str, session: Session, name: str | None) -> tuple[dict[str, str], dict[str, Any]]:
    """(settings, options of the client) that obstore takes. Raises CredentialsError, UsageError."""
    config = {"checksum_algorithm": "SHA256"} if scheme == "s3" else {}
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=CONNECT),
        "read_timeout": timedelta(seconds=IDLE),
        "user_agent": "buildrules",
    }
    file, _ = session.connections.certificates()
    if file is not None:
        client["root_certificate"] = Path(file).read_bytes()
    connection = None if name is None else session.connections.named(name)
    if connection is not None and connection.target.startswith(("http://", "https://")):
        config["endpoint"] = connection.target
    endpoint = config.get("endpoint") or _endpoint(scheme)
    if endpoint and is_open(endpoint) and not (connection is not None and connection.plain_http):
        raise CredentialsError(
            f"the cache's credentials would be sent unencrypted, to {redact(endpoint)}",
            hint="use https, or a connection for the cache that says plain_http: true",
        )
    client["allow_http"] = endpoint is not None and endpoint.startswith("http://")
    login = None if connection is None else connection.login()
    if login is None:
        if connection is not None:
            config["skip_signature"] = "true"
        return config, client
    if scheme == "s3" and login.kind == "keys":
        config |= {"access_key_id": login.name, "secret_access_key": login.secret}
        if login.session:
            config["session_token"] = login.session
        return config, client
    if scheme == "az":  # obstore sends the address with its sas along where it is redirected
        hint = "write the cache's address as https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH"
    else:
        hint = "use a connection of type s3 with an access_key, or the provider's usual variables"
    raise UsageError(f"connection {name!r} cannot open {scheme}://", hint=hint)


def _endpoint(scheme: str) -> str | None:
    """The endpoint that the environment names."""
    import os

    from buildrules.start.s3 import surroundings

    return surroundings(os.environ).get("endpoint") if scheme == "s3" else None
