"""Processes of this machine, and what is waited for."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path


def runs(command: list[str]) -> bool:
    """Whether a process of this machine has this command, in whatever namespace."""
    wanted = "\0".join(command).encode() + b"\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == wanted:
                return True
    return False


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something is true, for a minute at most."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
