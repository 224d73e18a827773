"""A package's variables reach its container in Podman, and not Podman."""

import os
import stat
import time
from pathlib import Path

import pytest

from buildrules.errors import ServingError
from buildrules.serving import podman
from buildrules.serving.podman_variables import given
from buildrules.serving.runner import Package
from tests.support.handmade import Shelf, image_of

VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LD_PRELOAD": "/nonexistent.so",
    "TMPDIR": "/nonexistent",
    "EMPTY": "",
    "PLAIN": "a b=c",
    "LINES": "one\ntwo ",
    "QUOTED": "'a' \"b\" #c $PATH \\",
}


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDRULES_CACHE_DIR", str(tmp_path / "store"))


def test_they_reach_the_package_alone(shelf: Shelf, busybox: bytes, tmp_path: Path) -> None:
    tools = shelf.layer({"bin/busybox": busybox}, "tools", mode=0o755, packed=True)
    show = " ".join(f'"<${{{name}}}>"' for name in VARIABLES)
    image = image_of([tools], entrypoint=["/bin/busybox", "sh", "-c", f"echo {show}"])
    name = f"buildrules-test-{os.urandom(4).hex()}"
    package = Package("//:app", name, image, shelf.stream, "linux/amd64", (), environment=VARIABLES)
    try:
        with podman.connect().start(package) as running:
            while running.state().running:
                time.sleep(0.05)
            log = running.log()
    finally:
        podman.podman("rmi", "--force", f"localhost/{name}:buildrules-test", check=False)
    assert log == " ".join(f"<{value}>" for value in VARIABLES.values()) + "\n"
    assert not list((tmp_path / "store/tmp").glob("private-*"))


def test_only_what_a_file_cannot_hold_stands_in_its_environment() -> None:
    with given(VARIABLES) as (options, own):
        assert own == {name: VARIABLES[name] for name in ("LINES", "QUOTED")}
        *rest, path = options
        assert rest == ["--env", "LINES", "--env", "QUOTED", "--env-file"]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)
    with given({}) as nothing:
        assert nothing == ([], {})


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "https_proxy", "CONTAINERS_CONF", "XDG_RUNTIME_DIR"])
def test_what_podman_obeys_never_does(name: str) -> None:
    with pytest.raises(ServingError, match=f"'{name}' cannot be given to podman"), given({name: "a\nb"}):
        pass
