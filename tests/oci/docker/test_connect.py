"""Finding the engine the way Docker's own client does."""

import contextlib
import hashlib
import json
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.errors import DockerError
from buildrules.oci.docker_connect import connect, public
from buildrules.oci.docker_http import Engine
from tests.oci.registry.servers import certify
from tests.support.dockerlab import proxy_at


def context(folder: Path, name: str, host: str) -> None:
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}})
    )


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("chosen", ["DOCKER_CONTEXT", "config.json"])
def test_contexts(engine: Engine, tmp_path: Path, kind: str, chosen: str) -> None:
    with proxy_at(kind) as proxy:
        context(tmp_path, "elsewhere", proxy.host)
        environment = {"DOCKER_CONFIG": str(tmp_path)}
        if chosen == "config.json":
            (tmp_path / "config.json").write_text('{"currentContext": "elsewhere"}')
        else:
            environment["DOCKER_CONTEXT"] = "elsewhere"
        mine = connect(environment)
        assert mine.host == proxy.host
        assert mine.info["ID"] == engine.info["ID"]
    assert proxy.requests


def test_docker_host_wins_over_a_context(tmp_path: Path) -> None:
    context(tmp_path, "elsewhere", "unix:///nowhere/a.sock")
    with pytest.raises(DockerError, match=r"nowhere/b\.sock"):
        connect(
            {
                "DOCKER_CONFIG": str(tmp_path),
                "DOCKER_CONTEXT": "elsewhere",
                "DOCKER_HOST": "unix:///nowhere/b.sock",
            }
        )


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense://x"])
def test_no_engine(host: str) -> None:
    with pytest.raises(DockerError) as caught:
        connect({"DOCKER_HOST": host})
    assert caught.value.hint
    assert "DOCKER_HOST" in caught.value.hint
    assert "push" not in caught.value.hint
    assert "Pool" not in caught.value.message
    assert "Connection(" not in caught.value.message


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DockerError, match="'gone'"):
        connect({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})


def test_something_else_listens(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(5)

        def answer() -> None:
            peer, _ = server.accept()
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DockerError, match="does not answer as a docker engine"):
            connect({"DOCKER_HOST": f"tcp://127.0.0.1:{server.getsockname()[1]}"})
        thread.join()


def test_addresses_lose_their_user() -> None:
    assert public("ssh://me:secret@build.example:22") == "ssh://build.example:22"
    assert public("unix:///var/run/docker.sock") == "unix:///var/run/docker.sock"


PING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@contextlib.contextmanager
def secured(tmp_path: Path, answers: int) -> Iterator[str]:
    """A server that speaks TLS, wants a certificate of its own authority shown, and answers as an engine does."""
    certify(tmp_path)
    for name in ("ca", "cert"):
        (tmp_path / f"{name}.pem").write_bytes((tmp_path / "certificate.pem").read_bytes())
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    settings.load_verify_locations(tmp_path / "ca.pem")
    settings.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            for _ in range(answers):
                peer, _ = server.accept()
                with contextlib.suppress(OSError), settings.wrap_socket(peer, server_side=True) as one:
                    one.recv(4096)
                    one.sendall(PING)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_engine_behind_tls(tmp_path: Path) -> None:
    with secured(tmp_path, 3) as host:
        found = connect({"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)})
        assert found.host == host
        (tmp_path / "nobody").mkdir()
        with pytest.raises(DockerError, match="certificate"):
            connect({"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path / "nobody")})
        home = tmp_path / "home"
        context(home, "far", host)
        folder = home / "contexts" / "tls" / hashlib.sha256(b"far").hexdigest() / "docker"
        folder.mkdir(parents=True)
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (folder / name).write_bytes((tmp_path / name).read_bytes())
        assert connect({"DOCKER_CONFIG": str(home), "DOCKER_CONTEXT": "far"}).host == host


def test_an_engine_of_another_machine_by_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ssh"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\nopen({str(tmp_path / 'said')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"os.read(0, 4096)\nos.write(1, {PING!r})\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = connect({"DOCKER_HOST": "ssh://me@build.example:2222"})
    assert found.host == "ssh://build.example:2222"
    assert (tmp_path / "said").read_text() == "-l me -p 2222 -- build.example docker system dial-stdio"
    program.unlink()
    with pytest.raises(DockerError, match=r"cannot reach the docker engine at 'ssh://build\.example'"):
        connect({"DOCKER_HOST": "ssh://build.example"})
