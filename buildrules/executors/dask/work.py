"""What a Dask worker runs for a task: asks a `buildrules worker` beside it, which it starts when it needs one.

Nothing here knows of stores, caches or keys: those are that process's, from the environment of this machine.
"""

import json
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from buildrules.executors.answer import LARGEST

_LOOK = 0.25  # seconds, after which is looked whether anybody wants the task still
_GRACE = 15.0  # seconds that a step has to end


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do a request of `executors.serve` in a thread of a Dask worker; its answer, with `worker` (a name) and `seconds`.

    Raises RuntimeError, which the scheduler and the client know without buildrules, and which Dask tries elsewhere.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    idle = worker.__dict__.setdefault("buildrules", queue.SimpleQueue())  # those that have nothing to do

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled" and worker.status.name in ("running", "paused")

    began = time.monotonic()
    try:
        beside = idle.get_nowait()
    except queue.Empty:
        beside = _Beside()
    try:
        answer = beside.ask(request, wanted)
    except (OSError, ValueError):
        beside.end()
        raise RuntimeError(f"worker {worker.name}: buildrules worker has ended, see the log there") from None
    except BaseException:
        beside.end()
        raise
    idle.put(beside)
    if "failed" in answer:
        raise RuntimeError(f"worker {worker.name}: {answer['failed']}\n{answer['log']}")
    return {**answer, "worker": str(worker.name), "seconds": round(time.monotonic() - began, 4)}


class _Beside:
    """A `buildrules worker`, asked over a socket that is its standard input and output."""

    def __init__(self) -> None:
        self._line, there = socket.socketpair()
        self._line.settimeout(_LOOK)
        command = [sys.executable, "-P", "-m", "buildrules", "worker"]
        self._process = subprocess.Popen(command, stdin=there.fileno(), stdout=there.fileno())
        there.close()

    def ask(self, request: Mapping[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
        """Its answer. Raises OSError or ValueError where it has ended, RuntimeError where nobody wants one."""
        self._line.sendall(json.dumps(dict(request)).encode() + b"\n")
        found = b""
        while not found.endswith(b"\n") and len(found) <= 2 * LARGEST:
            try:
                more = self._line.recv(1 << 16)
            except TimeoutError:
                if not wanted():
                    raise RuntimeError("nobody wants the task any more") from None
                continue
            if not more:
                break
            found += more
        answer: dict[str, Any] = json.loads(found)
        return answer

    def end(self) -> None:
        """End it, and its step."""
        self._line.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
