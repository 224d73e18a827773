"""What a Dask worker runs for a task: asks a `buildrules worker` beside it, which it starts when it needs one.

Nothing here knows of stores, caches or keys: those are that process's, from the environment of this machine.
"""

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from buildrules.executors.answer import LARGEST

ROOM = "BUILDRULES_WORKER_ROOM"
"""The variable that says how many gigabytes of content the store of a worker may hold."""

_LOOK = 0.25  # seconds, after which a task is asked for whether anybody wants it still
_GRACE = 15.0  # seconds that a worker has to end its step


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do a request of `executors.serve` in a thread of a Dask worker; its answer, with `worker` (a name) and `seconds`.

    Raises RuntimeError, which Dask may try elsewhere: one that the scheduler and the client know without buildrules.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    idle = worker.__dict__.setdefault("buildrules", queue.SimpleQueue())  # which processes have nothing to do

    def wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state != "cancelled" and worker.status.name in ("running", "paused")

    began = time.monotonic()
    try:
        beside = idle.get_nowait()
    except queue.Empty:
        beside = _start()
    try:
        answer = _answer(beside, json.dumps(dict(request)).encode() + b"\n", wanted)
    except BaseException:
        _end(beside)
        raise
    idle.put(beside)
    if "failed" in answer:
        raise RuntimeError(f"worker {worker.name}: {answer['failed']}\n{answer.get('log', '')}".strip())
    return {**answer, "worker": str(worker.name), "seconds": round(time.monotonic() - began, 4)}


def _start() -> "subprocess.Popen[bytes]":
    room = ["--room", os.environ[ROOM]] if ROOM in os.environ else []
    command = [sys.executable, "-P", "-m", "buildrules", "worker", *room]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _answer(beside: "subprocess.Popen[bytes]", line: bytes, wanted: Callable[[], bool]) -> dict[str, Any]:
    """The answer to a request. Raises RuntimeError where none comes, or nobody wants it any more."""
    requests, answers = _pipes(beside)
    with contextlib.suppress(OSError):  # it has ended, as the answer says
        requests.write(line)
        requests.flush()
    found = b""
    while not found.endswith(b"\n"):
        if not select.select([answers], [], [], _LOOK)[0]:
            if not wanted():
                raise RuntimeError("nobody wants the task any more")
            continue
        more = os.read(answers.fileno(), 1 << 16)
        if not more:
            raise RuntimeError(f"buildrules worker ended with exit code {beside.wait()}: see the log of this worker")
        found += more
        if len(found) > 2 * LARGEST:
            raise RuntimeError("buildrules worker says more than an answer")
    answer: dict[str, Any] = json.loads(found)
    return answer


def _end(beside: "subprocess.Popen[bytes]") -> None:
    requests, answers = _pipes(beside)
    for pipe in (requests, answers):
        with contextlib.suppress(OSError):
            pipe.close()
    try:
        beside.wait(_GRACE)
    except subprocess.TimeoutExpired:
        beside.kill()
        beside.wait()


def _pipes(beside: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert beside.stdin is not None
    assert beside.stdout is not None
    return beside.stdin, beside.stdout
