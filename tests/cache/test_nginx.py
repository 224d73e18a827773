"""The configuration of the cache, with the nginx of this machine: what is written, read, refused and left behind."""

import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.remote.backend import LARGEST_RECORD
from tests.support.cache_server import LOGIN, CacheServer, cache_server

pytestmark = pytest.mark.network  # nginx is installed

if not shutil.which("nginx", path="/usr/sbin"):
    assert not os.environ.get("CI"), "CI has nginx"
    pytest.skip("needs nginx", allow_module_level=True)


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheServer]:
    with cache_server(tmp_path_factory.mktemp("cache") / "server") as running:
        yield running


@pytest.mark.parametrize("kind", ["ac", "cas"])
def test_writers_write_and_all_read(server: CacheServer, kind: str) -> None:
    body = kind.encode() * 50_000
    path = f"/{kind}/{hex_of(body)}"
    assert server.ask("GET", path, headers={})[0] == 404
    assert server.ask("HEAD", path, headers={})[0] == 404
    assert server.ask("PUT", path, body, headers={})[0] == 401
    assert server.ask("GET", path)[0] == 404
    assert server.ask("PUT", path, body)[0] == 201
    assert server.ask("PUT", path, body)[0] == 204
    assert server.ask("GET", path, headers={}) == (200, body)
    assert server.ask("HEAD", path, headers={}) == (200, b"")
    assert server.ask("GET", path, headers={"Range": f"bytes={len(body) - 3}-"}) == (206, body[-3:])


def test_the_first_of_two_writers_can_be_kept(server: CacheServer) -> None:
    path, only = f"/ac/{hex_of(b'first wins')}", {**LOGIN, "If-None-Match": "*"}
    assert server.ask("PUT", path, b"mine", headers=only)[0] == 201
    assert server.ask("PUT", path, b"yours", headers=only)[0] == 412
    assert server.ask("GET", path, headers={"If-None-Match": '"other"'}) == (200, b"mine")
    assert server.ask("PUT", path, b"newer")[0] == 204
    assert server.ask("GET", path)[1] == b"newer"


def test_a_shared_folder_would_have_them_in_the_same_places(server: CacheServer) -> None:
    for kind, folder in (("ac", "ac"), ("cas", "cas/sha256")):
        name = hex_of(f"place {kind}".encode())
        assert server.ask("PUT", f"/{kind}/{name}", b"x")[0] == 201
        assert (server.data / folder / name[:2] / name).read_bytes() == b"x"


def test_a_record_has_room_and_nothing_longer(server: CacheServer) -> None:
    path = f"/ac/{hex_of(b'large')}"
    assert server.ask("PUT", path, bytes(LARGEST_RECORD))[0] == 201
    with contextlib.suppress(ConnectionError):  # it may close before all is sent
        assert server.ask("PUT", f"/ac/{hex_of(b'larger')}", bytes(LARGEST_RECORD + 1))[0] == 413
    assert server.ask("GET", f"/ac/{hex_of(b'larger')}")[0] == 404


H = hex_of(b"somewhere")


@pytest.mark.parametrize(
    "path",
    [
        f"/cas/{H[1:]}",
        f"/cas/{H}0",
        f"/cas/{H.upper()}",
        f"/{H}",
        f"/cas/sha256/{H[:2]}/{H}",
        f"/other/{H}",
        f"/ac/../cas/{H}",
        f"/v2/../cas/{H}",
        f"/v2/%2e%2e/cas%2f{H}",
        f"//cas/{H}",
        f"/cas//{H}",
        f"/cas/./{H}",
        f"/cas/%{ord(H[0]):x}{H[1:]}",
        f"/cas/{H}?x=1",
        f"/cas/{H}/",
        f"/cas/{H}/../{H}",
        "/cas/../../nginx/writers",
        "/v2/../.part/0000000001",
        "/.part/0000000001",
        "/nginx.pid",
        "/ac/",
        "/",
    ],
)
def test_only_a_digest_is_an_address(server: CacheServer, path: str) -> None:
    for method in ("GET", "PUT", "HEAD"):
        assert server.ask(method, path, b"x" if method == "PUT" else b"")[0] in (400, 404), method
    assert not list(server.data.rglob(H))


@pytest.mark.parametrize("method", ["DELETE", "MKCOL", "COPY", "MOVE", "POST", "PATCH", "OPTIONS", "PROPFIND", "TRACE"])
def test_nothing_but_reading_and_writing(server: CacheServer, method: str) -> None:
    path = f"/cas/{hex_of(b'kept')}"
    server.ask("PUT", path, b"kept")
    elsewhere = {**LOGIN, "Destination": f"{server.url}/cas/{hex_of(b'copy')}"}
    assert server.ask(method, path, headers=elsewhere)[0] == 405
    assert server.ask("GET", path) == (200, b"kept")
    assert server.ask("GET", f"/cas/{hex_of(b'copy')}")[0] == 404


def test_what_is_not_sent_to_its_end_is_never_seen(server: CacheServer) -> None:
    path = f"/cas/{hex_of(b'torn')}"
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port))) as sender:
        login = f"Authorization: {LOGIN['Authorization']}"
        sender.sendall(f"PUT {path} HTTP/1.1\r\nHost: c\r\n{login}\r\nContent-Length: 1000000\r\n\r\n".encode())
        sender.sendall(b"half" * 100_000)
        assert server.ask("GET", path)[0] == 404
    assert server.ask("GET", path)[0] == 404
    assert server.ask("PUT", path, b"torn")[0] == 201
    assert server.ask("GET", path) == (200, b"torn")


def test_writes_are_logged_with_who_wrote(tmp_path: Path) -> None:
    path = f"/cas/{hex_of(b'logged')}"
    with cache_server(tmp_path / "server") as server:
        server.ask("PUT", path, b"logged")
        server.ask("PUT", path, b"logged", headers={})
        server.ask("GET", path)
    out = server.writes.read_text()
    written, refused = sorted(out.splitlines(), key=lambda line: line.split()[-2])
    assert f' ci "PUT {path}" 201 ' in written
    assert f' - "PUT {path}" 401 ' in refused
    assert "Basic" not in out
    assert "password" not in server.log.read_text()


def test_without_a_file_of_writers_nobody_writes(tmp_path: Path) -> None:
    with cache_server(tmp_path / "server") as server:
        (tmp_path / "server/nginx/writers").unlink()
        assert server.ask("PUT", f"/cas/{H}", b"x")[0] == 403
        assert server.ask("PUT", f"/cas/{H}", b"x", headers={})[0] == 401
        assert server.ask("GET", f"/cas/{H}", headers={})[0] == 404


def test_a_full_disk_takes_nothing_and_gives_what_it_has(tmp_path: Path, small_disk: Path) -> None:
    with cache_server(tmp_path / "server", data=small_disk) as server:
        first, second, third = (f"/cas/{hex_of(name)}" for name in (b"first", b"second", b"third"))
        assert server.ask("PUT", first, bytes(300_000))[0] == 201
        assert server.ask("PUT", second, bytes(2_000_000))[0] in (500, 507)
        assert server.ask("GET", second)[0] == 404
        assert server.ask("GET", first) == (200, bytes(300_000))
        while (
            server.ask("PUT", third, bytes(300_000))[0] != 201
        ):  # nginx lets go of the room when it is done with the rest
            time.sleep(0.05)
        assert server.ask("GET", third)[0] == 200
        assert list((small_disk / ".part").iterdir()) == []


def test_with_tls(tmp_path: Path) -> None:
    with cache_server(tmp_path / "server", tls=True) as server:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "server/nginx/certificate.pem"))
        connection = http.client.HTTPSConnection(server.host, context=trusted)
        connection.request("PUT", f"/cas/{H}", b"sealed", LOGIN)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (201, b"")
        connection.request("GET", f"/cas/{H}")
        assert connection.getresponse().read() == b"sealed"
        connection.close()
        with pytest.raises(ssl.SSLError):
            http.client.HTTPSConnection(server.host, context=ssl.create_default_context()).request("GET", "/")
        assert server.ask("GET", f"/cas/{H}")[0] == 400  # plain HTTP
