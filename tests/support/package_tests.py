"""`buildrules test` in a workspace, by each runner, and what it leaves behind."""

import json
import os
import subprocess
import time
from typing import Any

import pytest

from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import PAUSES
from buildrules.serving.engine import TAG
from tests.support.space import Space, make_base

RUNNERS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("podman", marks=pytest.mark.xdist_group("podman")),
    "rootfs",
]

SERVER = """\
rule: cgi
provides: server
summary: Answers with what it is asked, in a frame.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/cgi-bin}
image:
  environment: {GREETING: hello}
  entrypoint: [/bin/busybox, sh, /srv/cgi-bin/start.sh]
  ports: [8080]
routes: {liveness: 8080/model/weights/labels.txt, readiness: 8080/model/weights/labels.txt, scoring: 8080/cgi-bin/score}
"""
START = """\
trap 'echo bye; exit 0' TERM
echo starting >&2
/bin/busybox httpd -p 8080 -h /srv
while :; do /bin/busybox sleep 0.1; done
"""
SCORE = """\
#!/bin/busybox sh
echo 'Content-Type: application/json'
echo 'X-Greeting: '$GREETING
echo
echo '{"numbers": [1.0, 2.5], "asked": '
/bin/busybox cat
echo '}'
"""
TEST = """\
  app_test:
    rule: package_test
    package: :app
    requests:
      - name: golden
        json: {a: 1}
        expect: {json: {numbers: [1, 2.5], asked: {a: 1}}, headers: {x-greeting: hello}}
      - {route: liveness, expect: {text: "cat\\ndog\\n", contains: [cat]}}
"""


def answering(made: Space, busybox: bytes) -> Space:
    """The new workspace `made`, with a package that answers, which TEST tests."""
    make_base(made.path("busybox"), files={"bin/busybox": busybox, "bin/sh": busybox}, mode=0o755)
    made.name = f"buildrules-test-{os.urandom(4).hex()}"
    made.write("rules/cgi.yaml", SERVER.replace("hello}", f"hello, SPACE: {made.name}}}"))  # no other image is the same
    made.edit("BUILD.yaml", "layout: base", "layout: busybox")
    made.edit("BUILD.yaml", "//rules:tiny", "//rules:cgi")
    made.write("src/start.sh", START)
    made.write("src/score", SCORE, mode=0o755)
    made.edit("BUILD.yaml", "name: acme", f"name: {made.name}")
    return made


def forget(space: Space) -> None:
    """Remove the workspace's image from Podman."""
    for name in podman("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if f"{space.name}/app:{TAG}" in name:
            podman("rmi", "--force", name)


def podman(*args: str) -> str:
    """Podman's answer. It fails over an image or container that another process is removing: it is asked again."""
    for pause in (*PAUSES, 0.0):
        done = subprocess.run(["podman", *args], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            break
        time.sleep(pause)
    done.check_returncode()
    return done.stdout


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
    known = {image["Id"] for image in _tested(space)}
    found = connect().call("GET", "/containers/json", query={"all": 1})
    return [f"{one['Id'][:12]} {one['State']}" for one in found if one["ImageID"] in known]


def _tested(space: Space) -> list[dict[str, Any]]:
    """The images in Docker of the workspace's package that were tested. One that has a container cannot be removed."""
    tag = f"{space.name}/app:{TAG}"
    return [one for one in connect().call("GET", "/images/json") if any(tag in name for name in one["RepoTags"] or ())]


def images_left(space: Space, runner: str) -> int:
    """How many images of tests are left of the workspace's package."""
    if runner == "podman":
        return podman("images", "--format", "{{.Repository}}:{{.Tag}}").count(f"{space.name}/app:{TAG}")
    return len(_tested(space)) if runner == "docker" else 0


def in_podman(space: Space) -> list[str]:
    return [line for line in podman("ps", "--all", "--format", "{{.Image}}").splitlines() if space.name in line]


def left(space: Space, runner: str) -> list[str]:
    """Containers and folders of this workspace's package that are still there."""
    folders = [path.name for path in (space.store / "tmp").glob("private-*")]
    return {"docker": in_docker, "podman": in_podman}.get(runner, lambda _: [])(space) + folders
