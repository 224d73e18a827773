"""`run` as people use it, with volumes, networks, variables and names; `ps`, `logs` and `stop`, with a real engine."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.running import running_space
from tests.support.space import APP, Space

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.xdist_group("docker")]


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, busybox: bytes, engine: Engine
) -> Iterator[Space]:
    """A package that was loaded once."""
    space = running_space(tmp_path_factory.mktemp("run"), wheelhouse, busybox)
    with tidy(engine, space.name):
        space.run("load", APP)
        yield space


@pytest.fixture
def name(served: Space) -> Iterator[str]:
    """A name for a container, and none of ours left afterwards."""
    yield f"{served.name}-{os.urandom(2).hex()}"
    for one in listed(served):
        served.run("stop", str(one["name"]), "-t", "0")


@pytest.fixture
def network(engine: Engine, name: str) -> Iterator[str]:
    """A network of the engine."""
    engine.call("POST", "/networks/create", body={"Name": name})
    yield name
    subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
    engine.call("DELETE", f"/networks/{name}")


def listed(space: Space) -> list[dict[str, object]]:
    """What `ps` has of this workspace."""
    found = json.loads(space.run("ps", "--json").out)["containers"]
    return [one for one in found if one["workspace"] == str(space.root)]


def asked(out: str) -> str:
    (url,) = re.findall(r"scoring +(http://\S+)", out)
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


def test_a_life(served: Space, engine: Engine, name: str, network: str) -> None:
    served.write("more.env", "# for the server\n\nFROM_FILE=a b = c\nTWICE=file\nHOME\nNOT_IN_THIS_SHELL\n")
    given = [
        "--name",
        name,
        "--network",
        network,
        "--env-file",
        "more.env",
        "-e",
        "TWICE=line",
        "-v",
        "./data:/srv/data:ro",
    ]
    out = served.run("run", "-d", APP, *given).said(f"stop it with: buildrules stop {name}").out
    answer = asked(out)
    assert "FROM_FILE=a b = c\n" in answer and "TWICE=line\n" in answer and answer.endswith("one\n")
    assert f"HOME={served.env['HOME']}\n" in answer and "NOT_IN_THIS_SHELL" not in answer
    found = engine.call("GET", f"/containers/{name}/json")
    assert found["HostConfig"]["Binds"] == [f"{served.path('data')}:/srv/data:ro"]
    assert list(found["NetworkSettings"]["Networks"]) == [network]

    served.run("run", "-d", APP, "--name", name, code=1).said(
        f"there is a container named '{name}' already", f"buildrules stop {name}"
    )
    (one,) = listed(served)
    assert (one["name"], one["label"], one["running"]) == (name, APP, True)
    (port,) = one["ports"].values()  # type: ignore[attr-defined]
    served.run("ps").said("CONTAINER ", f"{name}  {APP} ", "  Up ", f"http://127.0.0.1:{port}")

    follower = served.start("logs", "-f", APP)
    assert follower.stderr is not None and follower.stderr.readline() == "starting\n"
    served.run("logs", name).said("starting")
    assert served.run("logs", name, "--tail", "0").err == ""
    served.run("stop", ":app").said(f"stopped {APP} (container {name})")
    out, err = follower.communicate(timeout=60)
    assert (follower.returncode, out, err) == (0, "bye\n", "")
    assert listed(served) == []


def test_one_that_has_ended_is_listed_until_it_is_removed(served: Space, engine: Engine, name: str) -> None:
    served.run("run", "-d", APP, "--name", name)
    engine.call("POST", f"/containers/{name}/kill")
    engine.call("POST", f"/containers/{name}/wait")
    served.run("ps").said(f"{name}  {APP} ", "  Exited (137) ")
    served.run("logs", "-f", name).said("starting")
    served.run("stop", name).said(f"stopped {APP}")
    assert engine.call("GET", f"/containers/{name}/json", missing_ok=True) is None


def test_in_the_network_of_the_host(served: Space, name: str) -> None:
    out = served.run("run", "-d", APP, "--network", "host", "--name", name).out
    assert "HTTP_HOST" in asked(out) or "PATH=" in asked(out)
    served.run("ps").said("network of this machine")


def test_variables_may_come_by_a_pipe(served: Space, name: str) -> None:
    served.build()
    pipe = served.folder / name
    os.mkfifo(pipe)
    process = served.start("run", "-d", APP, "--name", name, "--env-file", str(pipe))
    pipe.write_text("FROM_PIPE=once\n")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "FROM_PIPE=once\n" in asked(out)


def test_of_several_all_are_stopped_and_one_is_shown(served: Space, name: str) -> None:
    for number in (1, 2):
        served.run("run", "-d", APP, "--name", f"{name}-{number}")
    served.run("logs", APP, code=2).said("several containers run '//:app'", f"{name}-1, {name}-2")
    served.run("stop", APP, "-t", "0").said(f"(container {name}-1)", f"(container {name}-2)")
    assert listed(served) == []


def test_following_ends_at_ctrl_c_and_the_package_goes_on(served: Space, name: str) -> None:
    served.run("run", "-d", APP, "--name", name)
    follower = served.start("logs", "-f", name)
    assert follower.stderr is not None and follower.stderr.readline() == "starting\n"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(60) == 0
    assert [one["running"] for one in listed(served)] == [True]


@pytest.mark.parametrize(
    ("options", "code", "texts"),
    [
        (["-v", "./missing:/srv/data"], 2, ["there is no './missing', which is to be /srv/data in the container"]),
        (["-v", "./data:srv"], 2, ["'srv', where './data' is to be in the container, is not an absolute path"]),
        (["-v", "./data:/srv/data:or"], 2, ["'or' is no mode of a volume", "modes are ro, rw"]),
        (
            ["-v", "./data:/srv/data", "-v", "./data:/srv/data/:ro"],
            2,
            ["data:/srv/data' and '", "data:/srv/data/:ro' both lie in /srv/data", "leave one of them out"],
        ),
        (["-v", "/srv/data"], 2, ["'/srv/data' is not a volume", "write SOURCE:PLACE"]),
        (["--network", "nowhere-at-all"], 1, ["has no network 'nowhere-at-all'", "bridge"]),
        (["--network", "none"], 2, ["nobody can ask a package in the network 'none'"]),
        (["--network", "host", "-p", "5001"], 2, ["at its own ports of this machine", "leave out --port"]),
        (["--name", "-x"], 2, ["'-x' cannot be the name of a container"]),
        (["--gpus", "some"], 2, ["'some' names no GPUs", "write all, a number, or device=0,1"]),
        (["--gpus", "all"], 1, ["has no GPUs to give", "Container Toolkit"]),
        (["--env-file", "missing.env"], 2, ["the file of variables 'missing.env' cannot be read: no such file"]),
    ],
)
def test_what_cannot_be_given(served: Space, engine: Engine, options: list[str], code: int, texts: list[str]) -> None:
    served.run("run", "-d", APP, *options, code=code).said(*texts)
    assert listed(served) == []


def test_a_network_that_nobody_reaches(served: Space, engine: Engine, name: str) -> None:
    engine.call("POST", "/networks/create", body={"Name": name, "Internal": True})
    try:
        served.run("run", "-d", APP, "--network", name, code=1).said(
            "nobody reaches '//:app' from here: its network publishes no ports", "not internal"
        )
    finally:
        engine.call("DELETE", f"/networks/{name}")
    assert listed(served) == []


def test_what_is_not_there(served: Space) -> None:
    served.run("stop", "nobody-has-this-name", code=2).said("nothing that buildrules started is called 'nobody-has")
    served.run("logs", APP, code=2).said("nothing that buildrules started is called '//:app'")
    served.run("stop", code=2).said("nothing is named that is to be stopped", "--all")
    served.run("stop", "--all", APP, code=2).said("not both")


def test_a_gpu_package_is_told_of_gpus(served: Space, new_space: Callable[..., Space], name: str) -> None:
    served.append("BUILD.yaml", "    gpu: true\n")
    try:
        served.run("run", "-d", APP, "--name", name).said(f"{APP} is made for GPUs; --gpus all gives it those")
    finally:
        served.edit("BUILD.yaml", "    gpu: true\n", "")


def test_what_a_volume_hides_is_said_before_the_build(served: Space, name: str) -> None:
    for place, label in (("/srv/cgi-bin", "//:code"), ("/srv/", "//:code"), ("/srv/model/weights", "")):
        served.run("run", "-d", APP, "--name", name, "--network", "gone-away", "-v", f"./src:{place}", code=1).said(
            f"warning: -v ./src:{place} hides {label}" if label else "gone-away"
        )
