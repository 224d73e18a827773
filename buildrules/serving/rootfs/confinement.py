"""What a program may do that was started in namespaces of its own: less than whoever started it.

Runs in the launcher's process: imports the standard library only. Linux: capabilities(7), keyctl(2), seccomp(2),
getrlimit(2), cgroups(7) and the pids controller (Documentation/admin-guide/cgroup-v1/pids.rst and cgroup-v2.rst).
"""

import contextlib
import ctypes
import os
import platform
import resource
import time
from collections.abc import Iterator
from typing import Any

from buildrules.serving.rootfs.linux import PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, call
from buildrules.serving.rootfs.seccomp import install_filter

KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 31})
"""What Docker leaves a container's root, but for MKNOD and AUDIT_WRITE (capabilities(7), by number)."""

_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1
_GROUPS = "/sys/fs/cgroup"
_PREFIX = "buildrules-"
_YOUNG = 60.0  # seconds in which a group may still be empty


def confine(spec: dict[str, Any], user: bool) -> None:
    """Become the image's user, without what it does not need. With `user` this is a user namespace, which has but one.

    Raises OSError, and StageError where Linux cannot filter system calls: then nothing may be started.
    """
    leave_keyring()
    for number in range(64):
        if number not in KEPT_CAPABILITIES:
            try:
                call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
            except OSError:
                break  # Linux knows no more
    most, hard = spec["processes"], resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    if not user:
        os.setgroups(spec["groups"])
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    install_filter()


def leave_keyring() -> None:
    """Take an empty session keyring: the caller's may hold what opens a disk or a share."""
    with contextlib.suppress(OSError):  # refused within an engine's container, and so is the search of a keyring
        call("syscall", ctypes.c_long(_KEYCTL.get(platform.machine(), -1)), _JOIN_SESSION_KEYRING, None)


@contextlib.contextmanager
def process_group(most: int) -> Iterator[str | None]:
    """A new cgroup's folder, None where there can be none: at most `most` processes and threads, gone after exit.

    RLIMIT_NPROC does not hold for the machine's root, this does. `join` puts a process into it.
    """
    folder = _new_group(most)
    try:
        yield folder
    finally:
        if folder is not None:
            _remove(folder)


def join(folder: str) -> None:
    """Put this process into the cgroup, and with it all it starts. Raises OSError."""
    _write(f"{folder}/cgroup.procs", "0")


def _new_group(most: int) -> str | None:
    try:
        above = _pids_folder()
        if above is None:
            return None
        for entry in os.scandir(above):  # of launchers that were killed
            if entry.name.startswith(_PREFIX) and entry.stat().st_mtime < time.time() - _YOUNG:
                _remove(entry.path)
        folder = f"{above}/{_PREFIX}{os.urandom(6).hex()}"
        os.mkdir(folder)
    except OSError:
        return None
    try:
        _write(f"{folder}/pids.max", str(most))
    except OSError:
        _remove(folder)
        return None
    return folder


def _remove(folder: str) -> None:
    """Remove a cgroup, unless it has processes."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _pids_folder() -> str | None:
    """The nearest cgroup from this process's own upwards whose children can have a limit of processes."""
    with open("/proc/self/cgroup") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in rows:
        if "pids" in controllers.split(","):
            return f"{_GROUPS}/{controllers}{path}".rstrip("/")
    for _, controllers, path in rows:
        found = f"{_GROUPS}{path}".rstrip("/")
        while not controllers and found != _GROUPS.rpartition("/")[0]:
            with contextlib.suppress(OSError), open(f"{found}/cgroup.subtree_control") as file:
                if "pids" in file.read().split():
                    return found
            found = found.rpartition("/")[0]
    return None


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
