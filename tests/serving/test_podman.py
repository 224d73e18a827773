"""Podman by its socket: found or started, and what goes wrong on the way."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.errors import DockerError, ServingError, UsageError
from buildrules.oci.docker_connect import unix
from buildrules.oci.docker_http import Engine
from buildrules.serving import podman
from buildrules.serving.container import Container
from buildrules.serving.engine import docker_runner, podman_runner
from buildrules.serving.podman import podman_engine
from buildrules.serving.runner import Package
from tests.support.dockerlab import Proxy, tidy
from tests.support.handmade import Shelf, image_of
from tests.support.quick import first_quick

pytestmark = pytest.mark.xdist_group("podman")  # it cannot list images while another process removes some

VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LD_PRELOAD": "/nonexistent.so",
    "TMPDIR": "/nonexistent",
    "CONTAINERS_CONF": "/nonexistent",
    "EMPTY": "",
    "PLAIN": "a b=c",
    "LINES": "one\ntwo ",
    "QUOTED": "'a' \"b\" #c $PATH \\",
}


def services() -> list[str]:
    """The services of Podman that this process started."""
    found = []
    for number in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for child in number.read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            found += [" ".join(words)] if "service" in words else []
    return found


@contextlib.contextmanager
def forgotten(name: str) -> Iterator[None]:
    """Afterwards Podman has nothing of that name."""
    with podman_engine() as engine, tidy(engine, f"docker.io/library/{name}"):
        yield


@pytest.fixture
def name() -> Iterator[str]:
    unique = f"buildrules-test-{os.urandom(4).hex()}"
    with forgotten(unique):
        yield unique


@pytest.fixture
def package(shelf: Shelf, busybox: bytes, name: str) -> Package:
    """A package that says what its variables are."""
    tools = shelf.layer({"bin/busybox": busybox}, "tools", mode=0o755, packed=True)
    show = " ".join(f'"<${{{name}}}>"' for name in VARIABLES)
    image = image_of([tools], entrypoint=["/bin/busybox", "sh", "-c", f"echo {show}"], labels={"test": name})
    return Package("//:app", name, image, shelf.stream, "linux/amd64", (), environment=VARIABLES)


def test_variables_reach_the_package_alone(package: Package, tmp_path: Path) -> None:
    before = services()
    with podman_runner(str(tmp_path)).start(package) as running:
        assert len(services()) == len(before) + 1
        while running.state().running:
            time.sleep(0.05)
        log = running.log()
    assert log == " ".join(f"<{value}>" for value in VARIABLES.values()) + "\n"
    assert services() == before


def test_a_socket_that_is_there_is_used(package: Package, tmp_path: Path) -> None:
    with podman._service() as own, Proxy(own, f"{Path(own).parent}/proxy") as proxy:
        before = services()
        runner = podman_runner(str(tmp_path), ["/nowhere", f"{Path(own).parent}/proxy"])
        with runner.start(package) as running:
            assert services() == before
            assert "<a b=c>" in running.log() or running.state().running
        assert "GET /_ping" in proxy.requests
        assert [request for request in proxy.requests if request.startswith("POST /containers/create")]


def test_docker_host_may_lead_to_podman(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with podman._service() as own:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{own}")
        with docker_runner(str(tmp_path)).start(package) as running:
            while running.state().running:
                time.sleep(0.05)
            log = running.log()
    assert "<a b=c>" in log


@pytest.mark.parametrize(
    ("said", "hint"),
    first_quick(
        [
            ("could not find slirp4netns, the network namespace can't be configured", "--runner rootfs"),
            ("crun: executable file `/bin/nothing` not found in $PATH: No such file or directory", "entry point"),
            ("out of patience", None),
        ]
    ),
)
def test_why_it_does_not_start(
    package: Package, shelf: Shelf, tmp_path: Path, said: str, hint: str | None, name: str
) -> None:
    image = image_of(list(package.image.layers), entrypoint=["/bin/nothing"], labels={"test": name})
    bad = Package("//:app", name, image, shelf.stream, "linux/amd64", ())
    with podman._service() as own, Proxy(own, f"{Path(own).parent}/proxy") as proxy:
        proxy.changes["POST /containers/.*/start"] = lambda _: json.dumps({"message": said}).encode()
        runner = podman_runner(str(tmp_path), [f"{Path(own).parent}/proxy"])
        with (
            pytest.raises(ServingError, match="cannot start '//:app': podman refused POST") as caught,
            runner.start(bad),
        ):
            pass
    assert said in caught.value.message
    assert (hint or "None") in str(caught.value.hint)


def test_a_service_ends_with_its_starter() -> None:
    script = "from buildrules.serving.podman import _service\nwith _service():\n print('ready', flush=True); input()"
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": folder},
        ) as starter,
    ):
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"ready\n"
        (service,) = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        starter.kill()
        with contextlib.suppress(OSError):  # it is there no more
            while b"service" in Path(f"/proc/{service}/cmdline").read_bytes():
                time.sleep(0.01)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called podman."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "podman").touch(0o755)
    return tmp_path / "podman"


def test_a_podman_that_hangs(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(podman, "_SECONDS", 0.2)
    with pytest.raises(UsageError, match=r"podman did not start listening within 0\.2 s"), podman_engine([]):
        pass
    assert (
        "sleep"
        not in subprocess.run(
            ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=True
        ).stdout
    )


def test_a_podman_that_fails(program: Path) -> None:
    program.write_text("#!/bin/sh\necho >&2 first\necho 'Error: no space' >&2\nexit 125\n")
    with pytest.raises(UsageError, match=r"podman does not work: no space$"), podman_engine([]):
        pass


def test_no_podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no podman here"), podman_engine([]):
        pass


@pytest.fixture
def gone() -> Container:
    """A container of a Podman that went away."""
    container = Container(Engine("podman", unix("/nowhere"), "podman"), "image")
    container.id = "number"
    return container


def test_a_log_that_cannot_be_had_hides_nothing(gone: Container) -> None:
    assert gone.log() == "cannot reach podman: No such file or directory\n"


def test_a_file_or_state_that_cannot_be_had_is_an_error(gone: Container) -> None:
    with pytest.raises(DockerError, match="cannot reach podman"):
        gone.read("/out")
    with pytest.raises(DockerError, match="cannot reach podman"):
        gone.state()
