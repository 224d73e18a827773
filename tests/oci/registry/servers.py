"""Servers the tests talk to: a real registry, a token server, a proxy that cuts, a registry that misbehaves."""

import base64
import contextlib
import json
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.local import Local, Plain

USER, PASSWORD = "ali", "opensesame"
HTPASSWD = "ali:$2b$04$abcdefghijklmnopqrstuuFuhxWRTXIsURoluSTZ1N4tYaWGn9oOi\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def registry(directory: pathlib.Path, auth: dict[str, Any] | None = None, *, tls: bool = False) -> Iterator[str]:
    """A running docker-registry with its data in `directory`; gives `host:port`."""
    directory.mkdir(parents=True, exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host},
    }
    if auth:
        config["auth"] = auth
    if tls:
        certify(directory)
        config["http"]["tls"] = {"key": str(directory / "key.pem"), "certificate": str(directory / "certificate.pem")}
    (directory / "registry.yml").write_text(json.dumps(config))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "registry.yml")], stdout=log, stderr=log
        )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{host}/v2/").close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, (directory / "log").read_text()
                time.sleep(0.05)
        else:
            raise AssertionError("docker-registry does not answer: " + (directory / "log").read_text())
        yield host
    finally:
        process.terminate()
        process.wait()


def htpasswd_auth(directory: pathlib.Path) -> dict[str, Any]:
    """The `auth` section for USER and PASSWORD."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "htpasswd"
    path.write_text(HTPASSWD)
    return {"htpasswd": {"realm": "test", "path": str(path)}}


@dataclass
class Seen:
    """One request as a server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Web:
    """A running http.server and what it was asked."""

    host: str
    seen: list[Seen] = field(default_factory=list)

    def asked(self, method: str, part: str) -> list[Seen]:
        return [request for request in self.seen if request.method == method and part in request.path]


@contextlib.contextmanager
def web(answer: Callable[[Seen], Answer]) -> Iterator[Web]:
    """An http.server that answers with what `answer` says: status, headers, body."""

    def answer_any(handler: Plain) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        running.seen.append(Seen(handler.command, handler.path, headers, body))
        status, more, data = answer(running.seen[-1])
        handler.send(status, data, **more)

    with Local(answer_any) as server:
        running = Web(server.host)
        yield running


@contextlib.contextmanager
def cutting_proxy(target: str, *, down: list[int] | None = None, up: list[int] | None = None) -> Iterator[str]:
    """A TCP proxy to `target` that cuts its n-th large transfer after so many bytes.

    `down` are the limits for connections' bytes from the server, `up` for those to it; each limit is used
    once, by the first connection that reaches it. Gives `host:port`.
    """
    limits = {"down": list(down or []), "up": list(up or [])}
    lock = threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = target.split(":")

    def pump(source: socket.socket, sink: socket.socket, way: str) -> None:
        done = 0
        try:
            while data := source.recv(1 << 14):
                done += len(data)
                with lock:
                    cut = bool(limits[way]) and done >= limits[way][0]
                    if cut:
                        limits[way].pop(0)
                if cut:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            threading.Thread(target=pump, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, "down"), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def certify(directory: pathlib.Path) -> None:
    """Make key.pem and a self-signed certificate.pem for 127.0.0.1."""
    what = ["-subj", "/CN=test", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *what]
    command += ["-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)


class TokenServer:
    """Gives docker-registry the tokens it asks for: RS256 JWTs, signed with openssl (distribution, token spec)."""

    issuer = "test-issuer"
    service = "test-service"

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = directory / "key.pem", directory / "certificate.pem"
        certify(directory)
        self.refuse_pull_of: set[str] = set()
        self.tokens: list[str] = []
        self.refresh_token = "long-lived-refresh-token"
        self.lifetime = 300

    def registry_auth(self, realm: str) -> dict[str, Any]:
        return {
            "token": {
                "realm": f"http://{realm}/token",
                "service": self.service,
                "issuer": self.issuer,
                "rootcertbundle": str(self.certificate),
            }
        }

    def answer(self, request: Seen) -> Answer:
        """GET with Basic credentials, or POST with a refresh token; anonymous users may only pull."""
        fields = parse_qs(urlsplit(request.path).query if request.method == "GET" else request.body.decode())
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        shown = request.headers.get("authorization")
        refreshed = fields.get("refresh_token") == [self.refresh_token]
        if (shown not in (None, basic)) or (request.method == "POST" and not refreshed):
            return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong"}]}'
        access = []
        for scope in " ".join(fields.get("scope", [])).split():
            kind, name, actions = scope.split(":")
            allowed = actions.split(",") if shown or refreshed else ["pull"]
            if name not in self.refuse_pull_of:
                access.append({"type": kind, "name": name, "actions": allowed})
        token = self.sign(access)
        self.tokens.append(token)
        return 200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode()

    def sign(self, access: list[dict[str, Any]]) -> str:
        der = subprocess.run(
            ["openssl", "x509", "-in", str(self.certificate), "-outform", "DER"], check=True, capture_output=True
        ).stdout
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": self.issuer, "aud": self.service, "sub": "x", "exp": now + self.lifetime, "nbf": now - 60}
        claims |= {"iat": now, "jti": str(len(self.tokens)), "access": access}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=signed.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
