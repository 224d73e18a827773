"""A web server of a test's own on 127.0.0.1, each of whose requests goes to one function."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Plain(BaseHTTPRequestHandler):
    """Takes every method to `answer`; keeps connections, and says nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def address_string(self) -> str:
        return "client"  # which has no address at a Unix socket

    def log_message(self, *_: object) -> None: ...

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `Content_Type="text/plain"`."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(body))} | given).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def plain(function: Callable[[Plain], None]) -> type[Plain]:
    """The class of handlers whose requests go to a function."""

    class Handler(Plain):
        def answer(self) -> None:
            function(self)

    return Handler


class Local(ThreadingHTTPServer):
    """Serves until the end of its block, or `close`. Clients that go away are expected."""

    daemon_threads = True

    def __init__(self, handler: Callable[[Plain], None] | type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler if isinstance(handler, type) else plain(handler))
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_: object) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
