"""D12: a busy machine is not a failing model, and a model that hangs is one on a busy machine as well."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from buildrules.serving.room import processors
from tests.support.package_tests import failures, forget, results
from tests.support.space import Result, Space, make_base

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("docker")]  # the program for the image is downloaded

SERVER = """\
rule: worker
provides: server
summary: Takes processor time before it is ready, at each request, and before it stops.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/cgi-bin}
image: {entrypoint: [/bin/busybox, sh, /srv/cgi-bin/start.sh], ports: [8080]}
routes: {readiness: 8080/model/weights/labels.txt, scoring: 8080/cgi-bin/score}
"""
WORK = """\
work() {
    read -r line < /proc/self/stat && set -- $line && end=$((${14} + ${15} + $WORK))
    while read -r line < /proc/self/stat && set -- $line && [ $((${14} + ${15})) -lt $end ]; do :; done
}
"""
"""A function of a shell that takes $WORK hundredths of a second of processor time, by its own clock."""
START = f"""\
{WORK}
trap 'work; exit 0' TERM
work
/bin/busybox httpd -p 8080 -h /srv
while :; do /bin/busybox sleep 0.1; done
"""
SCORE = f"#!/bin/busybox sh\n{WORK}\necho; work; echo done\n"
TEST = """\
  test{number}:
    rule: package_test
    package: :app
    ready_timeout: 1
    stop_timeout: 1
    environment: {{NUMBER: "{number}", WORK: "30"}}
    requests: [{{name: one, json: 1, expect: {{text: "done\\n"}}}}]
"""


@pytest.fixture
def space(new_space: Callable[..., Space], busybox: bytes) -> Iterator[Space]:
    made = new_space()
    make_base(made.path("busybox"), files={"bin/busybox": busybox, "bin/sh": busybox}, mode=0o755)
    made.write("rules/worker.yaml", SERVER)
    made.edit("BUILD.yaml", "layout: base", "layout: busybox")
    made.edit("BUILD.yaml", "//rules:tiny", "//rules:worker")
    made.write("src/start.sh", START)
    made.write("src/score", SCORE, mode=0o755)
    yield made
    forget(made)


@contextlib.contextmanager
def spinning(count: int, *where: int) -> Iterator[Callable[[], None]]:
    """So many processes that do nothing but take the time of these processors, or of all; what is called ends them."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            command = ["sh", "-c", "while :; do :; done"]
            process = subprocess.Popen(command, start_new_session=True)  # Linux shares processors out by sessions
            stack.callback(process.wait)
            stack.callback(process.kill)
            os.sched_setaffinity(process.pid, where or os.sched_getaffinity(0))
        yield stack.close


@pytest.mark.slow
def test_d12_eight_at_once_on_a_busy_machine_pass(space: Space) -> None:
    space.append("BUILD.yaml", "".join(TEST.format(number=number) for number in range(8)))
    with spinning(max(8, 4 * processors())):
        found = results(space, "//...", "--runner", "rootfs", "--jobs", "8")
    assert {label: test["status"] for label, test in found.items()} == {
        f"//:test{number}": "passed" for number in range(8)
    }
    assert any(test["ready_seconds"] > 1 for test in found.values())


def test_d12_one_that_hangs_fails_with_that_word(space: Space) -> None:
    """In bounded time, on a busy machine as well: what waits for nobody but itself gets no more of it."""
    space.append("BUILD.yaml", TEST.format(number=1))
    space.write("src/start.sh", "echo loading; /bin/busybox sleep 1000\n")
    with spinning(max(8, 4 * processors())):
        (found,) = failures(space, "//:test1", "--runner", "rootfs")
    assert found["kind"] == "never ready"
    assert "'//:app' was not ready after 1 s: GET /model/weights/labels.txt at port 8080: " in found["message"]
    assert "it hangs: it took 0.0 s of processor time" in found["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "kind"), [("work", "never ready"), ("trap 'work", "did not stop")], ids=["start", "stop"]
)
def test_d12_one_that_hangs_in_a_loop(space: Space, where: str, kind: str) -> None:
    space.append("BUILD.yaml", TEST.format(number=1))
    space.write("src/start.sh", START.replace(f"\n{where}", "\n" + where.replace("work", "while :; do :; done")))
    with spinning(2 * processors()):
        (found,) = failures(space, "//:test1", "--runner", "rootfs")
    assert found["kind"] == kind
    assert "it was at work, for " in found["message"]
    assert "and is slow or hangs in a loop; this machine is busy: " in found["message"]


@pytest.mark.slow
def test_d12_what_passes_when_it_is_tried_again_is_flaky(space: Space) -> None:
    """A server with a watchdog of its own, as gunicorn has one: it dies on a busy machine only.

    It wants a fifteenth of a processor. The first attempt has a thirty-third of one, and the second what others leave.
    """
    mark = os.urandom(8).hex()
    space.append("BUILD.yaml", TEST.format(number=1).replace("30", "20").replace('NUMBER: "1"', f'NUMBER: "{mark}"'))
    xml = space.root / "out" / "junit.xml"
    processor = min(os.sched_getaffinity(0))
    busy = f"/bin/busybox taskset -p {1 << processor:x} $$ >/dev/null || exit 9\n"
    watchdog = "trap 'exit 3' USR1\n(/bin/busybox sleep 3; kill -USR1 $$) & dog=$!\nwork; kill $dog\n"
    space.write("src/start.sh", START.replace("\nwork\n", f"\n{busy}{watchdog}"))
    with spinning(32, processor) as stop:
        process = space.start("test", "//...", "--runner", "rootfs", "--junit", str(xml))
        _wait_for_the_server_to_go(mark)
        stop()
        out, err = process.communicate(timeout=120)
    again = ", at the second attempt; before it //:app failed: exited (0 of 1 passed)\n"
    Result(process.returncode, out, err).said("flaky       //:test1  1 request in ", again, "1 flaky in ")
    assert process.returncode == 0
    assert [found.tag for found in ElementTree.parse(xml).iter()] == ["testsuite", "testcase", "flakyFailure"]
    space.run("test", "//...", "--runner", "rootfs").said("cached      //:test1  1 request, unchanged ", again)


def _wait_for_the_server_to_go(mark: str) -> None:
    """Wait for the first server, and until it has gone, whether or not the next one is there by then."""
    while not (first := _with_variable(mark)):
        time.sleep(0.01)
    while first & _with_variable(mark):
        time.sleep(0.01)


def _with_variable(mark: str) -> set[str]:
    """The processes that have this in their environment: other tests have servers of the same name."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes():
                found.add(path.name)
    return found
