"""A cache that speaks the Remote Execution API, version 2: grpc://HOST[:PORT][/INSTANCE], grpcs: with TLS.

Source: remote_execution.proto, see `remote.reapi_messages`. A record is an ActionResult: its text stands in
`stdout_raw`, and what it names is listed as `output_files`, so that a server which checks whether results are complete
keeps both or neither. The digest of the action is the record's address, of an action that there is not: servers look
at the result only. Its size is `ACTION_SIZE` always, since some servers count it as a part of the name.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import Lock
from urllib.parse import unquote, urlsplit

from buildrules.credentials.redact import redact
from buildrules.net.session import Session
from buildrules.remote import reapi_messages as forms
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, Body, RemoteError
from buildrules.remote.names import hex_key, hex_name
from buildrules.remote.rpc import CallError, Channel, check_status
from buildrules.typed import Any, NamedTuple

ACTION_SIZE = 142
SHORT = 5.0  # seconds for a record
LARGEST_BATCH = (4 << 20) - (64 << 10)  # bytes of content: gRPC takes messages of 4 MiB if nobody says otherwise
SMALL = 1 << 20  # bytes; larger content is streamed
PIECE = 1 << 20  # bytes of a message of a stream
BATCH = 10_000  # digests in a message, each of less than 100 bytes
API = "/build.bazel.remote.execution.v2"
_CAS = f"{API}.ContentAddressableStorage"
_STREAM = "/google.bytestream.ByteStream"


class Limits(NamedTuple):
    """What a server says it can: bytes in a batch, bytes of a blob (0: any), whether it takes results, and whether it
    executes."""

    batch: int = LARGEST_BATCH
    blob: int = 0
    writable: bool = True
    executes: bool = False


class Server:
    """One instance of a server. Safe for concurrent threads."""

    def __init__(self, channel: Channel, instance: str) -> None:
        self.channel = channel
        self.instance = instance
        self._limits: Limits | None = None
        self._lock = Lock()

    def ask(self, method: str, tables: tuple[Any, Any], message: dict[str, Any], **limits: Any) -> dict[str, Any]:
        """The answer to a call for this instance, after the server has been asked what it can. Raises RemoteError."""
        self.limits()
        return self.channel.ask(method, tables, {"instance_name": self.instance, **message}, **limits)

    def limits(self) -> Limits:
        """What the server can, asked once. Raises RemoteError where it cannot keep content by its SHA-256."""
        with self._lock:
            if self._limits is None:
                tables = forms.GET_CAPABILITIES, forms.CAPABILITIES
                method = f"{API}.Capabilities/GetCapabilities"
                said = self.channel.ask(method, tables, {"instance_name": self.instance}, seconds=SHORT)
                found = said["cache_capabilities"]
                if not found or forms.SHA256 not in found["digest_functions"]:
                    raise RemoteError("it is no cache of content by its SHA-256")
                batch = min(found["max_batch_total_size_bytes"] or LARGEST_BATCH, LARGEST_BATCH)
                update = found["action_cache_update_capabilities"]
                runs = said["execution_capabilities"]
                self._limits = Limits(
                    batch,
                    found["max_cas_blob_size_bytes"],
                    bool(update and update["update_enabled"]),
                    bool(runs and runs["exec_enabled"]),
                )
            return self._limits

    @property
    def known(self) -> bool:
        """Whether it has said what it can."""
        return self._limits is not None

    def name(self, *parts: str) -> str:
        """The name of a resource of ByteStream."""
        return "/".join(filter(None, (self.instance, *parts)))


class Results:
    """Records, as results of actions."""

    def __init__(self, server: Server, content: "Content") -> None:
        self._server = server
        self._content = content

    def get(self, key: str) -> bytes | None:
        """See RecordPlace."""
        message = {"action_digest": _action(key), "inline_stdout": True}
        try:
            found = self._server.ask(
                f"{API}.ActionCache/GetActionResult", (forms.GET_RESULT, forms.ACTION_RESULT), message, seconds=SHORT
            )
        except CallError as error:
            if error.code == "NOT_FOUND":
                return None
            raise
        data: bytes = found["stdout_raw"]
        apart = found["stdout_digest"]
        if not data and apart and 0 < apart["size_bytes"] <= LARGEST_RECORD:
            try:  # the server keeps long texts among its content
                data = b"".join(self._content.read(Blob(f"sha256:{apart['hash']}", apart["size_bytes"])))
            except FileNotFoundError:
                return None
        if len(data) > LARGEST_RECORD:
            raise RemoteError(f"it sent a record of {len(data)} bytes")
        return data or None

    def put(self, key: str, data: bytes, blobs: Sequence[Blob], *, replace: bool = False) -> None:
        """See RecordPlace."""
        if not self._server.limits().writable:
            raise RemoteError("it takes no records of this client", refused=True)
        if not replace and self.get(key) is not None:
            return
        files = [{"path": hex_name(blob.digest), "digest": digest_message(blob)} for blob in sorted(set(blobs))]
        result = {"output_files": files, "stdout_raw": data}
        self._server.ask(
            f"{API}.ActionCache/UpdateActionResult",
            (forms.UPDATE_RESULT, forms.ACTION_RESULT),
            {"action_digest": _action(key), "action_result": result},
            size=len(data),
        )


class Content:
    """Content, as blobs of the content-addressable storage."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def holds(self, blobs: Collection[Blob]) -> set[str]:
        """See ContentPlace."""
        answer = self._server.ask(
            f"{_CAS}/FindMissingBlobs",
            (forms.FIND_MISSING, forms.MISSING),
            {"blob_digests": [digest_message(blob) for blob in blobs]},
        )
        missing = {f"sha256:{one['hash']}" for one in answer["missing_blob_digests"]}
        return {blob.digest for blob in blobs} - missing

    def read(self, blob: Blob, offset: int = 0) -> Iterator[bytes]:
        """See ContentPlace."""
        try:
            if not offset and blob.size <= min(SMALL, self._server.limits().batch):
                yield self._small(blob)
                return
            message = {
                "resource_name": self._server.name("blobs", hex_name(blob.digest), str(blob.size)),
                "read_offset": offset,
            }
            tables = forms.READ, forms.READ_ANSWER
            for answer in self._server.channel.receive(f"{_STREAM}/Read", tables, message, size=blob.size - offset):
                yield answer["data"]
        except CallError as error:
            if error.code == "NOT_FOUND":
                raise FileNotFoundError(f"there is no {blob.digest}") from None
            raise

    def _small(self, blob: Blob) -> bytes:
        tables = forms.BATCH_READ, forms.BATCH_CONTENT
        message = {"digests": [digest_message(blob)]}
        answers = self._server.ask(f"{_CAS}/BatchReadBlobs", tables, message, size=blob.size)["responses"]
        if len(answers) != 1:
            raise RemoteError(f"it sent {len(answers)} blobs instead of one")
        check_status(answers[0]["status"])
        data: bytes = answers[0]["data"]
        return data

    def write(self, blob: Blob, body: Body) -> None:
        """See ContentPlace."""
        limits = self._server.limits()
        if limits.blob and blob.size > limits.blob:
            raise RemoteError(f"it takes blobs of {limits.blob} bytes", too_large=True)
        if blob.size <= min(SMALL, limits.batch):
            self.put({blob: b"".join(body())})
            return
        tables = forms.WRITE, forms.WRITTEN
        done = self._server.channel.send(f"{_STREAM}/Write", tables, self._pieces(blob, body), blob.size)
        if done["committed_size"] != blob.size:
            raise RemoteError(f"it kept {done['committed_size']} of {blob.size} bytes", retry=True)

    def put(self, small: Mapping[Blob, bytes]) -> None:
        """Keep contents, in few requests. Raises RemoteError."""
        batch, size, most = list[dict[str, Any]](), 0, min(SMALL, self._server.limits().batch)
        for blob, data in small.items():
            if blob.size > most:
                self.write(blob, lambda data=data: [data])  # type: ignore[misc]
                continue
            if size + blob.size > most:
                self._put(batch, size)
                batch, size = [], 0
            batch.append({"digest": digest_message(blob), "data": data})
            size += blob.size
        if batch:
            self._put(batch, size)

    def _put(self, batch: list[dict[str, Any]], size: int) -> None:
        tables = forms.BATCH_UPDATE, forms.BATCH_UPDATED
        answers = self._server.ask(f"{_CAS}/BatchUpdateBlobs", tables, {"requests": batch}, size=size)["responses"]
        for answer in answers:
            check_status(answer["status"])

    def _pieces(self, blob: Blob, body: Body) -> Iterator[dict[str, Any]]:
        """The messages that write a blob: the first one names it, the last one ends it."""
        parts = ("uploads", str(uuid.uuid4()), "blobs", hex_name(blob.digest), str(blob.size))
        name, at = self._server.name(*parts), 0
        for chunk in body():
            for start in range(0, len(chunk), PIECE):
                data = chunk[start : start + PIECE]
                last = at + len(data) >= blob.size
                yield {"resource_name": name, "write_offset": at, "data": data, "finish_write": last}
                name, at = "", at + len(data)


def open_server(url: str, session: Session, connection: str | None = None) -> Server:
    """The instance at `url`, whose path is its name. Raises UsageError, CredentialsError."""
    return Server(Channel(url, session, connection), unquote(urlsplit(url).path).strip("/"))


def open_place(url: str, session: Session, connection: str | None = None) -> Backend:
    """The place at `url`. Raises UsageError, CredentialsError."""
    return place_of(redact(url), open_server(url, session, connection))


def place_of(url: str, server: Server) -> Backend:
    """What a server keeps; `url` is without credentials."""
    content = Content(server)
    return Backend(url, Results(server, content), content, batch=BATCH, close=server.channel.close)


def digest_message(blob: Blob) -> dict[str, Any]:
    return {"hash": hex_name(blob.digest), "size_bytes": blob.size}


def _action(key: str) -> dict[str, Any]:
    return {"hash": hex_key(key), "size_bytes": ACTION_SIZE}
