"""A real Docker Engine for tests, a program to put into images, and a proxy that can misbehave."""

import contextlib
import http.client
import json
import os
import re
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.errors import DockerError
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine
from tests.support.local import Plain, plain


def running_engine() -> Engine:
    """The engine of DOCKER_HOST or the default socket. Without one: a failure in CI, else a skip."""
    try:
        return connect()
    except DockerError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a Docker Engine: {error.message}")
        pytest.skip(f"no Docker Engine: {error.message}")


def socket_path() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


def static_busybox(folder: Path) -> bytes:
    """The program of Debian's busybox-static, which needs nothing else in its image."""
    subprocess.run(["apt-get", "download", "-q", "busybox-static"], cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("busybox-static_*.deb")
    subprocess.run(["dpkg-deb", "-x", package.name, "root"], cwd=folder, check=True)
    (program,) = (path for path in (folder / "root").rglob("bin/busybox") if path.is_file())
    return program.read_bytes()


@contextlib.contextmanager
def tidy(engine: Engine, prefix: str) -> Iterator[None]:
    """Afterwards, remove the containers and images whose names start with `prefix`, and what they replaced."""
    before = {entry["Id"] for entry in engine.call("GET", "/images/json", query={"all": 1})}
    yield
    for entry in engine.call("GET", "/containers/json", query={"all": 1}):
        if entry["Image"].startswith(prefix):
            engine.call("DELETE", f"/containers/{entry['Id']}", query={"force": 1}, missing_ok=True)
    for entry in engine.call("GET", "/images/json"):
        for name in entry["RepoTags"] or ():
            if name.startswith(prefix):
                engine.call("DELETE", f"/images/{name}", query={"force": 1}, missing_ok=True)
    filters = json.dumps({"dangling": ["true"], "label": [f"test={prefix}"]})
    for entry in engine.call("GET", "/images/json", query={"filters": filters}):
        if entry["Id"] not in before:
            engine.call("DELETE", f"/images/{entry['Id']}", query={"force": 1}, missing_ok=True)


Change = Callable[[bytes], bytes]


class Proxy:
    """Passes requests on to the engine's socket, in between it can lie or break down.

    `changes` maps a regular expression for "METHOD path" to a function over the answer's body.
    With `cut` set, a request body is only read up to so many bytes before the connection is closed.
    `loads` counts the bytes of each load that came through. Listens at `address` (a unix path or a TCP port).
    """

    def __init__(self, engine_socket: str, address: str | int) -> None:
        self.changes: dict[str, Change] = {}
        self.cut: int | None = None
        self.requests: list[str] = []
        self._engine = engine_socket
        handler = plain(self._pass_on)
        server: socketserver.BaseServer
        if isinstance(address, int):
            server = _Tcp(("127.0.0.1", address), handler)
            self.host = f"tcp://127.0.0.1:{server.server_address[1]}"
        else:
            server = _Unix(address, handler)
            self.host = f"unix://{address}"
        self._server = server

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, handler: Plain) -> None:
        request = f"{handler.command} {handler.path}"
        self.requests.append(request)
        handler.close_connection = True
        body = b""
        for chunk in body_of(handler):
            body += chunk
            if self.cut is not None and len(body) > self.cut:
                handler.connection.shutdown(socket.SHUT_RDWR)
                return
        upstream = http.client.HTTPConnection("localhost")
        upstream.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        upstream.sock.connect(self._engine)
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("transfer-encoding", "content-length")}
        upstream.request(handler.command, handler.path, body or None, headers)
        answer = upstream.getresponse()
        data = answer.read()
        for pattern, change in self.changes.items():
            if re.match(pattern, request):
                data = change(data)
        kind = answer.headers.get("Content-Type", "application/json")
        handler.send(answer.status, data, Content_Type=kind, Connection="close")
        upstream.close()


def body_of(handler: Plain) -> Iterator[bytes]:
    """The body of a request, chunked or not."""
    if handler.headers.get("Transfer-Encoding") == "chunked":
        while size := int(handler.rfile.readline(), 16):
            yield handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
    else:
        yield handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def proxy_at(kind: str) -> Iterator[Proxy]:
    """A proxy on "unix" or "tcp" in front of the engine. Unix paths are short, so not pytest's folder."""
    with tempfile.TemporaryDirectory() as folder, Proxy(socket_path(), 0 if kind == "tcp" else f"{folder}/s") as proxy:
        yield proxy
