"""`buildrules test` in a workspace, by each runner, and what it leaves behind."""

import json
import subprocess
from typing import Any

import pytest

from buildrules.oci.docker_connect import connect
from tests.support.space import Space

RUNNERS = [pytest.param("docker", marks=pytest.mark.docker), "podman", "rootfs"]


def forget(space: Space) -> None:
    """Remove the workspace's image from Podman."""
    name = f"{space.name}/app:buildrules-test"
    if subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0:
        podman("rmi", "--force", name)


def podman(*args: str) -> str:
    return subprocess.run(["podman", *args], check=True, capture_output=True, text=True).stdout


def results(space: Space, *args: str, code: int = 0, **more: Any) -> dict[str, dict[str, Any]]:
    result = space.run("test", *args, "--json", code=code, **more)
    return {test["label"]: test for test in json.loads(result.out)["tests"]}


def failures(space: Space, *args: str) -> list[dict[str, str]]:
    (test,) = results(space, *args, code=1).values()
    assert test["status"] == "failed"
    found: list[dict[str, str]] = test["failures"]
    return found


def in_docker(space: Space) -> list[str]:
    """The containers of the workspace's package in Docker, running or not: they are known by the image's ID."""
    engine = connect()
    image = engine.inspect_image(f"{space.name}/app:buildrules-test")
    known = image["Id"] if image is not None else ""
    found = engine.call("GET", "/containers/json", query={"all": 1})
    return [f"{one['Id'][:12]} {one['State']}" for one in found if one["ImageID"] == known]


def in_podman(space: Space) -> list[str]:
    return [line for line in podman("ps", "--all", "--format", "{{.Image}}").splitlines() if space.name in line]


def left(space: Space, runner: str) -> list[str]:
    """Containers and folders of this workspace's package that are still there."""
    folders = [path.name for path in (space.store / "tmp").glob("private-*")]
    return {"docker": in_docker, "podman": in_podman}.get(runner, lambda _: [])(space) + folders
