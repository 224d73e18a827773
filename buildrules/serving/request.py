"""Sending a package a request, and telling a person how to."""

import http.client
import shlex
import time
from dataclasses import dataclass

from buildrules.errors import ServingError
from buildrules.serving.container import Container
from buildrules.serving.probe import Route, url_of

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a package said: HTTP status, headers (names in lower case), body, and how long it took in seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


def curl_line(url: str, sample: str | None = None, *, content_type: str = JSON, inline: str | None = None) -> str:
    """A curl command a person can paste into a shell.

    `sample` is the path of a file with a request, `inline` the request itself; without either it is a
    plain GET.
    """
    words = ["curl", url]
    if sample is not None:
        # JSON may lose its line breaks on the way, other formats may not.
        flag = "-d" if content_type == JSON else "--data-binary"
        words += ["-H", f"Content-Type: {content_type}", flag, "@" + sample]
    elif inline is not None:
        words += ["-H", f"Content-Type: {content_type}", "--data-raw", inline]
    return shlex.join(words)


def score(
    container: Container, route: Route, body: bytes, *, content_type: str = JSON, timeout: float = 60.0
) -> Answer:
    """POST `body` to the scoring route. Raises ServingError where there is no answer; any status is an answer."""
    host, port = container.address(route.port)
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    begin = time.monotonic()
    try:
        connection.request("POST", route.path, body, {"Content-Type": content_type, "Connection": "close"})
        response = connection.getresponse()
        data = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(
            f"{container.title!r} gave no answer to POST {url_of(container, route)}: {error or type(error).__name__}",
            log=container.log(),
        ) from error
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, data, time.monotonic() - begin)
