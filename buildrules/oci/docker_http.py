"""What a Docker Engine is asked and answers, whichever way it is reached.

The Docker SDK takes 110 to 190 ms to import, and a code edit is to be in the engine within 0.2 s: we do without it.
Paths carry no version: the engine answers in its newest API, so nothing has to be negotiated. API: docs of moby,
"Docker Engine API".
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping

from buildrules.errors import DockerError
from buildrules.oci.docker_socket import Reply, reason_of, send
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

__all__ = ["Dial", "Engine", "Reply", "message_of"]

QUICK_SECONDS = 60.0
"""How long an ordinary request may take. Loads, logs and waits have no limit: a dead engine closes them."""

PAUSES = (0.1, 0.3, 1.0)
"""Seconds before a question that the engine failed to answer is asked again."""

Dial = Callable[[float | None], "socket.socket"]
"""Connects, with a time limit in seconds that holds for all that follows. Raises OSError and ValueError."""


class Engine:
    """One Docker Engine, or what speaks its API. Safe for concurrent threads.

    `host` is its address without any user name, and tells it from others; `title` is what errors call it.
    """

    def __init__(self, host: str, dial: Dial, title: str | None = None) -> None:
        self.host = host
        self.title = title or f"the docker engine at {host!r}"
        self._dial = dial
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
        try:
            connection = self._dial(timeout)
        except (OSError, ValueError) as error:
            raise _unreachable(self.title, error) from error
        host = self.host.partition("://")[2].partition("/")[0] or "localhost"
        try:
            broken = send(connection, method, path, {"Host": host, "Connection": "close", **(headers or {})}, body)
            try:
                return Reply(connection, self.title)
            except (OSError, ValueError) as error:
                raise DockerError(
                    f"{self.title} hung up during {method} {path.partition('?')[0]}: {reason_of(broken or error)}",
                    hint="see whether it still runs (docker info) and has space left on its disk, then try again",
                ) from error
        except BaseException:
            connection.close()
            raise

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

        A 404 gives None with `missing_ok`. A question (GET) that the engine fails to answer is asked again: Podman
        stumbles over an image or container that another process is removing. Raises DockerError with the engine's
        words for any other status of 400 or more.
        """
        headers = {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        pauses = list(PAUSES) if method == "GET" else []
        while True:
            with self.open(method, path, query=query, headers=headers, body=data, timeout=timeout) as reply:
                answer = reply.read()
            if reply.status != 500 or not pauses:
                break
            time.sleep(pauses.pop(0))
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


def _unreachable(engine: str, error: Exception) -> DockerError:
    """The error for an engine that cannot be reached, with the way out."""
    if isinstance(error, PermissionError):
        hint = "join the group that may use it (often 'docker'), or name another engine in DOCKER_HOST"
    else:
        hint = "start Docker, or name a running engine in DOCKER_HOST; 'build', 'test' and 'export' work without one"
    return DockerError(f"cannot reach {engine}: {reason_of(error)}", hint=hint)
