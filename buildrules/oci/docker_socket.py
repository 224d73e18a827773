"""HTTP over one connection, as much as a Docker Engine speaks of it.

`http.client` would do, and its import takes longer than all else between an edited file and its image in the engine.
RFC 9112: sections 4 and 6 (what an answer is, and how long), 7.1 (chunks).
"""

import socket
from collections.abc import Iterable, Iterator, Mapping

from buildrules.errors import DockerError

_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 200
_RUN = 1 << 16


def send(
    connection: socket.socket,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | Iterable[bytes] | None,
) -> OSError | None:
    """Send a request, an iterable body in chunks. Errors of the body pass through; what broke the connection is given.

    An engine that refuses half-way, or has read enough, answers before it hangs up: the answer decides.
    """
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    whole, chunks = (body or b"", ()) if body is None or isinstance(body, bytes) else (None, body)
    lines.append("Transfer-Encoding: chunked" if whole is None else f"Content-Length: {len(whole)}")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (whole or b""))
    except OSError as error:
        return error
    for chunk in chunks:
        if chunk:
            try:
                connection.sendall(b"%x\r\n" % len(chunk))
                connection.sendall(chunk)
                connection.sendall(b"\r\n")
            except OSError as error:
                return error
    try:
        connection.sendall(b"0\r\n\r\n" if whole is None else b"")
    except OSError as error:
        return error
    return None


class Reply:
    """An answer whose body is read as it comes, over a connection of its own. Use as a context manager.

    `engine` is what errors call the engine. Raises OSError, and ValueError where what comes is no HTTP.
    """

    def __init__(self, connection: socket.socket, engine: str) -> None:
        self._connection = connection
        self._engine = engine
        self._file = connection.makefile("rb")
        version, _, rest = self._line().partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("it does not speak HTTP")
        self.status = int(rest[:3])
        headers = dict(self._headers())
        self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        self._left: int | None = None  # bytes up to the end of the body or of its chunk; None: until it hangs up
        if self._chunked or self.status == 204:
            self._left = 0
        elif b"content-length" in headers:
            self._left = int(headers[b"content-length"])

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or all that is left; fewer only at the end. Raises DockerError."""
        found = bytearray()
        while len(found) != size and (data := self._some(_RUN if size < 0 else size - len(found))):
            found += data
        return bytes(found)

    def lines(self) -> Iterator[bytes]:
        """The body line by line, as it comes. Raises DockerError."""
        rest = b""
        while data := self._some(_RUN):
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def close(self) -> None:
        """Give the connection up."""
        self._file.close()
        self._connection.close()

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _some(self, size: int) -> bytes:
        """Up to `size` bytes as they come; empty at the end."""
        try:
            if self._left == 0 and self._chunked:
                self._left = int(self._line().partition(b";")[0], 16)
                if self._left == 0:
                    for _ in self._headers():
                        pass
                    self._chunked = False
            if self._left == 0:
                return b""
            data = self._file.read1(size if self._left is None else min(size, self._left))
            if self._left is not None:
                if not data:
                    raise ConnectionError(f"{self._left} bytes are missing")
                self._left -= len(data)
                if self._left == 0 and self._chunked:
                    self._line()
        except (OSError, ValueError) as error:
            raise DockerError(f"{self._engine} broke off its answer: {reason_of(error)}") from error
        return data

    def _line(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError("it closed the connection")
        return line.rstrip(b"\r\n")

    def _headers(self) -> Iterable[tuple[bytes, bytes]]:
        for _ in range(_MOST_HEADERS):
            name, colon, value = self._line().partition(b":")
            if not colon:
                return
            yield name.lower(), value.strip()
        raise ValueError("its answer has too many headers")


def reason_of(error: Exception) -> str:
    """What went wrong in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
