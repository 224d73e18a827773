"""What a Docker Engine is asked and answers, whichever way it is reached.

Importing the Docker SDK takes 110 to 190 ms, and a code edit is to be in the engine within 0.2 s: so the local socket,
which nearly everybody uses, is spoken to without it (`docker_socket`). TCP with TLS, SSH and Windows pipes are the
SDK's. Paths carry no version: the engine answers in its newest API, so nothing has to be negotiated. API: docs of moby,
"Docker Engine API".
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from buildrules.errors import DockerError

QUICK_SECONDS = 60.0
"""How long an ordinary request may take. Loads, logs and waits have no limit: a dead engine closes them."""


class Reply:
    """An answer whose body is read as it comes. Use as a context manager."""

    def __init__(self, status: int, body: Any, engine: str, connection: Any = None) -> None:
        self.status = status
        self._body = body
        self._engine = engine
        self._connection = connection

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that is left by default; empty at the end. Raises DockerError."""
        try:
            data: bytes = self._body.read() if size < 0 else self._body.read(size)
        except _failures() as error:
            raise DockerError(f"{self._engine} broke off its answer: {reason_of(error)}") from error
        return data

    def lines(self) -> Iterator[bytes]:
        """The body line by line, as it comes. Raises DockerError."""
        rest = b""
        while chunk := self._some():
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def _some(self) -> bytes:
        reader = getattr(self._body, "read1", None)
        if reader is None:
            return self.read(1 << 12)
        try:
            data: bytes = reader(1 << 16)
        except _failures() as error:
            raise DockerError(f"{self._engine} broke off its answer: {reason_of(error)}") from error
        return data

    def close(self) -> None:
        """Give the connection up."""
        self._body.close()
        if self._connection is not None:
            self._connection.close()

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Transport(Protocol):
    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        timeout: float | None,
    ) -> Reply: ...


class Engine:
    """One Docker Engine, or what speaks its API. Safe for concurrent threads.

    `host` is its address without any user name, and tells it from others; `title` is what errors call it.
    """

    def __init__(self, host: str, transport: _Transport, title: str | None = None) -> None:
        self.host = host
        self.title = title or f"the docker engine at {host!r}"
        self._transport = transport
        self._info: dict[str, Any] | None = None

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        timeout: float | None = QUICK_SECONDS,
    ) -> Reply:
        """Send a request and return the answer, whatever its status. Raises DockerError without one."""
        if query:
            from urllib.parse import urlencode

            path += "?" + urlencode(query)
        return self._transport.send(method, path, headers or {}, body, timeout)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        missing_ok: bool = False,
        timeout: float | None = QUICK_SECONDS,
    ) -> Any:
        """Send `body` as JSON and return the parsed answer, None where it is empty.

        A 404 gives None with `missing_ok`. Raises DockerError with the engine's words for any other
        status of 400 or more.
        """
        headers = {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        with self.open(method, path, query=query, headers=headers, body=data, timeout=timeout) as reply:
            answer = reply.read()
            if reply.status == 404 and missing_ok:
                return None
            if reply.status >= 400:
                raise DockerError(f"{self.title} refused {method} {path}: {message_of(answer)}")
        return json.loads(answer) if answer.strip() else None

    @property
    def info(self) -> dict[str, Any]:
        """The engine's own description, asked once (10 ms)."""
        if self._info is None:
            self._info = self.call("GET", "/info") or {}
        return self._info

    def inspect_image(self, name: str) -> dict[str, Any] | None:
        """The image of a name or ID as the engine describes it; None where there is none."""
        found: dict[str, Any] | None = self.call("GET", f"/images/{name}/json", missing_ok=True)
        return found


def message_of(answer: bytes) -> str:
    """The engine's words in an error answer."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip()[:500] or "no reason given"


def public(host: str) -> str:
    """An engine's address without user name and password."""
    if host.startswith("unix:"):
        return host
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(host)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else host


class SdkTransport:
    """Requests through a session of the Docker SDK, which knows TLS, SSH and Windows pipes."""

    def __init__(self, host: str, tls: Any = False) -> None:
        import docker

        self._title = f"the docker engine at {public(host)!r}"
        try:
            # The version is only put into paths we do not use; naming one spares a round trip.
            self._client = docker.APIClient(
                base_url=host, version="1.41", tls=tls, use_ssh_client=host.startswith("ssh://")
            )
        except docker.errors.DockerException as error:
            raise unreachable(self._title, error) from error

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        timeout: float | None,
    ) -> Reply:
        """See `Engine.open`."""
        import requests

        client: Any = self._client
        try:
            response = client.request(
                method, client.base_url + path, headers=dict(headers), data=body, timeout=timeout, stream=True
            )
        except requests.exceptions.RequestException as error:
            raise unreachable(self._title, error) from error
        return Reply(response.status_code, response.raw, self._title)


def unreachable(engine: str, error: Exception) -> DockerError:
    """The error for an engine that cannot be reached, with the way out."""
    if isinstance(error, PermissionError):
        hint = "join the group that may use it (often 'docker'), or name another engine in DOCKER_HOST"
    else:
        hint = "start Docker, or name a running engine in DOCKER_HOST; 'build', 'test' and 'export' work without one"
    return DockerError(f"cannot reach {engine}: {reason_of(error)}", hint=hint)


def reason_of(error: Exception) -> str:
    """What went wrong in a few words: the system's, not the names of objects of the libraries in between."""
    if type(error).__module__.partition(".")[0] in ("requests", "urllib3"):
        from buildrules.net.client import reason

        return reason(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _failures() -> tuple[type[Exception], ...]:
    urllib3 = sys.modules.get("urllib3")
    own: tuple[type[Exception], ...] = (OSError, ValueError)
    return own if urllib3 is None else (*own, urllib3.exceptions.HTTPError)
