"""What a package without an engine sees of its machine, and what of it outlives whom."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import ServingError
from buildrules.serving.rootfs.runner import RootfsProcess, RootfsRunner
from buildrules.serving.runner import Package
from tests.support.handmade import Shelf, image_of
from tests.support.ordinary import ordinary

WRITTEN = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/swappiness",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_seqnum",
]
LOOK = """
for path in {written}; do
    (: >> $path) 2> /dev/null && echo wrote $path   # opened for writing, and nothing written
done
for path in /proc/keys /proc/timer_list /proc/interrupts; do
    busybox test -e $path && busybox head -c 1 $path | busybox grep -q . && echo read $path
done
for path in /proc/acpi /sys/firmware; do
    busybox test -e $path && busybox ls $path | busybox grep . && echo listed $path
done
busybox cat /proc/self/mountinfo
busybox touch /www/done
""".format(written=" ".join(WRITTEN))


def looked(text: str) -> tuple[list[str], dict[str, set[str]]]:
    """What LOOK should not have been able to do, and the options of each mount but /dev/null."""
    rows = [line.split() for line in text.splitlines()]
    mounts = {row[4]: set(row[5].split(",")) for row in rows if row[0].isdigit() and row[3] != "/null"}
    return [" ".join(row) for row in rows if not row[0].isdigit()], mounts


def package(
    shelf: Shelf, busybox: bytes, script: str, files: dict[str, bytes] | None = None, **settings: Any
) -> Package:
    tools = shelf.layer({"bin/busybox": busybox, "www/ready": b"yes", **(files or {})}, "tools", mode=0o755)
    image = image_of(
        [tools], **{"entrypoint": ["/bin/busybox", "sh", "-c", script], "environment": {"PATH": "/bin"}, **settings}
    )
    return Package("//:app", "acme/app", image, shelf.stream, "linux/amd64", (8080,))


def ended(running: RootfsProcess) -> int | None:
    while (state := running.state()).running:
        time.sleep(0.01)
    return state.exit_code


def test_root_writes_nothing_of_the_machine(shelf: Shelf, busybox: bytes, tmp_path: Path) -> None:
    mine = package(shelf, busybox, LOOK, user="0")
    with RootfsRunner(str(tmp_path)).start(mine) as running:
        assert ended(running) == 0
        done, mounts = looked(running.log(1000))
    assert done == []
    assert "ro" in mounts["/proc/sys"] & mounts["/sys"]
    assert "rw" in mounts["/proc"]


@pytest.mark.parametrize("hidden", [False, True], ids=["whole", "partly hidden"])
@pytest.mark.parametrize("share", [False, True], ids=["alone", "with the machine's network"])
def test_nor_does_an_ordinary_user(nobodys: Path, hidden: bool, share: bool) -> None:
    """In a container whose /proc and /sys are partly hidden, and with its network, Linux gives no new ones."""
    script = 'mount -t tmpfs none /proc/acpi && mount -t tmpfs none /sys/firmware && exec "$@"'
    before = ("unshare", "-m", "sh", "-c", script, "sh") if hidden else ()
    command = ["/bin/busybox", "sh", "-c", "(" + LOOK + ") > /www/out 2>&1"]
    with ordinary(nobodys, command, user=0, share=share, before=before) as (mine, process):
        while not (nobodys / "root/www/done").exists():
            time.sleep(0.01)
        mine.close()
        assert process.wait(20) == 0
    done, mounts = looked((nobodys / "root/www/out").read_text())
    assert done == []
    assert "ro" in mounts["/proc/sys"] & mounts["/sys"]
    assert ("ro" in mounts["/proc"]) == hidden
    below = [options for path, options in mounts.items() if path.startswith(("/proc/", "/sys/"))]
    assert len(below) > 1 + hidden + share
    assert all("ro" in options for options in below)


@pytest.mark.parametrize("which", [0, 1], ids=["the one that waits", "the one that answers"])
def test_nothing_outlives_a_killed_launcher(shelf: Shelf, busybox: bytes, tmp_path: Path, which: int) -> None:
    script = "busybox setsid busybox sleep 1000 & busybox setsid busybox sleep 1000 & busybox sleep 1000; :"
    with RootfsRunner(str(tmp_path)).start(package(shelf, busybox, script)) as running:
        below = _below(running._process.pid)  # type: ignore[union-attr]
        while len(below) < 6:
            below = _below(running._process.pid)  # type: ignore[union-attr]
        os.kill(below[which], signal.SIGKILL)
        with pytest.raises(ServingError, match="ended from outside"):
            while True:
                running.state()
        while any(_alive(number) for number in below[1:]):
            time.sleep(0.01)


def _below(process: int) -> list[int]:
    """A process and those below it, parents first."""
    found = [process]
    for number in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{number}/task/{number}/children").read_text()
            found += map(int, children.split())
    return found


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
