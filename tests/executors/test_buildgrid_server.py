"""BuildGrid and its workers, as the tests of the executors have them: what survives when a part of them is killed."""

import threading

import pytest

from buildrules.remote.backend import RemoteError
from tests.support.buildgrid import BuildGrid
from tests.support.execute import EXECUTING, Client, Ran, runs, wait_for

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("buildgrid")]


class Asked:
    """An action of which is known when it runs: it sleeps for so many seconds."""

    def __init__(self, server: BuildGrid, busybox: bytes, seconds: str) -> None:
        self.client = Client(server.url)
        self.command = ["/bin/busybox", "sleep", seconds]
        self._files = {"bin/busybox": busybox}
        self._ended: list[Ran | RemoteError] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for(lambda: EXECUTING in self.client.stages and runs(self.command))

    def _run(self) -> None:
        try:
            self._ended.append(self.client.run(self._files, self.command))
        except RemoteError as error:
            self._ended.append(error)

    def end(self) -> Ran | RemoteError:
        self._thread.join()
        return self._ended[0]


def test_an_action_has_its_input_root_and_nothing_of_the_host(buildgrid: BuildGrid, busybox: bytes) -> None:
    files = {"bin/busybox": busybox, "in": b"hello"}
    command = ["/bin/busybox", "sh", "-c", "echo */; /bin/busybox tr a-z A-Z <in >out; exit 3"]
    ran = Client(buildgrid.url).run(files, command, ["out"], properties={"OSFamily": "linux"})
    assert (ran.exit, ran.outputs, ran.out, ran.cached) == (3, {"out": b"HELLO"}, "bin/ dev/ proc/ tmp/\n", False)
    assert ran.worker in ("w1", "w2")


def test_another_worker_goes_on_after_a_kill(buildgrid: BuildGrid, busybox: bytes) -> None:
    asked = Asked(buildgrid, busybox, "2.501")
    (number,) = buildgrid.busy()
    buildgrid.kill_worker(number)
    wait_for(lambda: not runs(asked.command))
    ran = asked.end()
    assert isinstance(ran, Ran)
    assert (ran.exit, ran.worker) == (0, f"w{3 - number}")
    buildgrid.start_worker(number)


def test_an_operation_outlives_the_scheduler(buildgrid: BuildGrid, busybox: bytes) -> None:
    asked = Asked(buildgrid, busybox, "2.502")
    buildgrid.kill_scheduler()
    error = asked.end()
    assert isinstance(error, RemoteError)
    assert error.retry
    buildgrid.start_scheduler()
    assert Client(buildgrid.url).wait(asked.client.operation).exit == 0
