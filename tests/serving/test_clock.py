"""D12: the time that a busy machine keeps a package waiting does not count. Real processes, on one processor."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from buildrules.errors import BusyError
from buildrules.serving.clock import Clock, Reading

SPIN = "while True: pass"
SLEEP = "import time; time.sleep(1000)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"
CHILDREN = f"import subprocess, sys; [subprocess.Popen([sys.executable, '-c', {SPIN!r}]) for _ in range(4)][0].wait()"


@contextlib.contextmanager
def running(*programs: str) -> Iterator[int]:
    """Python programs that share the last processor; the number of the first."""
    processor = max(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        started = []
        for text in programs:
            command = ["taskset", "-c", str(processor), sys.executable, "-S", "-c", text]
            process = subprocess.Popen(command, start_new_session=True)
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, 9)
            started.append(process)
        yield started[0].pid


def watched(process: int, seconds: float = 1.1) -> Reading:
    time.sleep(0.5)  # until Python has begun
    clock = Clock(process)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        clock.read()
        time.sleep(0.05)
    return clock.read(exact=True)


@pytest.mark.parametrize("program", [SPIN, CHILD], ids=["itself", "its child"])
def test_d12_waiting_for_a_processor_does_not_count(program: str) -> None:
    with running(program, *[SPIN] * 5) as process:
        found = watched(process)
    assert found.queued > found.wall / 2
    assert found.busy and not found.idle
    assert found.worked < found.wall / 2


def test_d12_waiting_for_anything_else_does() -> None:
    with running(SLEEP, *[SPIN] * 5) as process:
        found = watched(process)
        limit = Clock(process).limit(0.6)
        while not limit.over():
            time.sleep(0.01)
        assert limit.told().startswith("it hangs: it took 0.0 s of processor time")
    assert found.idle and not found.busy
    assert found.worked == pytest.approx(found.wall, rel=0.2)


def test_d12_those_that_keep_each_other_waiting_do_work() -> None:
    with running(CHILDREN) as process:
        found = watched(process)
    assert not found.idle
    assert found.worked > 0.9 * found.ran > 0


def test_d12_one_that_gets_next_to_nothing_is_not_judged() -> None:
    """The limit ends nevertheless: after ten times its seconds and a minute."""
    clock = Clock(None)
    limit = clock.limit(1.0)
    clock._reading = Reading(wall=69.0, queued=68.5)
    assert not limit.over()
    clock._reading = Reading(wall=71.0, queued=70.5)
    with pytest.raises(BusyError, match=r"in 71 s the package could work for 0\.5 s, it waited "):
        limit.over()


def test_what_is_not_seen_counts_whole() -> None:
    for clock in (Clock(None), Clock(1 << 30)):
        limit = clock.limit(0.05)
        assert not limit.over()
        time.sleep(0.06)
        assert limit.over()
        assert limit.told() == "it hangs or is slow"
