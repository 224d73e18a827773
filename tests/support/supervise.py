"""Starts the processes of a shared service and stops them when nobody uses it any more; see service.py."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(order["folder"])
    processes: list[subprocess.Popen[bytes]] = []
    with open(order["users"]) as users:
        for number, command in enumerate(order["commands"]):
            with open(folder / f"{number}.log", "w") as log:
                process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
            processes.append(process)
        threading.Thread(target=_watch, args=(processes, folder), daemon=True).start()
        fcntl.flock(users, fcntl.LOCK_EX)
        _stop(processes, folder)


def _watch(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """A process that ends by itself takes the service with it, so that a failed start is seen at once."""
    while all(process.poll() is None for process in processes):
        time.sleep(0.1)
    _stop(processes, folder)


def _stop(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder.parent / "facts.json").unlink()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
    os._exit(0)


if __name__ == "__main__":
    main()
