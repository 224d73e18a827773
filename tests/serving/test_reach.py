"""D2: a package under test that tries to reach who tests it, and what the same program reaches where nothing is between
them."""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from buildrules.serving.engine import docker_runner, podman_runner
from buildrules.serving.rootfs.runner import RootfsRunner
from buildrules.serving.runner import Package, Runner
from tests.support.dockerlab import tidy
from tests.support.handmade import Shelf, image_of
from tests.support.package_tests import RUNNERS
from tests.support.syscalls import Call, program

pytestmark = pytest.mark.xdist_group("podman")

TRIES = """
env | grep canary && echo environment
cat {secret} 2> /dev/null && echo file
cat /proc/1/root{secret} 2> /dev/null && echo file of process 1
for process in /proc/[0-9]*; do
    busybox grep -q canary $process/environ $process/cmdline 2> /dev/null && echo process $process
done
kill -0 {process} 2> /dev/null && echo signal
echo | busybox nc -w 2 127.0.0.1 {port} 2> /dev/null && echo network
names | busybox od -An -v -w8 -td8 | busybox tail -n 1 | busybox grep -qx ' *0' && echo names
keys | busybox od -An -v -w8 -td8 | busybox grep -qx ' *[0-9]*' && echo keys
for handle in /proc/self/fd/*; do busybox readlink $handle; done | busybox grep -E 'socket|memfd|canary' && echo handle
for path in /proc/kcore /dev/mem /dev/kmsg /dev/sda /proc/keys; do
    busybox head -c 1 $path 2> /dev/null | busybox grep -q . && echo kernel $path
done
for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper; do
    (: >> $path) 2> /dev/null && echo kernel writes $path
done
busybox mknod /www/device b 8 0 2> /dev/null && busybox head -c 1 /www/device && echo device
busybox mount -t proc proc /www 2> /dev/null && echo mount
busybox unshare -U true 2> /dev/null && echo namespace
echo done
"""
"""Every line that it prints but the last is something that it reached."""

_KEYCTL, _ADD_KEY, _SOCKET, _CONNECT = 250, 248, 41, 42
_SEARCH, _JOIN, _SESSION = 10, 1, -3
KEYS: list[Call] = [(_KEYCTL, (_SEARCH, _SESSION, b"user", b"buildrules-canary", 0))]


@pytest.fixture
def tools(tmp_path: Path, busybox: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """The program and what it needs, by path; what it looks for is there meanwhile: of this process, and beside it."""
    libc = ctypes.CDLL(None)
    libc.syscall(_KEYCTL, _JOIN, None)
    assert libc.syscall(_ADD_KEY, b"user", b"buildrules-canary", b"secret", 6, _SESSION) > 0
    secret = tmp_path / "secret"
    secret.write_text("canary\n")
    secret.chmod(0o644)
    monkeypatch.setenv("SECRET", "canary")
    address = f"\0canary-{os.urandom(6).hex()}"
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "canary"]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ThreadingTCPServer(("127.0.0.1", 0), BaseRequestHandler))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        stack.callback(server.shutdown)
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(address)
        named.listen()
        handle = os.memfd_create("canary", 0)
        stack.callback(os.close, handle)
        os.set_inheritable(handle, True)
        other = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
        script = TRIES.format(secret=secret, process=other.pid, port=server.server_address[1])
        place = b"\x01\0" + address.encode()
        names: list[Call] = [(_SOCKET, (1, 1, 0)), (_CONNECT, (3, place, len(place)))]
        yield {
            "bin/busybox": busybox,
            "bin/try": f"#!/bin/busybox sh\n{script}".encode(),
            "bin/names": program(names),
            "bin/keys": program(KEYS),
            "www/out": b"",
        }
    libc.syscall(_KEYCTL, _JOIN, None)


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Iterator[Runner]:
    if request.param == "docker":
        with tidy(request.getfixturevalue("engine"), name):
            yield docker_runner(str(tmp_path))
    else:
        yield podman_runner(str(tmp_path)) if request.param == "podman" else RootfsRunner(str(tmp_path))


@pytest.fixture
def name() -> str:
    return f"buildrules-test/{os.urandom(6).hex()}"


@pytest.mark.parametrize("user", ["0", "65534"])
def test_d2_a_package_reaches_nothing_of_its_caller(
    shelf: Shelf, tools: dict[str, bytes], runner: Runner, name: str, user: str
) -> None:
    layer = shelf.layer(tools, "tools", mode=0o777)
    entry = ["/bin/busybox", "sh", "-c", "try > /www/out"]
    image = image_of([layer], entrypoint=entry, environment={"PATH": "/bin"}, user=user, labels={"test": name})
    package = Package("//:app", name, image, shelf.stream, "linux/amd64", ())
    with runner.start(package) as running:
        while running.state().running:
            time.sleep(0.01)
        output = running.read("/www/out")
    more = b"namespace\n" if runner.name == "podman" else b""  # it lets everybody make some: nothing of ours is in them
    assert output in (b"done\n", more + b"done\n")


def test_d2_the_same_program_reaches_it_all_where_nothing_is_between_them(
    tools: dict[str, bytes], tmp_path: Path
) -> None:
    """So every line above would be printed, were the protection not there."""
    for path, data in tools.items():
        place = tmp_path / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
        place.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "bin/busybox", "sh", tmp_path / "bin/try"],
        env={**os.environ, "PATH": str(tmp_path / "bin")},
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
    )
    reached = {line.split()[0] for line in done.stdout.splitlines()}
    assert reached >= {"environment", "file", "process", "signal", "network", "names", "keys", "handle", "kernel"}
