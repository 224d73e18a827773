"""The servers that executors are tested with: what they give an action, and what they keep from it."""

import threading
import time
from pathlib import Path

import pytest

from buildrules.remote.backend import RemoteError
from tests.support.casd import Casd, casd_server
from tests.support.execute import Client, runs, wait_for

SHELL = ("/bin/busybox", "sh", "-c")

pytestmark = pytest.mark.network


def test_an_action_has_its_input_root_and_nothing_of_the_host(casd: Casd, busybox: bytes) -> None:
    files = {"bin/busybox": busybox, "data/in.txt": b"hello"}
    look = "echo $PWD */; cd bin; ./busybox env; ./busybox grep -c : /proc/net/dev; ./busybox ls ../dev"
    look += "; ./busybox tr a-z A-Z <../data/in.txt >../out.txt; exit 3"
    ran = Client(casd.url).run(files, [*SHELL, look], ["out.txt"], environment={"GIVEN": "1"})
    assert (ran.exit, ran.outputs, ran.err) == (3, {"out.txt": b"HELLO"}, "")
    lines = ran.out.splitlines()
    assert lines[0] == "/ bin/ data/ dev/ proc/ tmp/"
    given = dict(line.split("=") for line in lines if "=" in line)
    assert given["GIVEN"] == "1"
    assert set(given) <= {"GIVEN", "PWD", "OLDPWD", "SHLVL", "PATH"}  # which its shell sets
    assert "1" in lines  # interface, and that is the loopback
    assert not {"sda", "vda", "fuse", "kvm"} & set(lines)


def test_what_an_action_gave_is_kept(casd: Casd, busybox: bytes) -> None:
    files = {"bin/busybox": busybox, "in": b"hello"}
    ran = [Client(casd.url).run(files, [*SHELL, "/bin/busybox tr a-z A-Z < in > out"], ["out"]) for _ in range(2)]
    assert [one.cached for one in ran] == [False, True]
    assert [one.outputs for one in ran] == [{"out": b"HELLO"}] * 2


def test_nothing_runs_on_after_a_kill(tmp_path: Path, busybox: bytes) -> None:
    command = ["/bin/busybox", "sleep", str(900 + time.monotonic_ns() % 10**9 / 1e9)]
    failed: list[RemoteError] = []

    def ask() -> None:
        try:
            Client(server.url).run({"bin/busybox": busybox}, command)
        except RemoteError as error:
            failed.append(error)

    with casd_server(tmp_path / "content", jobs=1) as server:
        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: runs(command))
    thread.join()
    assert failed[0].retry
    wait_for(lambda: not runs(command))
