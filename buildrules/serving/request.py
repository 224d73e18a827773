"""Sending a package a request, and telling a person how to."""

import http.client
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass

from buildrules.errors import ServingError
from buildrules.serving.route import Route
from buildrules.serving.runner import LARGEST, Running

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a package said: HTTP status, headers (names in lower case), body, and how long it took in seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


def curl_line(url: str, sample: str | None = None, *, inline: str | None = None) -> str:
    """A curl command a person can paste into a shell.

    `sample` is the path of a file with a request in JSON, `inline` the request itself; without either it is a plain
    GET.
    """
    words = ["curl", url]
    if sample is not None:
        words += ["-H", f"Content-Type: {JSON}", "-d", "@" + sample]
    elif inline is not None:
        words += ["-H", f"Content-Type: {JSON}", "--data-raw", inline]
    return shlex.join(words)


class Connection(http.client.HTTPConnection):
    """HTTP over a connection to a port of a started package, however that is reached."""

    def __init__(self, running: Running, port: int, timeout: float) -> None:
        super().__init__("localhost", port, timeout=timeout)
        self._running = running
        self._seconds = timeout

    def connect(self) -> None:
        """Connect through the runner."""
        self.sock = self._running.connect(self.port, self._seconds)


def ask(
    running: Running,
    route: Route,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Answer:
    """Send one request; any status is an answer.

    `timeout` is in seconds, for each wait. Raises ServingError, with the last log lines, where there is no answer.
    """
    connection = Connection(running, route.port, timeout)
    begin = time.monotonic()
    try:
        connection.request(method, route.path, body, {"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        data = response.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else str(error)
        raise ServingError(
            f"{running.title!r} gave no answer to {method} {route.path} at port {route.port}: "
            f"{what or type(error).__name__}",
            log=running.log(),
        ) from error
    finally:
        connection.close()
    if len(data) > LARGEST:
        raise ServingError(f"the answer of {running.title!r} to {method} {route.path} is longer than {LARGEST} bytes")
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, data, time.monotonic() - begin)
