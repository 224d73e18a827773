"""`docker buildrules …`, started by Docker's own command line."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules import __version__, docker_plugin
from buildrules.oci.docker_http import Engine
from tests.oci.registry.servers import certify
from tests.support.dockerlab import tidy
from tests.support.space import APP, Space

PROGRAM = "docker-buildrules"


@pytest.fixture
def docker(built: Space, tmp_path: Path) -> "Docker":
    if shutil.which("docker") is None and not os.environ.get("CI"):
        pytest.skip("docker is not installed")
    built.env["DOCKER_CONFIG"] = str(tmp_path / "docker")
    built.env["HOME"] = str(tmp_path)
    built.run("setup", "docker")
    return Docker(built)


class Docker:
    """Docker's command line in a workspace, with the plugin and a configuration of its own."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.link = Path(space.env["DOCKER_CONFIG"], "cli-plugins", PROGRAM)

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["docker", *words],
            cwd=self.space.root,
            env={**self.space.env, **env},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, code: int = 0, **env: str) -> str:
        process = self.start(*words, **env)
        out, err = process.communicate()
        assert process.returncode == code, out + err
        return out + err


def test_docker_builds(docker: Docker) -> None:
    assert "unchanged" in docker.run("buildrules", "build", APP)
    docker.space.append("src/score.py", "# edited\n")
    assert "file src/score.py changed" in docker.run("--log-level", "info", "buildrules", "build", APP)
    assert "no command 'biuld'; did you mean 'build'?" in docker.run("buildrules", "biuld", code=2)


def test_docker_knows_it(docker: Docker) -> None:
    assert "buildrules*" in docker.run("--help")
    (plugin,) = json.loads(docker.run("info", "--format", "{{json .ClientInfo.Plugins}}").splitlines()[0])
    assert (plugin["Name"], plugin["Version"], plugin.get("Err")) == ("buildrules", __version__, None)
    assert "Usage: docker buildrules build" in docker.run("buildrules", "build", "--help")
    assert docker.run("help", "buildrules", "build") == docker.run("buildrules", "build", "--help")


def test_completion(docker: Docker) -> None:
    assert docker.run("__complete", "buildrules", "bu").splitlines()[:3] == ["build", "bundle", ":4"]
    assert docker.run("__complete", "buildrules", "build", "//:a").splitlines()[:2] == ["//:app", ":4"]
    assert docker.run("__complete", "buildrules", "build", "//").splitlines()[:2] == ["//:", ":6"]
    assert docker.run("__complete", "buildrules", "copy", "x").splitlines()[0] == ":0"  # files


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_options_of_docker_name_the_engine(docker: Docker, engine: Engine) -> None:
    name = f"buildrules-test-{os.urandom(4).hex()}"
    docker.space.edit("BUILD.yaml", "name: acme", f"name: {name}")
    host = docker.space.env.pop("DOCKER_HOST", "unix:///var/run/docker.sock")
    docker.run("context", "create", "mine", "--docker", f"host={host}")
    nowhere = {"DOCKER_HOST": "unix:///nowhere"}
    with tidy(engine, name):
        assert "loaded" in docker.run("--context", "mine", "buildrules", "load", APP, **nowhere)
        assert "there already" in docker.run("-D", "-H", host, "buildrules", "load", APP, **nowhere)
        assert "unix:///nowhere" in docker.run("buildrules", "load", APP, code=1, **nowhere)
        config = docker.space.env.pop("DOCKER_CONFIG")
        docker.run("--config", config, "context", "use", "mine")
        assert "there already" in docker.run("--config", config, "buildrules", "load", APP)


def test_a_signal_for_docker_alone_reaches_the_build(docker: Docker) -> None:
    process = docker.start("buildrules", "watch", APP)
    assert process.stdout is not None
    assert process.stderr is not None
    assert any("Ctrl-C ends it" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)  # the plugin has closed them, too
    assert process.returncode == 0  # as `watch` ends with Ctrl-C


def test_setup_is_upgraded_and_removed(docker: Docker) -> None:
    space = docker.space
    before = os.readlink(docker.link)
    assert "' leads to '" in space.run("setup", "docker").out
    docker.link.unlink()
    docker.link.symlink_to(f"/gone/{PROGRAM}")  # of an environment that was removed
    space.run("setup", "docker").said("now leads to", f"before: '/gone/{PROGRAM}'")
    assert os.readlink(docker.link) == before
    space.run("setup", "docker", "--remove").said("removed")
    assert not os.path.lexists(docker.link)
    space.run("setup", "docker", "--remove").said("there is no")


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_not_ours_is_left_alone(docker: Docker, tmp_path: Path, kind: str) -> None:
    docker.link.unlink()
    other = tmp_path / PROGRAM if kind == "link" else docker.link
    other.write_text("#!/bin/sh\n")
    if kind == "link":
        docker.link.symlink_to(other)
    for more in ((), ("--remove",)):
        docker.space.run("setup", "docker", *more, code=2).said("is not of buildrules")
    assert docker.link.read_text() == "#!/bin/sh\n"


def test_files_of_certificates() -> None:
    assert docker_plugin.variables({"tlsverify": "", "tlscacert": "/c/ca.pem", "tlskey": "/c/key.pem"}) == {
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/c",
    }
    with pytest.raises(ValueError, match=r"a file named 'ca\.pem'"):
        docker_plugin.variables({"tlscacert": "/c/own.pem"})
    with pytest.raises(ValueError, match="one folder"):
        docker_plugin.variables({"tlscacert": "/c/ca.pem", "tlskey": "/d/key.pem"})


@pytest.mark.parametrize(
    ("options", "env", "secured"),
    [
        (["--tlsverify=false"], {}, True),
        (["--tlsverify=F"], {}, True),
        (["--tls=false"], {}, False),
        (["--tls=0"], {"DOCKER_CERT_PATH": "certificates", "DOCKER_TLS": "1"}, False),
        (["--tls=False"], {"DOCKER_TLS_VERIFY": "1"}, True),
        (["--tls=T"], {}, True),
        (["--tlscacert", "certificates/ca.pem"], {}, False),
        ([], {"DOCKER_TLS": "1"}, True),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list | dict) else "",
)
def test_it_speaks_tls_where_docker_does(
    docker: Docker, tmp_path: Path, options: list[str], env: dict[str, str], secured: bool
) -> None:
    certify(tmp_path)
    folders = docker.link.parents[1], docker.space.path("certificates")
    for folder in folders:
        folder.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "certificate.pem", folder / "ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        for own in (["version"], ["buildrules", "load", APP]):
            host = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            process = docker.start(*options, "-H", host, *own, **env)
            peer, _ = server.accept()
            with peer:
                assert (peer.recv(1) == b"\x16") == secured, own  # a handshake, RFC 8446, 5.1
            process.kill()
            process.communicate()


def test_what_is_neither_true_nor_false() -> None:
    with pytest.raises(ValueError, match="'--tls=yes' is neither true nor false"):
        docker_plugin.variables({"tls": "yes"})


_VALUES = st.text("ab=-/:.", min_size=1).map(lambda text: f"v{text}")
_GIVEN = st.one_of(
    st.tuples(st.sampled_from(["-D", "--debug", "--tls"]), st.just(None)),
    st.tuples(st.sampled_from(["-c", "--context", "-H", "--host", "--config", "-Dl", "--tlskey"]), _VALUES),
)


@given(st.lists(st.tuples(_GIVEN, st.booleans())), st.lists(st.sampled_from(["build", "-H", "buildrules", "//x"])))
def test_options_before_the_name_are_dockers(
    options: list[tuple[tuple[str, str | None], bool]], own: list[str]
) -> None:
    words, hosts = [], []
    for (name, value), joined in options:
        words += [name] if value is None else [f"{name}={value}"] if joined else [name, value]
        hosts += [value] if name in ("-H", "--host") else []
    given_, rest = docker_plugin.split([*words, "buildrules", *own])
    assert rest == own
    assert given_.get("host") == (hosts[-1] if hosts else None)


def test_without_docker_all_words_are_its_own() -> None:
    assert docker_plugin.split(["-C", "there", "build", "//x"]) == ({}, ["-C", "there", "build", "//x"])
    program = Path(sys.executable).parent / PROGRAM
    assert __version__ in subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
