"""Whole processes and what they cost: wall time, processor time, peak memory; medians, beside a bare interpreter."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import PYTHON

BARE = (PYTHON, "-c", "pass")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time and of processor time, peak memory in bytes, and what the process printed."""

    wall: float
    processor: float
    memory: int
    out: str = ""


def spend(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a command to its end. Raises CalledProcessError, with the output shown.

    The kernel counts the memory of the process that starts another into the other's peak: this one must stay small.
    """
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode:
        sys.stderr.write(text)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, text)


@dataclass(frozen=True)
class Sample:
    """Medians of a command, the medians of a bare interpreter between its runs, and the last line it printed."""

    cost: Cost
    bare: Cost

    @property
    def ratio(self) -> float:
        """Wall time beside the bare interpreter's."""
        return self.cost.wall / self.bare.wall

    @property
    def said(self) -> str:
        """The last line of output."""
        return self.cost.out.strip().rpartition("\n")[2]


def sample(command: Callable[[], Cost], *, runs: int, before: Callable[[int], object] = lambda _: None) -> Sample:
    """Run `command` and a bare interpreter in turns; `before` gets the number of the run and is not timed."""
    own, bare = [], []
    for number in range(runs):
        before(number)
        bare.append(spend(BARE, Path.cwd(), os.environ))
        own.append(command())
    return Sample(_median(own), _median(bare))


def _median(costs: Sequence[Cost]) -> Cost:
    middle = statistics.median
    return Cost(
        middle(cost.wall for cost in costs),
        middle(cost.processor for cost in costs),
        int(middle(cost.memory for cost in costs)),
        costs[-1].out,
    )
