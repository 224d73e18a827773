"""Servers that all workers of a test run share: started by the first that wants them, stopped after the last.

Everybody who uses a service holds a shared lock on a file. A supervisor process, `supervise.py`, has started the
server's processes and waits for the exclusive lock; it gets it when nobody uses the service any more, also where a
worker was killed, and then stops what it started.
"""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pytest

STARTUP = 180.0  # seconds that a server may take, on a busy machine
_supervisors: list[subprocess.Popen[bytes]] = []
SUPERVISOR = Path(__file__).with_name("supervise.py")


@dataclass
class Service:
    """Processes to start, and what says that they are ready; `facts` is what users get, `fill` adds to it once."""

    commands: Sequence[Sequence[str]]
    ready: Callable[[], bool]
    facts: dict[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    fill: Callable[[], dict[str, Any]] = dict


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """The directory of this test run, the same for all its workers."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@contextlib.contextmanager
def shared(folder: Path, prepare: Callable[[Path], Service]) -> Iterator[dict[str, Any]]:
    """The facts of a running service; `prepare` gets a new directory below `folder` and says what to start."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "mutex", "w") as mutex, open(folder / "users", "w") as users:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a supervisor that is stopping
        facts = folder / "facts.json"
        if not facts.exists():
            facts.write_text(json.dumps(_start(folder, prepare, users)))
        found: dict[str, Any] = json.loads(facts.read_text())
        fcntl.flock(mutex, fcntl.LOCK_UN)
        yield found


def _start(folder: Path, prepare: Callable[[Path], Service], users: TextIO) -> dict[str, Any]:
    for attempt in (1, 2, 3):  # somebody else may take a port before the server does
        place = folder / f"run-{time.monotonic_ns()}"
        place.mkdir()
        service = prepare(place)
        order = {"commands": list(map(list, service.commands)), "users": str(folder / "users"), "folder": str(place)}
        (place / "order.json").write_text(json.dumps(order))
        supervisor = subprocess.Popen(
            [sys.executable, str(SUPERVISOR), str(place / "order.json")],
            env={**os.environ, **service.environment},
            cwd=place,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        _supervisors.append(supervisor)
        end = time.monotonic() + STARTUP
        while supervisor.poll() is None and time.monotonic() < end:
            if service.ready():
                return {**service.facts, **service.fill()}
            time.sleep(0.05)
        fcntl.flock(users, fcntl.LOCK_UN)
        supervisor.wait()
        fcntl.flock(users, fcntl.LOCK_SH)
        if attempt == 3:
            break
    logs = "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(place.glob("*.log")))
    raise AssertionError(f"{folder.name} did not start:\n{logs}")
