"""How much memory something takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path

_MEASURE = """
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) >> 10
print("peak", peak())
"""


def run_measured(code: str, *args: str) -> tuple[str, int]:
    """Run Python code with `args` in `sys.argv`: what it printed, and the most memory it had (MiB)."""
    done = subprocess.run(
        [sys.executable, "-c", code + _MEASURE, *args],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, _, peak = done.stdout.rpartition("peak ")
    return said, int(peak)
