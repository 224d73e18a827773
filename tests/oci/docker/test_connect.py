"""Finding the engine the way Docker's own client does."""

import hashlib
import json
import socket
import threading
from pathlib import Path

import pytest

from buildrules.errors import DockerError
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine, public
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
def test_contexts(engine: Engine, tmp_path: Path, kind: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_at(kind) as proxy:
        context(tmp_path, "elsewhere", proxy.host)
        environment = {"DOCKER_CONFIG": str(tmp_path)}
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))  # the SDK looks at the process's own
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
