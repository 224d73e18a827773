"""`buildrules test`: packages started by each runner, asked, compared and stopped."""

import json
import os
from collections.abc import Callable, Iterator

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.space import Space, make_base

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

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
RUNNERS = ["docker", "podman", "rootfs"]


@pytest.fixture
def space(new_space: Callable[..., Space], busybox: bytes, engine: Engine) -> Iterator[Space]:
    made = new_space()
    make_base(made.path("busybox"), files={"bin/busybox": busybox, "bin/sh": busybox}, mode=0o755)
    made.write("rules/cgi.yaml", SERVER)
    made.edit("BUILD.yaml", "layout: base", "layout: busybox")
    made.edit("BUILD.yaml", "//rules:tiny", "//rules:cgi")
    made.write("src/start.sh", START)
    made.write("src/score", SCORE, mode=0o755)
    made.append("BUILD.yaml", TEST)
    made.name = f"buildrules-test-{os.urandom(4).hex()}"
    made.edit("BUILD.yaml", "name: acme", f"name: {made.name}")
    with tidy(engine, made.name):
        yield made


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def results(space: Space, *args: str, code: int = 0) -> dict[str, dict]:
    result = space.run("test", *args, "--json", code=code)
    return {test["label"]: test for test in json.loads(result.out)["tests"]}


def test_a_sound_package_passes_once(space: Space, runner: str) -> None:
    out = space.run("test", "//...", "--runner", runner).said("2 requests in ", f"({runner})", "1 passed in").out
    assert out.startswith("passed      //:app_test")
    space.run("test", "//...", "--runner", runner).said("cached      //:app_test  2 requests, unchanged", "1 cached in")
    space.write("src/helper.py", "answer = 43\n")
    found = results(space, "//:app_test", "--runner", runner)
    assert found["//:app_test"]["status"] == "passed"
    assert found["//:app_test"]["requests"] == 2


def test_a_server_that_only_it_can_reach_fails(space: Space, runner: str) -> None:
    space.edit("src/start.sh", "-p 8080", "-p 127.0.0.1:8080")
    space.edit("BUILD.yaml", "    package: :app\n", "    package: :app\n    ready_timeout: 3\n")
    told = space.run("test", "//:app_test", "--runner", runner, code=1).said("never ready")
    if runner == "rootfs":
        told.said("it listens at 127.0.0.1 only", "0.0.0.0")


def test_an_answer_does_not_reach_the_terminal_as_commands(space: Space) -> None:
    space.write("src/score", "#!/bin/busybox sh\necho; printf '\\033]0;owned\\007{'\n", mode=0o755)
    told = space.run("test", "//:app_test", "--runner", "rootfs", code=1).said("\\x1b]0;owned\\x07")
    assert "\x1b" not in told.out and "\x07" not in told.out
