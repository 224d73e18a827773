"""Private Python feeds: nginx with a password, and a server that fails in every way a feed can."""

import base64
import contextlib
import hashlib
import http.server
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.oci.registry.servers import free_port
from tests.support.local import Local

MOODS = ("fine", "401", "403", "500", "redirect", "elsewhere", "reset", "wrong")


def lay_index(folder: Path, files: dict[str, bytes]) -> Path:
    """A simple repository (PEP 503) of files below `folder`: `simple/<project>/` and `files/`."""
    projects: dict[str, list[str]] = {}
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / "files" / name).write_bytes(data)
        project = name.split("-")[0].lower().replace("_", "-")
        link = f'<a href="../../files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
        projects.setdefault(project, []).append(link)
    for project, links in projects.items():
        page = folder / "simple" / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<!DOCTYPE html><html><body>" + "<br>".join(links) + "</body></html>")
    (folder / "simple").mkdir(exist_ok=True)
    return folder


NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  types {{ text/html html; }}
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    index index.html;
    location /team/ {{ auth_basic "team"; auth_basic_user_file {folder}/users; }}
    location / {{ }}
  }}
}}
"""


@dataclass
class Nginx:
    """nginx with `/team/simple` behind a password and `/open/simple` for everybody."""

    folder: Path
    port: int

    @property
    def team(self) -> str:
        return f"http://127.0.0.1:{self.port}/team/simple"

    @property
    def open(self) -> str:
        return f"http://127.0.0.1:{self.port}/open/simple"

    def let_in(self, user: str, password: str) -> None:
        """From now on only this one gets in."""
        digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
        (self.folder / "users").write_text(f"{user}:{{SHA}}{digest}\n")

    def requests(self) -> list[str]:
        """The lines of the access log."""
        return (self.folder / "access.log").read_text().splitlines()


@contextlib.contextmanager
def nginx(folder: Path, team: dict[str, bytes], everybody: dict[str, bytes]) -> Iterator[Nginx]:
    """A running nginx with these files in the two indexes; nobody is let in to the first yet."""
    folder.mkdir(parents=True)
    lay_index(folder / "www/team", team)
    lay_index(folder / "www/open", everybody)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    running = Nginx(folder, free_port())
    (folder / "users").write_text("")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=running.port))
    process = subprocess.Popen(
        ["/usr/sbin/nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")],
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(running.open + "/", process, folder / "error.log")
        yield running
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
    raise AssertionError("nginx does not answer: " + log.read_text())


@dataclass
class MoodyFeed:
    """A feed behind a password. `mood` says how it answers for files, `index_mood` for the index."""

    folder: Path
    login: tuple[str, str]
    port: int = 0
    mood: str = "fine"
    index_mood: str = "fine"
    stolen: list[tuple[str, str]] = field(default_factory=list)  # (path, Authorization) seen where none belongs

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/team/simple"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        given = request.headers.get("Authorization", "")
        if not path.startswith("/team/"):
            if given:
                self.stolen.append((path, given))
            return self._send(request, 404, b"")
        wanted = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        if given != wanted:
            return self._send(request, 401, f"not with {given}".encode(), {"WWW-Authenticate": 'Basic realm="team"'})
        mood = self.mood if "/files/" in path else self.index_mood
        token = given.replace(" ", "-") + "+" + self.login[1].encode("ascii", "ignore").decode()
        if mood in ("401", "403"):
            return self._send(request, int(mood), f"refused: {token}".encode(), {"X-Echo": token})
        if mood == "500":
            body = f"crashed with {given} {token}".encode()
            return self._send(request, 500, body, {"X-Echo": token}, reason=f"Bad {given} {token}")
        if mood == "redirect":
            return self._send(request, 302, b"", {"Location": f"/gone/{self.login[1].encode().hex()}?{token}#{token}"})
        if mood == "elsewhere":
            host = f"{':'.join(self.login).encode().hex()}@localhost:{self.port}"
            return self._send(request, 302, b"", {"Location": f"http://{host}/gone?{token}"})
        if mood == "reset":
            request.close_connection = True
            return request.connection.close()
        file = self.folder / path.removeprefix("/team/")
        page = file / "index.html" if file.is_dir() else file
        if not page.is_file():
            return self._send(request, 404, f"no {path} for {token}".encode())
        data = page.read_bytes()
        if mood == "wrong":
            data = token.encode().ljust(len(data), b"!")[: len(data)]
        return self._send(request, 200, data, {"Content-Type": "text/html" if page != file else "application/zip"})

    @staticmethod
    def _send(
        request: http.server.BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        request.send_response(status, reason)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(name, value.replace("\n", " "))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@contextlib.contextmanager
def moody(folder: Path, files: dict[str, bytes], login: tuple[str, str]) -> Iterator[MoodyFeed]:
    """A running MoodyFeed with these files."""
    feed = MoodyFeed(lay_index(folder, files), login)

    with Local(feed.answer) as server:
        feed.port = server.server_port
        yield feed
