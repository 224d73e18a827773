"""Builds whose steps BuildGrid hands to workers, some of which are killed meanwhile; and what it refuses."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.support.buildgrid import BuildGrid
from tests.support.processes import wait_for
from tests.support.space import Report, Space

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("buildgrid")]


def begin(space: Space, server: BuildGrid, tools: Path, **settings: Any) -> Popen[str]:
    """Begin a build that sends all that can be sent."""
    shutil.rmtree(space.store, ignore_errors=True)
    space.store.mkdir()
    shutil.copytree(tools, space.store / "interpreters", copy_function=os.link)
    executor = json.dumps({"url": server.url, "shortest": 0, **settings})
    space.edit("BUILD.yaml", "targets:", f"  executor: {executor}\ntargets:")
    return space.start("build", "//...", "--json")


def ended(process: Popen[str]) -> dict[str, str | None]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return Report(json.loads(out)).digests


@pytest.fixture
def here(workspace: Space, request: pytest.FixtureRequest) -> Iterator[Mapping[str, str | None]]:
    """What a build makes here; its code is of this test's own, so that no other one's results are of use."""
    workspace.append("src/helper.py", f"name = {request.node.name!r}\n")
    yield workspace.build("//...").digests


def test_another_worker_goes_on_after_a_kill(
    workspace: Space, here: Mapping[str, Any], buildgrid: BuildGrid, tools: Path
) -> None:
    process = begin(workspace, buildgrid, tools, properties={"OSFamily": "linux"})
    wait_for(lambda: bool(buildgrid.busy()))
    number = buildgrid.busy()[0]
    buildgrid.kill_worker(number)
    try:
        assert ended(process) == here
    finally:
        buildgrid.start_worker(number)


def test_a_build_outlives_the_scheduler(
    workspace: Space, here: Mapping[str, Any], buildgrid: BuildGrid, tools: Path
) -> None:
    process = begin(workspace, buildgrid, tools)
    wait_for(lambda: bool(buildgrid.busy()))
    buildgrid.kill_scheduler()
    buildgrid.start_scheduler()
    assert ended(process) == here


def test_each_step_of_two_builds_runs_once(
    workspace: Space, here: Mapping[str, Any], buildgrid: BuildGrid, tools: Path, new_space: Callable[..., Space]
) -> None:
    spaces = [workspace, new_space("second"), new_space("third")]
    for space, namespace in zip(spaces, ("alone", "both", "both"), strict=True):
        space.write("src/helper.py", workspace.path("src/helper.py").read_text())
        space.edit("BUILD.yaml", "targets:", f"  cache: {{namespace: {namespace}}}\ntargets:")
    counts = [executed(buildgrid)]
    assert ended(begin(spaces[0], buildgrid, tools)) == here
    counts.append(executed(buildgrid))
    first = begin(spaces[1], buildgrid, tools)
    time.sleep(0.2)
    second = begin(spaces[2], buildgrid, tools)
    assert ended(first) == ended(second) == here
    counts.append(executed(buildgrid))
    assert counts[2] - counts[1] == counts[1] - counts[0] > 5


def executed(server: BuildGrid) -> int:
    """How many actions its workers have run well."""
    return sum(path.read_text().count("Runner exited with code 0") for path in server.logs.glob("w*.log"))


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"pool": "x"}, ["pool", "see workspace.executor.properties"]),
        ({"OSFamily": "plan9"}, ["no worker of", "that has OSFamily=plan9 took a step of this build within 3 seconds"]),
    ],
)
def test_properties_that_nobody_has(
    workspace: Space, buildgrid: BuildGrid, tools: Path, properties: dict[str, str], said: list[str]
) -> None:
    process = begin(workspace, buildgrid, tools, properties=properties, queued=3)
    _, err = process.communicate()
    assert process.returncode == 1
    for text in said:
        assert text in err
