"""Packages started from their root file system by an ordinary user, and what that user may read."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import buildrules
from buildrules.serving.rootfs.runner import launcher

ORDINARY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
PYTHON = "/usr/bin/python3"


@contextlib.contextmanager
def nobodys_folder(busybox: bytes) -> Iterator[Path]:
    """A folder of an ordinary user, with the launcher and a root file system."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(Path(buildrules.__file__).parent / "serving", folder / "buildrules" / "serving")
    for name in ("root/bin", "root/www"):
        (folder / name).mkdir(parents=True)
    (folder / "root/bin/busybox").write_bytes(busybox)
    (folder / "root/bin/busybox").chmod(0o755)
    (folder / "root/www/ready").write_text("yes")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def ordinary(
    folder: Path,
    argv: list[str],
    *,
    user: int = 1234,
    share: bool = False,
    before: tuple[str, ...] = (),
    processes: int = 100,
) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """The launcher with a started program: the socket to ask it, and its process. `before` are words in front of it."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [*before, *ORDINARY, *launcher(str(theirs.fileno()), PYTHON, str(folder))],
            pass_fds=[theirs.fileno()],
            cwd="/",
        )
    spec = {
        "root": str(folder / "root"),
        "argv": argv,
        "env": {"PATH": "/bin"},
        "cwd": "/new/folder",
        "uid": user,
        "gid": user,
        "groups": [],
        "hostname": "package",
        "share": share,
        "processes": processes,
    }
    with mine:
        with open(os.memfd_create("specification"), "w+b") as file:
            file.write(json.dumps(spec).encode())
            file.seek(0)
            socket.send_fds(mine, [b"{}"], [file.fileno()])
        assert json.loads(mine.recv(1 << 16)) == {"ok": True}
        yield mine, process
