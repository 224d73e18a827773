"""Sending a package a request, and telling a person how to."""

import http.client
import shlex
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from buildrules.errors import ServingError
from buildrules.serving.clock import Clock, joined
from buildrules.serving.route import Route
from buildrules.serving.runner import LARGEST, Running

JSON = "application/json"
_STEP = 0.5  # seconds between two looks at the clock


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


class _Patient(socket.socket):
    """A socket on whose other side is a package: each wait lasts as long as it could have worked for `seconds`.

    Raises TimeoutError where that is over.
    """

    clock: Clock
    seconds: float

    def recv_into(self, *args: Any) -> int:
        return self._wait(super().recv_into, *args)

    def sendall(self, data: Any, *args: Any) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._wait(super().send, rest, *args) :]

    def _wait(self, call: Callable[..., int], *args: Any) -> int:
        limit = self.clock.limit(self.seconds)
        while True:
            self.settimeout(min(_STEP, limit.left) or _STEP)
            try:
                return call(*args)
            except TimeoutError as error:
                if limit.over():
                    raise TimeoutError(joined(f"no answer within {self.seconds:g} s", limit.told())) from error


class Connection(http.client.HTTPConnection):
    """HTTP over a connection to a port of a started package, however that is reached.

    `timeout` are the seconds, for each wait, in which the package can work (see `serving.clock`).
    """

    def __init__(self, running: Running, port: int, timeout: float) -> None:
        super().__init__("localhost", port, timeout=timeout)
        self._running = running
        self._seconds = timeout

    def connect(self) -> None:
        """Connect through the runner."""
        found = _Patient(fileno=self._running.connect(self.port, self._seconds).detach())
        found.clock, found.seconds = self._running.clock, self._seconds
        self.sock = found


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

    `timeout` is in seconds, as `Connection` has it. Raises ServingError, with the last log lines, where there is no
    answer, and BusyError where this machine lets the package do nothing.
    """
    connection = Connection(running, route.port, timeout)
    begin = time.monotonic()
    try:
        connection.request(method, route.path, body, {"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        data = response.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServingError(
            f"{running.title!r} gave no answer to {method} {route.path} at port {route.port}: "
            f"{error or type(error).__name__}",
            log=running.log(),
        ) from error
    finally:
        connection.close()
    if len(data) > LARGEST:
        raise ServingError(f"the answer of {running.title!r} to {method} {route.path} is longer than {LARGEST} bytes")
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, data, time.monotonic() - begin)
