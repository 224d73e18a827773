"""What resolving and fetching a model may use: a context, a connection's credentials, and the options of the target."""

import errno
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildrules.actions.models.connection import connection_of, scope
from buildrules.actions.models.file import File
from buildrules.credentials.connections import Connection
from buildrules.errors import BuildrulesError, FetchError, IntegrityError, Interrupted, Position
from buildrules.net.download import Stop, bring, error_of, side_by_side
from buildrules.net.session import Fetching
from buildrules.start import failure as reasons
from buildrules.start.archive import Content, members
from buildrules.start.failure import Failure
from buildrules.start.parts import streams
from buildrules.start.retry import retrying
from buildrules.start.sources import advice, locate
from buildrules.start.transfer import PATIENCE
from buildrules.store.blobs import CHUNK

PARALLEL = 8  # requests for files
TRIES = 4
FILE_TRIES = 5
MOVED = "it was moved or removed: put it back, or give its new address and run 'buildrules lock'"


@dataclass(slots=True)
class Access:
    """`connection` is the one the target names; otherwise the one whose target leads to the source is used.

    `digest` (`sha256:<hex>`), `unpack` and `tracking_uri` are what the target says; `name` is the model's. `target` is
    the address of the connection that serves the uri; with `anonymous` it wants no credentials, with `plain_http` a
    registry speaks http. `known` are the files of the lock there is, whose digests need not be found out again,
    `wanted` the globs of those that the target wants of a repository, with their places; all, where there are none.
    `excluded` are the globs of those that it leaves out of what is locked.
    `credentials` are roles (see `start.sources`) for all sources, instead of a connection's.
    """

    context: Fetching
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    name: str = "model"
    connection: str | None = None
    digest: str | None = None
    unpack: bool = False
    tracking_uri: str | None = None
    target: str | None = None
    anonymous: bool = False
    plain_http: bool = False
    known: Sequence[File] = ()
    wanted: Mapping[str, Position | None] = field(default_factory=dict)
    excluded: Mapping[str, Position | None] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    _armed: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def armed(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """`source` with the roles of its credentials; `environ` has them afterwards. Raises CredentialsError."""
        key = repr(sorted(source.items()))
        with self._lock:
            if key not in self._armed:
                self._armed[key] = self._credentials(source)
        return {**source, **self._armed[key]}

    def _connection_of(self, source: Mapping[str, Any]) -> Connection | None:
        return connection_of(source, self.connection, self.context.session.connections, self.environ)

    def _credentials(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """`credentials` and `within` of a source, as far as it has them."""
        if self.credentials:
            return {"credentials": dict(self.credentials)}
        connection = self._connection_of(source)
        if connection is not None:
            self.environ.update(connection.environ())
            roles = connection.roles()
            return {"credentials": roles, **scope(source, connection, self.environ)} if roles else {}
        if source.get("kind") == "oci":
            from buildrules.oci.auth import credentials_for

            found = credentials_for(
                source["registry"], self.context.session.connections, repository=source["repository"]
            )
            if found.username and found.password:
                self.environ["BUILDRULES_DOCKER_LOGIN"] = found.password
                roles = {"username": f"={found.username}", "password": "BUILDRULES_DOCKER_LOGIN"}
                return {"credentials": roles}
        return {}

    def locate(self, armed: Mapping[str, Any], file: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        """Url and headers of a file of a source that `armed` gave."""
        return locate(armed, file, self.environ, self.context.session.client)

    def ask(self, source: Mapping[str, Any], where: Callable[[dict[str, Any]], tuple[str, dict[str, str]]]) -> bytes:
        """A small answer, with retries. `where` gets the source with credentials and gives url and headers."""
        return self.answer(source, where)[1]

    def answer(
        self,
        source: Mapping[str, Any],
        where: Callable[[dict[str, Any]], tuple[str, dict[str, str]]],
        method: str = "GET",
    ) -> tuple[Mapping[str, str], bytes]:
        """(headers, body) of a small answer, as `ask` gets it."""

        def attempt() -> tuple[int, Mapping[str, str], bytes]:
            armed = self.armed(source)
            return self.context.session.client.ask(*where(armed), method=method, within=armed.get("within"))

        try:
            _, headers, body = retrying(attempt, TRIES, Stop(self.context).pause)
        except Failure as failure:
            raise self.error(failure, source) from None
        return headers, body

    def take(
        self, source: Mapping[str, Any], file: Mapping[str, Any], stop: Stop | None = None, streams: int = PARALLEL
    ) -> tuple[int, str]:
        """Have a file in the store; gives its size and sha256 (hex).

        `file` has `path`, `key` where the source calls it otherwise, and `size` and `sha256` where they are known. One
        that is there already is read, since a lock is made from it or other files are taken out of it.
        """
        blobs, client = self.context.blobs, self.context.session.client
        size, sha256 = file.get("size"), file.get("sha256")
        if sha256 and blobs.has(f"sha256:{sha256}", size) and blobs.heal(f"sha256:{sha256}"):
            return os.stat(blobs.path(f"sha256:{sha256}")).st_size, sha256
        armed = self.armed(source)
        try:
            return bring(
                lambda url, headers, extra: client.request(url, headers, extra, within=armed.get("within")),
                lambda: self.locate(armed, file),
                self.context,
                f"{self.name}/{file['path']}",
                sha256=sha256,
                size=size,
                tries=FILE_TRIES,
                stop=stop,
                source="model store",
                streams=streams,
            )
        except Failure as failure:
            raise self.error(failure, source, file["path"]) from None

    def take_all(self, source: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
        """`take` for many files at once, in their order. Raises the first error after the others have ended."""
        each = streams([file.get("size") or 0 for file in files], PARALLEL)
        return side_by_side(lambda file, stop: self.take(source, file, stop, each), files, self.context, PARALLEL)

    def files(self, source: Mapping[str, Any], keys: Mapping[str, str | None]) -> list[File]:
        """Files whose digests nobody knows yet, fetched into the store.

        `keys` maps a file's path to what the source calls it, None where that is the path.
        """
        rows = [{"path": path, "key": key} if key else {"path": path} for path, key in keys.items()]
        found = self.take_all(source, rows)
        return [File(path, *what, key) for (path, key), what in zip(keys.items(), found, strict=True)]

    def unpacked(self, archive: File, wanted: Callable[[str], bool] = lambda _: True) -> list[File]:
        """The files of an archive that is in the store, each put into the store as well."""
        found: dict[str, File] = {}
        try:
            path = self.context.blobs.checked(f"sha256:{archive.sha256}")
            for name, size, content in members(path, archive.path, wanted):
                sha256 = self._keep(content, size, f"{archive.path}: {name}")
                found[name] = File(name, size, sha256, name, archive.sha256)
        except Failure as failure:
            raise self.error(failure, {}, archive.path) from None
        return list(found.values())

    def _keep(self, content: Content, size: int, what: str) -> str:
        with self.context.blobs.writer() as file:
            found = os.statvfs(self.context.blobs.tmp)
            if found.f_bavail * found.f_frsize < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            while file.size <= size and (data := content.read(CHUNK)):
                if self.context.cancelled:
                    raise Interrupted("unpacking was stopped")
                file.write(data)
                self.context.progress(what, file.size, size)
            if file.size != size:
                raise IntegrityError(f"{what!r} does not have the {size} bytes that its archive says")
        return file.digest.removeprefix("sha256:")

    def error(self, failure: Failure, source: Mapping[str, Any], path: str | None = None) -> BuildrulesError:
        """The error a failure of `start` is here."""
        what = f"{self.name!r}" if path is None else f"{path!r} of {self.name!r}"
        text = f"could not fetch {what}: {failure.text}"
        if failure.reason == reasons.REFUSED:
            return self._refused(text, failure, source)
        error = error_of(failure, text, self.context.blobs)
        if failure.reason == reasons.MISSING:
            error.hint = error.hint or MOVED
        hub = failure.reason == reasons.UNREACHABLE and source.get("kind") == "huggingface"
        if hub and error.hint in (None, PATIENCE):
            error.hint = f"{PATIENCE}; or name a mirror of the hub in HF_ENDPOINT, or in a connection"
        return error

    def _refused(self, text: str, failure: Failure, source: Mapping[str, Any]) -> FetchError:
        connection = self._connection_of(source)
        if connection is None:
            return FetchError(text, hint=advice(source, self.environ, failure.hint))
        _, hint = connection.refused("")
        return FetchError(f"{text} (with the connection {connection.name!r})", hint=failure.hint or hint)
