"""HTTP over a local socket, as much as a Docker Engine speaks of it.

`http.client` would do, and its import takes longer than all else between an edited file and its image in the engine.
RFC 9112: sections 4 and 6 (what an answer is, and how long), 7.1 (chunks).
"""

import socket
from collections.abc import Iterable, Mapping

from buildrules.errors import DockerError
from buildrules.oci.docker_http import Reply, reason_of, unreachable

__all__ = ["UnixTransport"]

_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 200


class UnixTransport:
    """Requests over a local socket, a connection for each (0.1 ms). `title` is what errors call the engine."""

    def __init__(self, path: str, title: str | None = None) -> None:
        self._path = path
        self._title = title or f"the docker engine at 'unix://{path}'"

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        timeout: float | None,
    ) -> Reply:
        """See `Engine.open`. An iterable body is sent in chunks."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            try:
                connection.connect(self._path)
            except OSError as error:
                raise unreachable(self._title, error) from error
            broken = _send(connection, method, path, headers, body)
            try:
                answer = _Answer(connection)
            except (OSError, ValueError) as error:
                raise DockerError(
                    f"{self._title} hung up during {method} {path.partition('?')[0]}: {reason_of(broken or error)}",
                    hint="see whether it still runs (docker info) and has space left on its disk, then try again",
                ) from error
        except BaseException:
            connection.close()
            raise
        return Reply(answer.status, answer, self._title, connection)


def _send(
    connection: socket.socket, method: str, path: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
) -> OSError | None:
    """Send a request. Errors of an iterable body pass through; what broke the connection is returned.

    An engine that refuses half-way, or has read enough, answers before it hangs up: the answer decides.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    whole, chunks = (b"", body) if body is not None and not isinstance(body, bytes) else (body or b"", None)
    lines.append(f"Content-Length: {len(whole)}" if chunks is None else "Transfer-Encoding: chunked")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + whole)
    except OSError as error:
        return error
    if chunks is None:
        return None
    for chunk in chunks:
        if chunk:
            try:
                connection.sendall(b"%x\r\n" % len(chunk))
                connection.sendall(chunk)
                connection.sendall(b"\r\n")
            except OSError as error:
                return error
    try:
        connection.sendall(b"0\r\n\r\n")
    except OSError as error:
        return error
    return None


class _Answer:
    """Status and body of an answer. Methods raise OSError, and ValueError where it is no HTTP."""

    def __init__(self, connection: socket.socket) -> None:
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

    def read1(self, size: int) -> bytes:
        """Up to `size` bytes as they come; empty at the end."""
        if self._left == 0 and self._chunked:
            self._left = int(self._line().partition(b";")[0], 16)
            if self._left == 0:
                for _ in self._headers():
                    pass
                self._chunked = False
        if self._left == 0:
            return b""
        data = self._file.read1(size if self._left is None else min(size, self._left))
        if self._left is None:
            return data
        if not data:
            raise ConnectionError(f"{self._left} bytes are missing")
        self._left -= len(data)
        if self._left == 0 and self._chunked:
            self._line()
        return data

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or all that is left; fewer only at the end."""
        found = bytearray()
        while size < 0 or len(found) < size:
            data = self.read1(1 << 20 if size < 0 else size - len(found))
            if not data:
                break
            found += data
        return bytes(found)

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()

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
