"""A registry of images as a cache: oci://HOST[:PORT]/REPOSITORY.

Content is a blob, so that layers are where they can be mounted from when an image is pushed (`mount_source`). A record
is a plain image manifest with the tag `br-ac-<key>`: its layers are what the record names, so that a registry's garbage
collection keeps them, and the record stands in an annotation, in base64. The configuration is one for all, of an image
without content: registries that look at manifests know its type.

Sources: OCI distribution specification 1.1, OCI image specification 1.1 (manifest, annotations).
"""

import base64
import binascii
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from threading import Lock
from urllib.parse import urlsplit

from buildrules.credentials.redact import redact
from buildrules.document.plain_json import read_json
from buildrules.errors import BuildrulesError, Interrupted, UsageError
from buildrules.net.session import Session
from buildrules.oci.auth import Credentials, credentials_for, endpoint
from buildrules.oci.descriptor import CONFIG, LAYER_TAR, MANIFEST, OCI_LAYER_TYPES, is_digest, is_size
from buildrules.oci.names import HOST, PATH
from buildrules.oci.registry import Registry
from buildrules.oci.transport import AnswerError, Transport
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, Entry, RemoteError
from buildrules.remote.names import hex_key, hex_name, is_key
from buildrules.sha256 import digest_of
from buildrules.store.records import canonical
from buildrules.typed import Any, TypeVar

T = TypeVar("T")

CONNECT = 3.0  # seconds
IDLE = 30.0  # seconds without a byte of content
SHORT = 5.0  # seconds for all of a record

TAG = "br-ac-"
RECORD = "dev.buildrules.cache.record"
_KEY = "dev.buildrules.cache.key"  # so that no two records are one manifest, which can only be removed as one
CREATED = "org.opencontainers.image.created"
_CONFIG = canonical({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
_LOST = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")


def open_place(url: str, session: Session, connection: str | None = None) -> Backend:
    """The place at `url`; what it says of a login is `connection`'s, else as for images. Raises UsageError,
    CredentialsError.
    """
    host, repository = address_of(url)
    plain = None
    if connection is None:
        credentials = credentials_for(host, session.connections, repository=repository)
        found = session.connections.serving_registry(host, repository)
    else:
        found = session.connections.named(connection)
        login = found.login()
        credentials = Credentials(login.name, login.secret) if login else Credentials()
    if found is not None and found.plain_http:
        plain = True
    api, name = endpoint(host, repository)
    limits = {"connect": CONNECT, "idle": IDLE}
    transport = Transport(
        api, credentials, plain_http=plain, client=session.client, tries=1, limits=limits, short=SHORT
    )
    registry = Registry(api, name, transport=transport)
    records = Manifests(registry)
    return Backend(redact(url), records, Layers(registry), records)


def address_of(url: str) -> tuple[str, str]:
    """Host and repository of an address. Raises UsageError."""
    parts = urlsplit(url)
    host, repository = parts.netloc, parts.path.strip("/")
    if not HOST.fullmatch(host) or not PATH.fullmatch(repository) or parts.query or parts.fragment:
        raise UsageError(
            f"{redact(url)!r} is not the address of a repository", hint="write oci://HOST[:PORT]/REPOSITORY"
        )
    return host, repository


def mount_source(url: str) -> str | None:
    """The repository, `host/name`, whose blobs can be mounted in others of its registry; None for other caches, and
    for an address that is none: whoever opens it says so.
    """
    try:
        return "/".join(address_of(url)) if url.startswith("oci:") else None
    except (UsageError, ValueError):
        return None


class Manifests:
    """Records, as manifests with a tag each. Also the shelf: registries list tags, and remove blobs by themselves."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._configured = False

    def get(self, key: str) -> bytes | None:
        """See RecordPlace."""
        data = _record(self._manifest(key))
        if data is not None and len(data) > LARGEST_RECORD:
            raise RemoteError(f"it sent a record of {len(data)} bytes")
        return data

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """See RecordPlace. A record stays only where all it names is there."""
        hex_key(key)
        if not replace and self._whole(self._manifest(key)):
            return
        manifest = canonical(_manifest_of(key, data, blobs))
        self._configure()
        try:
            _asked(self._registry.put_manifest, manifest, MANIFEST, TAG + hex_key(key))
        except RemoteError as error:
            cause = error.__cause__
            if not isinstance(cause, AnswerError) or cause.code not in _LOST:
                raise
            with self._lock:
                self._configured = False  # it may have been collected as garbage
            self._configure()
            _asked(self._registry.put_manifest, manifest, MANIFEST, TAG + hex_key(key))

    def entries(self) -> Iterator[Entry]:
        """See Shelf. A request for each record; content is what records name, and as old as the newest of them. Where
        they do not agree on a size the registry is asked.

        Where images are in the same repository no content is listed: they may be made of it.
        """
        content: dict[str, tuple[int | None, float]] = {}
        tags = _asked(lambda: list(self._registry.tags()))
        own = [tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)]
        for key in own:
            manifest = self._manifest(key) if is_key(key) else None
            record = _record(manifest)
            if manifest is None or record is None:
                continue
            written = _time(manifest["annotations"].get(CREATED))
            for digest, size in _layers(manifest).items():
                said, newest = content.get(digest, (size, 0.0))
                content[digest] = size if said == size else None, max(written, newest)
            yield Entry("record", key, len(record), written)
        for digest, (agreed, written) in content.items() if len(own) == len(tags) else ():
            found = _asked(self._registry.blob_size, digest) if agreed is None else agreed
            if found is not None:
                yield Entry("content", digest, found, written)

    def remove(self, entry: Entry) -> None:
        """See Shelf. What no record names any more is also removed by the registry's own collection of garbage."""
        if entry.kind != "record":
            _asked(self._registry.remove_blob, f"sha256:{hex_name(entry.name)}")
            return
        digest = _asked(self._registry.manifest_digest, TAG + hex_key(entry.name))
        if digest is not None:
            _asked(self._registry.remove_manifest, digest)

    def _manifest(self, key: str) -> dict[str, Any] | None:
        """The manifest of a key; None where there is none, or it is nothing of ours. Raises RemoteError."""
        tag = TAG + hex_key(key)
        try:
            found = self._registry.manifest(tag)
            manifest = read_json(found.data)
            ours = isinstance(manifest["annotations"][RECORD], str) and isinstance(manifest["layers"], list)
        except AnswerError as error:
            if error.status == 404:
                return None
            raise _failure(error) from error
        except BuildrulesError as error:
            raise _failure(error) from error
        except (ValueError, KeyError, TypeError):
            return None
        return manifest if ours else None

    def _whole(self, manifest: dict[str, Any] | None) -> bool:
        """Whether a manifest has a record, and the repository all that it names."""
        data = _record(manifest)
        if data is None or len(data) > LARGEST_RECORD or manifest is None:
            return False
        return all(_asked(self._registry.blob_size, digest) == size for digest, size in _layers(manifest).items())

    def _configure(self) -> None:
        """Have the configuration that all records share in the repository."""
        with self._lock:
            if not self._configured:
                digest, size = digest_of(_CONFIG), len(_CONFIG)
                if _asked(self._registry.blob_size, digest) != size:
                    _asked(self._registry.upload, digest, size, lambda: [_CONFIG])
                self._configured = True


class Layers:
    """Content, as blobs of a repository."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See ContentPlace."""
        sizes = {blob: _asked(self._registry.blob_size, f"sha256:{hex_name(blob.digest)}") for blob in blobs}
        return {blob.digest for blob, size in sizes.items() if size == blob.size}

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See ContentPlace."""
        hex_name(blob.digest)
        try:
            if offset < blob.size:
                yield from self._registry.read(blob.digest, offset)
        except AnswerError as error:
            if error.status == 404:
                raise FileNotFoundError(f"there is no {blob.digest}") from None
            raise _failure(error) from error
        except BuildrulesError as error:
            raise _failure(error) from error

    def write(self, blob: Blob, body: Body) -> None:
        """See ContentPlace."""
        hex_name(blob.digest)
        _asked(self._registry.upload, blob.digest, blob.size, body)


def _manifest_of(key: str, record: bytes, blobs: Sequence[Blob]) -> dict[str, Any]:
    """The manifest for a record that names `blobs`; the configuration is its layer where it names none, since
    registries expect one."""
    types = _media_types(record)
    layers = [
        {"mediaType": types.get(blob.digest, LAYER_TAR), "digest": blob.digest, "size": blob.size}
        for blob in dict.fromkeys(blobs)
    ]
    config = {"mediaType": CONFIG, "digest": digest_of(_CONFIG), "size": len(_CONFIG)}
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers or [{**config, "mediaType": LAYER_TAR}],
        "annotations": {
            _KEY: key,
            RECORD: base64.b64encode(record).decode(),
            CREATED: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    }


def _record(manifest: dict[str, Any] | None) -> bytes | None:
    """The record in a manifest, however long; None where there is none."""
    if manifest is None:
        return None
    try:
        return base64.b64decode(manifest["annotations"][RECORD], validate=True)
    except (ValueError, binascii.Error):
        return None


def _layers(manifest: dict[str, Any]) -> dict[str, int]:
    """The sizes of a manifest's layers by their digests, but for the configuration; {} where they make no sense."""
    try:
        found = {layer["digest"]: layer["size"] for layer in manifest["layers"]}
    except (KeyError, TypeError):
        return {}
    sensible = all(is_digest(digest) and is_size(size) for digest, size in found.items())
    found.pop(digest_of(_CONFIG), None)
    return found if sensible else {}


def _media_types(record: bytes) -> dict[str, str]:
    """The media types that a record gives to layers, by digest."""
    found: dict[str, str] = {}
    try:
        left = [read_json(record)]
    except ValueError:
        return found
    while left:
        value = left.pop()
        if isinstance(value, dict):
            digest, name = value.get("digest"), value.get("media_type")
            if isinstance(digest, str) and name in OCI_LAYER_TYPES:
                found[digest] = name
            left += value.values()
        elif isinstance(value, list):
            left += value
    return found


def _time(text: Any) -> float:
    """Unix time of a date (RFC 3339); 0.0 where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _asked(ask: Callable[..., T], *arguments: Any) -> T:
    """What `ask` gives. Raises RemoteError for what it raises of ours."""
    try:
        return ask(*arguments)
    except Interrupted:
        raise
    except BuildrulesError as error:
        raise _failure(error) from error


def _failure(error: BuildrulesError) -> RemoteError:
    """What an error of the client of registries means."""
    if not isinstance(error, AnswerError):
        return RemoteError(error.message)
    return RemoteError(
        error.message,
        retry=error.retry or error.code in ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"),
        wait=error.wait,
        refused=error.status in (401, 403, 405),
        too_large=error.status == 413,
    )
