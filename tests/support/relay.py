"""A server between a client and a real registry: counts what is asked, and may answer, change or break a request."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.local import Local, Plain

CHUNK = 1 << 20


@dataclass
class Asked:
    """One request: `size` is the bytes of its body, `status` what was answered (0: the connection was broken)."""

    method: str
    path: str
    size: int
    status: int = 0

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


class Reset(Exception):
    """Raised by an interference: the connection ends after so many bytes of the body."""

    def __init__(self, after: int = 0) -> None:
        self.after = after


Answer = tuple[int, dict[str, str], bytes]
Interfere = Callable[[Asked], "Answer | str | None"]
"""Gives an answer of its own, another path to ask for, or None; may raise Reset."""


@dataclass
class Relay:
    """`host` is where it listens, `asked` what it was asked, oldest first; `answered` may change headers of answers."""

    host: str
    backend: str
    interfere: Interfere = lambda _: None
    answered: Callable[[Asked, dict[str, str]], dict[str, str]] = lambda _, headers: headers
    asked: list[Asked] = field(default_factory=list)

    def of(self, method: str, part: str = "") -> list[Asked]:
        return [one for one in self.asked if one.method == method and part in one.path]

    def sent(self) -> dict[str, int]:
        """How often each digest was taken in by an upload."""
        found: dict[str, int] = {}
        for one in self.of("PUT", "/blobs/uploads/"):
            if one.status == 201:
                found[one.query["digest"]] = found.get(one.query["digest"], 0) + 1
        return found

    def ask(self, method: str, path: str) -> int:
        """Ask the registry itself; the status."""
        connection = http.client.HTTPConnection(self.backend, timeout=60)
        connection.request(method, path, headers={"Host": self.host})
        status = connection.getresponse().status
        connection.close()
        return status


@contextlib.contextmanager
def relay(backend: str, interfere: Interfere = lambda _: None) -> Iterator[Relay]:
    """A running relay to the registry `backend` (host:port)."""

    class Handler(Plain):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, size)
            running.asked.append(asked)
            path = self.path
            try:
                said = running.interfere(asked)
            except Reset as reset:
                self._read(min(reset.after, size))
                self.close_connection = True
                self.connection.close()
                return
            if isinstance(said, tuple):
                self._read(size)
                self._answer(asked, *said)
                return
            connection = http.client.HTTPConnection(backend, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.putrequest(self.command, said or path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            for chunk in self._chunks(size):
                connection.send(chunk)
            response = connection.getresponse()
            found = {name: value for name, value in response.getheaders() if name.lower() != "connection"}
            data = b"" if self.command == "HEAD" else response.read()
            connection.close()
            self._answer(asked, response.status, running.answered(asked, found), data)

        def _chunks(self, size: int) -> Iterator[bytes]:
            while size > 0:
                chunk = self.rfile.read(min(size, CHUNK))
                if not chunk:
                    return
                size -= len(chunk)
                yield chunk

        def _read(self, size: int) -> None:
            for _ in self._chunks(size):
                pass

        def _answer(self, asked: Asked, status: int, headers: dict[str, str], data: bytes) -> None:
            asked.status = status
            self.send_response_only(status)
            given = {name.lower() for name in headers}
            for name, value in headers.items():
                if name.lower() != "transfer-encoding":
                    self.send_header(name, value)
            if "content-length" not in given:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    with Local(Handler) as server:
        running = Relay(server.host, backend, interfere)
        yield running


def without_mounts(asked: Asked) -> str | None:
    """A registry that answers 202 to every mount: an upload begins instead."""
    return asked.path.partition("?")[0] if "mount" in asked.query else None


def sharing_by_manifest(running: Relay) -> Interfere:
    """A registry that answers 202 to every mount, and has a blob everywhere once a manifest of one repository names it.

    That is how Artifactory does it (bazel-contrib/rules_img#711).
    """
    homes: dict[str, str] = {}  # digest -> repository that has it, and a manifest
    uploaded: dict[str, set[str]] = {}  # repository -> digests

    def interfere(asked: Asked) -> str | None:
        repository = asked.path.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
        if asked.method == "PUT" and "/blobs/uploads/" in asked.path:
            uploaded.setdefault(repository, set()).add(asked.query["digest"])
        if asked.method == "PUT" and "/manifests/" in asked.path:
            for digest in uploaded.get(repository, ()):
                homes.setdefault(digest, repository)
        digest = asked.path.rpartition("/")[2]
        if asked.method == "HEAD" and digest in homes and homes[digest] != repository:
            running.ask("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={homes[digest]}")
        return without_mounts(asked)

    return interfere


class Counted:
    """A relay of connections to a port of this machine, which counts the bytes that pass, both ways."""

    def __init__(self, backend: int) -> None:
        self.passed = 0
        self._backend = backend
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                try:
                    there = socket.create_connection(("127.0.0.1", self._backend))
                except OSError:  # it is away
                    here.close()
                    continue
                self._open += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self.passed += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
