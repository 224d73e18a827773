"""A file is copied out of a container that has ended, though the engine sends nothing at first."""

import io
import socketserver
import tarfile
import threading
from pathlib import Path

import pytest

from buildrules.errors import ServingError
from buildrules.oci.docker_connect import connect
from buildrules.serving.container import Container
from tests.support.local import Plain


class Answers(socketserver.ThreadingUnixStreamServer):
    """Gives one body after another, and the last one for ever."""

    def __init__(self, path: Path, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.asked = 0
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(Plain):
    server: Answers

    def answer(self) -> None:
        self.server.asked += 1
        self.send(200, self.server.bodies.pop(0) if len(self.server.bodies) > 1 else self.server.bodies[0])


def container_of(server: Answers, monkeypatch: pytest.MonkeyPatch) -> Container:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{server.server_address}")
    container = Container(connect(), "image")
    container.id = "0123456789ab"
    return container


def packed(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("rows.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_it_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answers(tmp_path / "engine", b"", packed(b"1,2\n")) as server:
        assert container_of(server, monkeypatch).read("/var/out/rows.csv") == b"1,2\n"
        assert server.asked >= 2
        server.shutdown()


def test_an_engine_that_never_sends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answers(tmp_path / "engine", b"") as server:
        with pytest.raises(ServingError, match="the engine sent nothing"):
            container_of(server, monkeypatch).read("/var/out/rows.csv")
        server.shutdown()
