"""Virtual environments for servers that are too heavy to be dependencies of the tests themselves.

Each is made by uv once and kept in the user's cache directory, under a name made of what it holds; workers of one run
and runs beside each other wait for whoever makes it.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import uv


def environment(name: str, *requirements: str, python: str = sys.executable) -> Path:
    """The `bin` directory of a virtual environment, for this or another Python, with these requirements installed."""
    wanted = "\n".join([sys.version if python == sys.executable else python, *sorted(requirements)])
    folder = cache_folder() / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            tool, venv = str(uv.find_uv_bin()), str(folder / "venv")
            _run(tool, "venv", "--quiet", "--clear", "--python", python, venv)
            _run(tool, "pip", "install", "--quiet", "--python", venv, *requirements)
            complete.touch()
    return folder / "venv" / "bin"


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildrules-tests"


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.returncode, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
