"""A server that answers with the very bytes it is told to, and cuts the connection after them."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass
class Request:
    """One request as it came in; header names in lower case."""

    path: str
    headers: dict[str, str]


@dataclass
class Raw:
    """A running server: `url` is its address, `seen` what it was asked."""

    url: str
    seen: list[Request] = field(default_factory=list)


Answer = Callable[[Request], "bytes | Iterable[bytes]"]


@contextlib.contextmanager
def raw(answer: Answer) -> Iterator[Raw]:
    """Answer every request with what `answer` gives, bytes or runs of bytes; a client that leaves ends them."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                path = self.rfile.readline().split(b" ")[1].decode("latin-1")
                lines = iter(lambda: self.rfile.readline().strip().decode("latin-1"), "")
                pairs = (line.partition(":") for line in lines)
                request = Request(path, {name.lower(): value.strip() for name, _, value in pairs})
                running.seen.append(request)
                said = answer(request)
                for data in (said,) if isinstance(said, bytes) else said:
                    self.wfile.write(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        running = Raw(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        server.shutdown()


def head(status: int, **headers: str) -> bytes:
    """A status line and headers (`Content_Length="1"`)."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def whole(body: bytes, **headers: str) -> bytes:
    """A 200 with a body as long as it says."""
    return head(200, Content_Length=str(len(body)), **headers) + body
