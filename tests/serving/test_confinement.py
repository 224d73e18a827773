"""What a package without an engine cannot do to its machine: ask for keys, fill it with processes, leave its view."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildrules.serving.rootfs import runner as runner_module
from buildrules.serving.rootfs.confinement import process_group
from buildrules.serving.rootfs.linux import StageError
from buildrules.serving.rootfs.runner import RootfsRunner
from buildrules.serving.rootfs.seccomp import LAST, REFUSED, filter_program
from buildrules.serving.runner import Package
from tests.support.handmade import Shelf, image_of
from tests.support.ordinary import ordinary
from tests.support.syscalls import Call, answers, program

CLONE, SOCKET, PERSONALITY, CLONE3, KEYCTL = 56, 41, 135, 435, 250
ALLOWED: dict[str, Call] = {
    "getpid": (39, ()),
    "an internet socket": (SOCKET, (2, 1, 0)),
    "which personality": (PERSONALITY, (0xFFFFFFFF,)),
    "a memory file": (319, (b"name", 0)),
}
FORBIDDEN: dict[str, Call] = {
    **{name: (numbers[0], ()) for name, numbers in REFUSED.items()},
    "a user namespace": (272, (0x10000000,)),
    "a process in a user namespace": (CLONE, (0x10000000 | 17,)),
    "a search for a key": (KEYCTL, (10, -3, b"user", b"buildrules-secret", 0)),
    "a socket to the host of a virtual machine": (SOCKET, (40, 1, 0)),
    "a socket to the kernel's algorithms": (SOCKET, (38, 5, 0)),
    "addresses that are not random": (PERSONALITY, (0x40000,)),
    "mount": (165, (b"none", b"/www", b"tmpfs", 0, 0)),
}
UNKNOWN: dict[str, Call] = {
    "clone3": (CLONE3, ()),
    "what Linux learns tomorrow": (LAST + 1, ()),
    "getpid of the x32 numbering": (0x40000000 | 39, ()),
}
BOMB = """
number=0
while busybox test $number -lt 150; do
    busybox sleep 1000 &
    number=$((number + 1))
    echo $number
done
"""


def made(calls: dict[str, Call], output: bytes) -> dict[str, int]:
    return dict(zip(calls, answers(output), strict=True))


def checked(output: bytes) -> None:
    found = made({**ALLOWED, **FORBIDDEN, **UNKNOWN}, output)
    assert all(found[name] >= 0 for name in ALLOWED)
    assert {name: found[name] for name in FORBIDDEN} == dict.fromkeys(FORBIDDEN, -errno.EPERM)
    assert {name: found[name] for name in UNKNOWN} == dict.fromkeys(UNKNOWN, -errno.ENOSYS)


def trying() -> bytes:
    return program([*ALLOWED.values(), *FORBIDDEN.values(), *UNKNOWN.values()])


def package(shelf: Shelf, busybox: bytes, script: str, user: str) -> Package:
    files = {"bin/busybox": busybox, "bin/try": trying(), "www/out": b""}
    tools = shelf.layer(files, "tools", mode=0o777)
    image = image_of([tools], entrypoint=["/bin/busybox", "sh", "-c", script], environment={"PATH": "/bin"}, user=user)
    return Package("//:app", "acme/app", image, shelf.stream, "linux/amd64", ())


@pytest.mark.parametrize("user", ["0", "65534"])
def test_calls_that_no_package_may_make(shelf: Shelf, busybox: bytes, tmp_path: Path, user: str) -> None:
    with RootfsRunner(str(tmp_path)).start(package(shelf, busybox, "try > /www/out", user)) as running:
        while running.state().running:
            time.sleep(0.01)
        assert running.state().exit_code == 0, running.log()
        output = running.read("/www/out")
    assert output is not None
    checked(output)


@pytest.mark.parametrize("user", [0, 1234])
def test_nor_may_an_ordinary_user_s(nobodys: Path, user: int) -> None:
    (nobodys / "root/bin/try").write_bytes(trying())
    (nobodys / "root/bin/try").chmod(0o755)
    with ordinary(
        nobodys,
        ["/bin/busybox", "sh", "-c", "try > /www/part; busybox mv /www/part /www/out"],
        user=user,
    ) as (mine, process):
        while not (nobodys / "root/www/out").exists():
            time.sleep(0.01)
        mine.close()
        assert process.wait(20) == 0
    checked((nobodys / "root/www/out").read_bytes())


def test_the_calls_are_known_for_both_architectures() -> None:
    assert len(filter_program("x86_64")) > len(filter_program("aarch64")) > 2 * 50
    with pytest.raises(StageError, match="a filter of system calls for sparc"):
        filter_program("sparc")


KEYS = """
import ctypes
from buildrules.serving.rootfs.confinement import leave_keyring

libc = ctypes.CDLL(None)
def search():
    return libc.syscall(250, 10, -3, b"user", b"buildrules-secret", 0)

libc.syscall(250, 1, None)
assert libc.syscall(248, b"user", b"buildrules-secret", b"secret", 6, -3) > 0
assert search() > 0
leave_keyring()
print(search())
"""


def test_the_caller_s_keys_are_left_behind() -> None:
    """Beside the filter, which keeps a package from asking at all."""
    done = subprocess.run([sys.executable, "-c", KEYS], capture_output=True, text=True, check=True)
    assert done.stdout == "-1\n"


@pytest.mark.parametrize("user", ["0", "65534"])
def test_processes_have_a_limit(
    shelf: Shelf, busybox: bytes, tmp_path: Path, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's root has one where there are cgroups: RLIMIT_NPROC is not for it."""
    monkeypatch.setattr(runner_module, "PROCESSES", 60)
    with process_group(1) as group:
        limited = group is not None or user != "0"
    with RootfsRunner(str(tmp_path)).start(package(shelf, busybox, BOMB, user)) as running:
        while running.state().running:
            time.sleep(0.01)
        last = [int(line) for line in running.log(1000).splitlines() if line.isdigit()][-1]
    assert 1 < last < 60 if limited else last == 150


def test_those_of_an_ordinary_user_have_one(nobodys: Path) -> None:
    script = f"({BOMB}) > /www/part 2>&1; busybox mv /www/part /www/out"
    with ordinary(nobodys, ["/bin/busybox", "sh", "-c", script], processes=60) as (mine, process):
        while not (nobodys / "root/www/out").exists():
            time.sleep(0.01)
        mine.close()
        assert process.wait(20) == 0
    lines = (nobodys / "root/www/out").read_text().splitlines()
    assert 1 < len([line for line in lines if line.isdigit()]) < 60


def test_groups_go_with_their_launchers() -> None:
    with process_group(3) as group:
        if group is not None:
            assert Path(group, "pids.max").read_text() == "3\n"
            left = Path(group).with_name(f"buildrules-{os.urandom(6).hex()}")
            left.mkdir()
            os.utime(left, (0, 0))  # as if a launcher was killed long ago
            with process_group(1):
                assert not left.exists()
    assert group is None or not Path(group).exists()
