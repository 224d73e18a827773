"""A web server of files that breaks off, refuses, forgets ranges and sends wrong bytes, as told."""

import http.server
import threading
from collections import defaultdict

from tests.support.local import Local

Handler = http.server.SimpleHTTPRequestHandler


class Web:
    """`files` by path. `faults` of a path are used up one a request: see `Answering`. `seen` has (path, headers)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.wanted: str | None = None  # the Authorization header without which nothing is given
        self.ranges = True
        self.head = True  # whether HEAD is known
        self.pause = 0.0  # seconds after every 64 KiB
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.heads: list[str] = []
        outer = self

        class Answer(self.kind()):  # type: ignore[misc]
            web = outer

        self.server = Local(Answer)
        self.url = self.server.url

    def kind(self) -> "type[Answering]":
        """Who answers."""
        return Answering

    def close(self) -> None:
        self.server.close()

    def asked(self, path: str) -> list[str | None]:
        """The Range header of every request for a path."""
        return [headers.get("Range") for seen, headers in self.seen if seen == path]


class Answering(Handler):
    """Faults: "503" and other statuses; "drop N": N bytes, then the connection is cut; "wrong"; "redirect URL"."""

    web: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        web = self.web
        path = self.path.partition("?")[0]
        web.seen.append((path, dict(self.headers)))
        fault, _, what = (web.faults[path].pop(0) if web.faults[path] else "").partition(" ")
        if fault.isdecimal() or (web.wanted is not None and self.headers.get("Authorization") != web.wanted):
            return self._plain(int(fault or 401), b"no")
        if fault == "redirect":
            return self._plain(302, b"", Location=what)
        if path not in web.files:
            return self._plain(404, b"nothing here")
        data = web.files[path]
        if fault == "wrong":
            data = bytes(reversed(data))
        wanted = self.headers.get("Range")
        if wanted and web.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data)) + 1, len(data))
            where = f"bytes {start}-{end - 1}/{len(data)}"
            return self._send(206, data[start:end], len(data), what, **{"Content-Range": where})
        return self._send(200, data, len(data), what)

    def do_HEAD(self) -> None:
        web = self.web
        path = self.path.partition("?")[0]
        web.heads.append(path)
        if not web.head:
            self._plain(405, b"")
            return
        refused = web.wanted is not None and self.headers.get("Authorization") != web.wanted
        self.send_response(401 if refused else 200 if path in web.files else 404)
        self.send_header("Content-Length", str(len(web.files.get(path, b""))))
        self.end_headers()

    def _plain(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, status: int, data: bytes, whole: int, limit: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if limit.isdecimal():
            self.wfile.write(data[: int(limit)])
            self.close_connection = True
            return
        waiting = threading.Event()
        for at in range(0, len(data), 64 << 10):
            self.wfile.write(data[at : at + (64 << 10)])
            if self.web.pause:
                waiting.wait(self.web.pause)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class says so
        """Nothing."""
