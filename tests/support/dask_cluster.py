"""A cluster of Dask: a scheduler that wants certificates, and workers with stores of their own, which can be killed."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.certificates import authority, signed
from tests.support.machine import PATH, Machine
from tests.support.service import STARTUP, free_ports


class DaskCluster:
    """A scheduler and `workers`, numbered from 1, which are called w1, w2, ..., each with one thread.

    A worker has the variables of `environment` and PATH, nothing else of this process's, and a BUILDRULES_CACHE_DIR of
    its own. It ends when the scheduler does, and is started again until it finds one. What all
    parts say is in `logs`. `variables` are for clients: with them, distributed finds its certificates.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = 3,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.port = free_ports(1)[0]
        self.authority = authority(folder, "authority")
        self.certificate = signed(folder, "member", self.authority)
        self.key = self.certificate.with_suffix(".key")
        self._environment = {"PATH": PATH, **(environment or {}), "DASK_CONFIG": str(folder)}  # not that of the user
        self._numbers = range(1, workers + 1)
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: dict[int, Machine] = {}
        self._marks: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"dask+{self.address}"

    @property
    def variables(self) -> dict[str, str]:
        """See the class."""
        tls = "DASK_DISTRIBUTED__COMM__TLS"
        pair = {f"{tls}__CLIENT__CERT": str(self.certificate), f"{tls}__CLIENT__KEY": str(self.key)}
        return {f"{tls}__CA_FILE": str(self.authority), **pair}

    def start(self) -> None:
        """Start everything, and wait until the workers have found the scheduler."""
        self._launch_scheduler()
        for number in self._numbers:
            self._launch_worker(number)
        for number in self._numbers:
            self._wait(f"w{number}")

    def start_scheduler(self) -> None:
        """Start it at the port it had, and wait until the workers have found it. It knows nothing of before."""
        self._launch_scheduler()
        for number in self._workers:
            self._wait(f"w{number}")

    def kill_scheduler(self) -> None:
        """End it with no time to tidy up."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()
        self._scheduler = None

    def start_worker(self, number: int) -> None:
        """Start a worker, with the store that it had, and wait until it has found the scheduler."""
        self._launch_worker(number)
        self._wait(f"w{number}")

    def kill_worker(self, number: int) -> None:
        """End all of a worker at once, with what it runs, as if the machine had lost its power."""
        self._workers.pop(number).kill()

    def stop(self) -> None:
        """End what runs."""
        for number in list(self._workers):
            self.kill_worker(number)
        if self._scheduler:
            self.kill_scheduler()

    def _launch_scheduler(self) -> None:
        self._mark("scheduler")
        with open(self._log("scheduler"), "ab") as log:
            self._scheduler = subprocess.Popen(
                [*self._dask("scheduler"), "--port", str(self.port), "--protocol", "tls"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
            )
        self._wait("scheduler", "Scheduler at:")
        for number in self._workers:
            self._mark(f"w{number}")

    def _launch_worker(self, number: int) -> None:
        name, folder = f"w{number}", self.folder / f"w{number}"
        self._mark(name)
        command = [
            *self._dask("worker"),
            self.address,
            "--no-nanny",
            "--nthreads=1",
            "--memory-limit=0",
            "--name",
            name,
        ]
        command += ["--local-directory", str(folder / "scratch")]
        environment = {**self._environment, "BUILDRULES_CACHE_DIR": str(folder / "store")}
        self._workers[number] = Machine(command, folder=folder, log=self._log(name), environment=environment)

    def _dask(self, role: str) -> list[str]:
        # without the address it would listen on all addresses, also where no dashboard is wanted
        loopback = ["--host=127.0.0.1", "--no-dashboard", "--dashboard-address=127.0.0.1:0"]
        tls = ["--tls-ca-file", str(self.authority), "--tls-cert", str(self.certificate), "--tls-key", str(self.key)]
        return [sys.executable, "-m", "dask", role, *loopback, *tls]

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _mark(self, name: str) -> None:
        """From here on, what it writes is news."""
        self._marks[name] = self._log(name).stat().st_size if self._log(name).exists() else 0

    def _wait(self, name: str, text: str = "Registered to:") -> None:
        end = time.monotonic() + STARTUP
        while text.encode() not in self._log(name).read_bytes()[self._marks[name] :]:
            assert time.monotonic() < end, self._log(name).read_text()[-3000:]
            time.sleep(0.05)


@contextlib.contextmanager
def dask_cluster(
    folder: Path,
    workers: int = 3,
    environment: Mapping[str, str] | None = None,
) -> Iterator[DaskCluster]:
    """A running cluster."""
    cluster = DaskCluster(folder, workers, environment)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
