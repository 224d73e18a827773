"""`buildrules test`: packages started by each runner, asked, compared and stopped."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from buildrules.oci.docker_http import Engine
from buildrules.serving.leftover import is_left, this_process
from tests.support.damage import DAMAGES
from tests.support.dockerlab import tidy
from tests.support.package_tests import (
    START,
    TEST,
    answering,
    failures,
    forget,
    images_left,
    in_docker,
    in_podman,
    left,
    results,
)
from tests.support.repository import Repository
from tests.support.space import APP, Space

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("docker")]  # the program for the image is downloaded


@pytest.fixture
def space(new_space: Callable[..., Space], busybox: bytes) -> Iterator[Space]:
    """A workspace whose package answers; no image of it is left in Podman."""
    made = answering(new_space(), busybox)
    yield made
    forget(made)


def test_a_sound_package_passes_once(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST)
    out = space.run("test", "//...", "--runner", runner).said("2 requests in ", f"({runner})", "1 passed in").out
    assert out.startswith("passed      //:app_test")
    assert left(space, runner) == []
    # which runner it was is not asked again
    space.run("test", "//...", "--runner", "rootfs").said(
        "cached      //:app_test  2 requests, unchanged", "1 cached in"
    )
    space.write("src/helper.py", "answer = 43\n")
    found = results(space, "//:app_test", "--runner", runner)
    assert found["//:app_test"]["status"] == "passed"
    assert found["//:app_test"]["requests"] == 2


def test_what_failed_is_run_again_alone(space: Space) -> None:
    other = TEST.replace("app_test", "other_test").replace("greeting: hello", "greeting: hi")
    space.append("BUILD.yaml", TEST + other)
    space.run("test", "//...", "--runner", "rootfs", code=1).said("1 passed, 1 failed")
    again = space.run("test", "//...", "--rerun-failed", "--runner", "rootfs", code=1)
    assert "//:app_test" not in again.said("failed      //:other_test", "1 failed").out
    space.edit("BUILD.yaml", "greeting: hi", "greeting: hello")
    space.run("test", "//...", "--rerun-failed", "--runner", "rootfs").said("//:other_test")
    assert space.run("test", "//...", "--rerun-failed").out == "no tests that failed before\n"
    Repository(space.root).commit()
    space.write("src/helper.py", "answer = 43\n")
    first, second = (
        space.run("test", "//...", "--affected", "--shards", f"{n}/2", "--runner", "rootfs").out for n in (1, 2)
    )
    assert ("//:app_test" in first) != ("//:app_test" in second)
    assert ("//:other_test" in first) != ("//:other_test" in second)


def test_a_server_that_only_it_can_reach_fails(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("src/start.sh", "-p 8080", "-p 127.0.0.1:8080")
    space.edit("BUILD.yaml", "    package: :app\n", "    package: :app\n    ready_timeout: 3\n")
    told = space.run("test", "//:app_test", "--runner", runner, code=1).said("never ready")
    if runner == "rootfs":
        told.said("it listens at 127.0.0.1 only", "0.0.0.0")


def test_an_answer_does_not_reach_the_terminal_as_commands(space: Space) -> None:
    space.append("BUILD.yaml", TEST)
    space.write("src/score", "#!/bin/busybox sh\necho; printf '\\033]0;owned\\007{'\n", mode=0o755)
    told = space.run("test", "//:app_test", "--runner", "rootfs", code=1).said("\\x1b]0;owned\\x07")
    assert "\x1b" not in told.out and "\x07" not in told.out


def test_wrong_answers_are_shown_and_not_remembered(space: Space, runner: str) -> None:
    space.append(
        "BUILD.yaml",
        TEST.replace("numbers: [1, 2.5]", "numbers: [1.001, 2.6]").replace("x-greeting: hello", "x-greeting: hi")
        + """\
      - {path: /nothing, expect: {contains: [x]}}
      - {json: 5, expect: {json_path: {"$.numbers[0]": 1, $.asked: 6, $.lost: 1}, tolerance: {absolute: 0.5}}}
""",
    )
    for _ in range(2):
        found = failures(space, "//:app_test", "--runner", runner)
        assert [(item["request"], item["kind"]) for item in found] == [
            ("golden", "wrong header"),
            ("golden", "wrong answer"),
            ("GET /nothing", "wrong status"),
            ("POST /cgi-bin/score", "wrong answer"),
            ("POST /cgi-bin/score", "wrong answer"),
        ]
    assert found[0]["message"] == "header 'x-greeting' is 'hello' instead of 'hi'"
    assert found[1]["message"].startswith("$.numbers[0]: off by 0.001")
    assert "-    2.6" in found[1]["detail"]
    assert "+    2.5   <- off by 0.1, relative 0.0385; tolerance none" in found[1]["detail"]
    assert found[2]["message"] == "status 404 instead of 200"
    assert found[3]["message"] == "$.asked: off by 1, relative 0.167; tolerance absolute 0.5"
    assert found[4]["message"] == "there is nothing at $.lost"
    out = space.run("test", "//:app_test", "--runner", runner, code=1).out
    assert "golden: wrong answer: $.numbers[0]: off by" in out
    assert "      +    2.5   <- off by 0.1" in out


def test_one_that_never_gets_ready(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("rules/cgi.yaml", "readiness: 8080/model/weights/labels.txt", "readiness: 8080/no")
    (found,) = failures(space, "//:app_test", "--runner", runner, "--timeout", "1")
    assert found["kind"] == "never ready"
    assert "'//:app' was not ready after 1 s: GET /no at port 8080: answered 404; it listens" in found["message"]
    assert found["log"] == "starting\n"
    assert left(space, runner) == []


def test_one_that_has_no_such_route_and_does_nothing_is_not_waited_for_to_the_end(space: Space) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("rules/cgi.yaml", "readiness: 8080/model/weights/labels.txt", "readiness: 8080/no")
    began = time.monotonic()
    (found,) = failures(space, "//:app_test", "--runner", "rootfs", "--timeout", "600")
    assert time.monotonic() - began < 300
    assert re.search(r"not ready after \d\d s: GET /no at port 8080: answered 404; it listens", found["message"])


def test_what_passed_in_more_time_did_not_pass_in_less(space: Space) -> None:
    space.append("BUILD.yaml", TEST.replace("    requests:", "    ready_timeout: 1\n    requests:"))
    space.write("src/start.sh", START.replace("echo starting", "/bin/busybox sleep 3; echo starting"))
    asked = ("test", "//:app_test", "--runner", "rootfs")
    space.run(*asked, code=1).said("never ready")
    space.run(*asked, "--timeout", "60").said("1 passed")
    space.run(*asked, code=1).said("never ready")
    space.run(*asked, "--timeout", "60").said("1 cached")


@pytest.mark.parametrize("late", [False, True], ids=["at once", "when asked"])
def test_one_that_exits(space: Space, runner: str, late: bool) -> None:
    space.append("BUILD.yaml", TEST)
    if late:
        space.edit("src/score", "echo '{", "/bin/busybox kill -USR1 1; /bin/busybox sleep 60; echo '{")
        space.edit("src/start.sh", "trap", "trap 'echo no model; exit 3' USR1; trap")
    else:
        space.write("src/start.sh", "echo no model; exit 3\n")
    found = failures(space, "//:app_test", "--runner", runner)
    assert found[-1]["kind"] == "exited"
    assert "exited with code 3" in found[-1]["message"]
    assert found[-1]["log"].endswith("no model\n")
    assert left(space, runner) == []


def test_one_that_does_not_stop(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST + "    stop_timeout: 1\n")
    space.edit("src/start.sh", "trap 'echo bye; exit 0' TERM\n", "")
    (found,) = failures(space, "//:app_test", "--runner", runner)
    assert found["kind"] == "did not stop"
    assert "still ran 1 s after its stop signal" in found["message"]
    assert "stop_signal" in found["message"]
    assert left(space, runner) == []
    space.edit("BUILD.yaml", "stop_timeout: 1", "stop_timeout: 1\n    clean_stop: false")
    assert results(space, "//:app_test", "--runner", runner)["//:app_test"]["status"] == "passed"


def test_another_exit_code_and_another_signal(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("src/start.sh", "exit 0' TERM", "exit 5' USR1")
    space.edit("rules/cgi.yaml", "  ports:", "  stop_signal: SIGUSR1\n  ports:")
    (found,) = failures(space, "//:app_test", "--runner", runner)
    assert found["message"] == "exited with code 5 instead of 0 or 130 or 143 when it was asked to stop"
    space.append("BUILD.yaml", "    exit_codes: 5\n")
    assert results(space, "//:app_test", "--runner", runner)["//:app_test"]["status"] == "passed"


def test_one_whose_program_is_not_there(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("rules/cgi.yaml", "/bin/busybox, sh", "/bin/nothing, sh")
    test = results(space, "//:app_test", "--runner", runner, code=1)["//:app_test"]
    assert "cannot start '//:app'" in test["error"]["message"]
    assert "/bin/nothing" in test["error"]["message"]
    assert "entry point does not exist" in test["error"]["hint"]
    assert left(space, runner) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_nothing_behind(space: Space, runner: str, number: signal.Signals) -> None:
    other = TEST.replace("app_test", "app_again").replace("name: golden", "name: silver")  # an equal one would wait
    space.append("BUILD.yaml", TEST + other)  # one in the main thread, one beside it
    space.edit("rules/cgi.yaml", "readiness: 8080/model/weights/labels.txt", "readiness: 8080/no")
    process = space.start("test", "//...", "--runner", runner, start_new_session=True)
    _wait_for(process, space, runner, 2)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert left(space, runner) == []
    assert images_left(space, runner) == 0
    assert not _launchers(space)
    assert not _servers(space)


def test_what_a_killed_process_left_is_removed_by_the_next(space: Space, runner: str) -> None:
    """Without an engine the package dies with it; a container is found by the process that is gone."""
    space.append("BUILD.yaml", TEST)
    space.edit("rules/cgi.yaml", "readiness: 8080/model/weights/labels.txt", "readiness: 8080/no")
    process = space.start("test", "//...", "--runner", runner, start_new_session=True)
    _wait_for(process, space, runner, 1)
    process.kill()
    process.communicate(timeout=60)
    end = time.monotonic() + 60
    while found := _launchers(space) or (runner == "rootfs" and _servers(space)):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    assert len(left(space, runner)) == 1
    assert images_left(space, runner) == (runner != "rootfs")
    space.edit("rules/cgi.yaml", "readiness: 8080/no", "readiness: 8080/model/weights/labels.txt")
    space.run("test", "//...", "--runner", runner).said("1 passed")
    assert left(space, runner) == []
    assert images_left(space, runner) == 0


@pytest.mark.slow
def test_d1_what_it_meets_damaged_is_healed(space: Space) -> None:
    """Each blob of the store; what passed in another time is run again."""
    space.append("BUILD.yaml", TEST)
    space.run("test", "//...", "--runner", "rootfs")
    for number, (path, how) in enumerate(zip(sorted(space.blobs().values()), cycle(_DAMAGED))):
        DAMAGES[how](path, random.Random(number))
        space.run("test", "//...", "--runner", "rootfs", "--timeout", str(60 + number)).said("1 passed")


@pytest.mark.docker
def test_d1_nor_does_run_stumble(space: Space, engine: Engine) -> None:
    with tidy(engine, space.name):
        for number, how in enumerate(_DAMAGED):
            space.run("build", APP)
            for path in space.blobs().values():
                DAMAGES[how](path, random.Random(number))
            out = space.run("run", APP, "--detach").said("//:app is ready after").out
            engine.call("DELETE", f"/containers/{out.split()[-1]}", query={"force": 1})


_DAMAGED = ("flip", "truncate", "directory", "delete", "unreadable")


def test_containers_of_the_living_and_of_strangers_stay() -> None:
    assert not is_left(this_process())
    gone = subprocess.run(["sh", "-c", "cat /proc/$$/stat"], capture_output=True, text=True, check=True).stdout.split()
    here = this_process().rsplit(".", 2)[0]
    assert is_left(f"{here}.{gone[0]}.{gone[21]}")
    assert is_left(f"{here}.{os.getpid()}.1")  # a later process with its number
    assert not is_left(f"another-boot.{gone[0]}.{gone[21]}")
    assert not any(map(is_left, ("", ".", "...", "x.1.2.3", f"{here}.x.1")))


def _launchers(space: Space) -> list[str]:
    """Processes whose files are in the store."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if str(space.store) in path.read_text():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def _servers(space: Space) -> list[str]:
    """Processes of this workspace's package that run the server's script."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"SPACE={space.name}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found += [path.name] * (b"/srv/cgi-bin/start.sh" in (path / "cmdline").read_bytes())
    return found


def _wait_for(process: subprocess.Popen[str], space: Space, runner: str, count: int) -> None:
    """Look, as long as the process lives, until so many packages run."""
    running: list[Any] = []
    while len(running) < count:
        assert process.poll() is None, process.communicate()
        if runner == "docker":
            running = in_docker(space)
        elif runner == "podman":
            running = in_podman(space)
        else:
            running = _servers(space)
        time.sleep(0.02)


def test_a_sample_request_is_a_test_by_itself(space: Space) -> None:
    space.write("sample.json", '{"b": [2]}')
    space.edit("BUILD.yaml", "    code: :code", "    code: :code\n    sample_request: sample.json")
    space.run("test", APP, "--runner", "rootfs").said("passed      //:app  1 request in")
    space.write("expected.json", '{"asked": {"b": [2]}, "numbers": [1.0000000001, 2.5]}')
    space.edit("BUILD.yaml", "sample.json", "sample.json\n    expected_response: expected.json")
    space.run("test", APP, "--runner", "rootfs").said("passed      //:app")
    space.run("build", APP)
    assert "expected_response" not in space.run("build", APP).err
    space.write("expected.json", '{"asked": {"b": [2]}, "numbers": [1.001, 2.5]}')
    (found,) = failures(space, APP, "--runner", "rootfs")
    assert found["message"].startswith("$.numbers[0]: off by 0.001")
    space.write("expected.json", "{")
    test = results(space, APP, "--runner", "rootfs", code=1)[APP]
    assert "'expected.json' is not JSON" in test["error"]["message"]


def test_a_package_without_a_request_is_not_tested(space: Space) -> None:
    said = space.run("test", APP).said("not tested  //:app  no request: add `sample_request:`", "package_test target")
    assert "1 not tested" in said.out
    space.append("BUILD.yaml", TEST.replace("app_test:", "empty:").partition("    requests")[0] + "    requests: []\n")
    space.run("test", "//...").said("not tested  //:empty  it has no requests")
    # a package's tests are its own and those that name it
    space.append("BUILD.yaml", TEST)
    found = results(space, APP, "--runner", "rootfs")
    assert {label: test["status"] for label, test in found.items()} == {
        "//:app_test": "passed",
        "//:empty": "not tested",
    }
    assert list(results(space, "//:app", "-//:empty", "--runner", "rootfs")) == ["//:app_test"]


def test_what_cannot_be_tested_or_built(space: Space) -> None:
    space.append("BUILD.yaml", TEST)
    space.run("test", "//:m", code=2).said("'//:m' provides model, which cannot be tested")
    space.run("build", "//:app_test", code=2).said("'//:app_test' is a test", "buildrules test //:app_test")
    assert "app_test" not in space.run("build", "//...").out
    space.run("test", code=2).said("buildrules test //...")
    space.run("test", "//...", "--runner", "dockr", code=2).said("dockr")


def test_a_package_for_another_machine_is_not_tested(space: Space) -> None:
    """What this machine runs is tested, whatever its place in the list; of the rest it is said that it is not."""
    space.append("BUILD.yaml", TEST)
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/arm64, linux/amd64]")
    space.run("test", "//...", "--runner", "rootfs").said(
        "passed      //:app_test  linux/amd64  2 requests",
        "not tested  //:app_test  linux/arm64  it is built for linux/arm64, and this machine runs linux/amd64",
        "\n1 passed, 1 not tested",
    )
    space.edit("BUILD.yaml", "[linux/arm64, linux/amd64]", "[linux/arm64]")
    space.run("test", "//...").said(
        "not tested  //:app_test  it is built for linux/arm64, and this machine runs linux/"
    )


def test_junit(space: Space) -> None:
    space.append("BUILD.yaml", TEST + TEST.replace("app_test", "wrong").replace("hello", "\\u0001hi"))
    path = space.root / "out" / "junit.xml"
    space.run("test", "//...", "--runner", "rootfs", "--junit", str(path), code=1)
    suite = ElementTree.parse(path).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    cases = {case.get("classname"): case for case in suite}
    assert list(cases["//:app_test"]) == []
    assert cases["//:wrong"][0].tag == "failure"
    assert "wrong header" in (cases["//:wrong"][0].text or "")
    assert all(float(case.get("time", 0)) > 0 for case in suite)


MISTAKES = """\
  bad_test:
    rule: package_test
    package: :m
    requests:
      - {name: a, metod: GET}
      - {route: score, body: x, json: 1}
      - expect: {statu: 200, tolerance: {relativ: 1}, json_path: {"$.[": 1}}
      - {file: sample.jso, expect: {file: gone.json, status: two}}
"""


def test_mistakes_have_positions_and_hints(space: Space) -> None:
    before = space.path("BUILD.yaml").read_text().count("\n")
    space.append("BUILD.yaml", MISTAKES)
    said = space.run("test", "//...", code=2).err
    for line, message, hint in (
        (3, "'package' needs a target that provides package", "targets that do: //:app"),
        (5, "there is no 'metod' here", "did you mean 'method'?"),
        (6, "'score' is not one of the choices", "did you mean 'scoring'?"),
        (6, "only one of 'body' and 'json' can be given", ""),
        (7, "there is no 'statu' here", "did you mean 'status'?"),
        (7, "there is no 'relativ' here", "did you mean 'relative'?"),
        (8, "expected a whole number, not 'two'", ""),
    ):
        assert re.search(rf"BUILD.yaml:{before + line}:\d+: {re.escape(message)}", said), said
        assert hint in said
    text = space.path("BUILD.yaml").read_text()
    text = (
        text.replace("package: :m", "package: :app").replace("metod: GET", "method: GET").replace("route: score, ", "")
    )
    text = text.replace("body: x, ", "").replace("statu: 200, tolerance: {relativ: 1}, ", "").replace("two", "200")
    space.write("BUILD.yaml", text)
    space.write("sample.json", "{}")
    said = space.run("test", "//...", code=2).said("there is no 'sample.jso'", "did you mean 'sample.json'?").err
    assert "there is no 'gone.json'" in said
    space.write("sample.jso", "{}")
    space.write("gone.json", "{}")
    said = space.run("test", "//...", code=2).said("'$.[' is not a JSONPath query").err
    assert f"BUILD.yaml:{before + 7}:" in said


def test_a_route_the_server_does_not_have(space: Space) -> None:
    space.append("BUILD.yaml", TEST)
    space.edit("rules/cgi.yaml", ", scoring: 8080/cgi-bin/score", "")
    space.run("test", "//...", code=2).said("the package has no scoring route", "its routes: liveness, readiness")
    space.edit("BUILD.yaml", "json: {a: 1}", "path: cgi-bin/score\n        json: {a: 1}")
    space.run("test", "//...", "--runner", "rootfs").said("1 passed")


def test_the_environment_of_a_test(space: Space, runner: str) -> None:
    space.append("BUILD.yaml", TEST.replace("hello", "good=day") + "    environment: {GREETING: good=day}\n")
    assert results(space, "//:app_test", "--runner", runner)["//:app_test"]["status"] == "passed"


def test_the_root_file_system_is_alone(space: Space) -> None:
    """Only loopback, only its own processes, and changes that the next one does not see; ports are everybody's own."""
    space.write(
        "src/score",
        "#!/bin/busybox sh\n"
        "echo 'Content-Type: text/plain'; echo\n"
        "/bin/busybox ls /sys/class/net\n"
        "/bin/busybox test -d /proc/100 && echo crowded\n"
        "/bin/busybox test -e /mark && echo marked; echo > /mark\n"
        "/bin/busybox id -u; /bin/busybox hostname; /bin/busybox cat /mark\n",
        mode=0o755,
    )
    test = TEST.partition("      - name")[0] + '      - {json: 1, expect: {text: "lo\\n0\\npackage\\n\\n"}}\n'
    space.edit("BUILD.yaml", "    code: :code", '    code: :code\n    user: "0:0"')
    other = test.replace("app_test", "app_again").replace("{json: 1,", "{json: 2,")  # an equal one would not run
    space.append("BUILD.yaml", test + other)
    space.run("test", "//...", "--runner", "rootfs").said("2 passed")
