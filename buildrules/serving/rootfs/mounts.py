"""The file systems a package sees: its own, and as little of the machine's /proc, /sys and /dev as engines show.

Runs in the launcher's process, in a mount namespace of its own: imports the standard library only.

Linux: mount_namespaces(7), pivot_root(2). What is hidden and what cannot be written is what Docker hides (moby,
daemon/pkg/oci/defaults.go): root's files below /proc/sys are the machine's, whatever namespaces a process is in.
"""

import contextlib
import ctypes
import errno
import os
import platform
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from buildrules.serving.rootfs.linux import (
    MNT_DETACH,
    MS_BIND,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    SYS_PIVOT_ROOT,
    StageError,
    call,
    mount,
)

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")
HIDDEN = (
    "proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
    "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/devices/system/cpu/cpu*/thermal_throttle",
    "sys/devices/virtual/powercap", "sys/firmware",
)  # fmt: skip
_SYSTEM = MS_NOSUID | MS_NODEV | MS_NOEXEC
_KEPT = {  # statvfs(3) -> mount(2): what a mount has must be said again when it is changed
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: MS_NOATIME,
    os.ST_NODIRATIME: MS_NODIRATIME,
    os.ST_RELATIME: MS_RELATIME,
}


def mount_root(root: str) -> None:
    """Make the folder `root` a mount of its own (pivot_root(2) wants one), and the current directory."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND)
    _restrict(root, MS_NOSUID | MS_NODEV)
    os.chdir(root)


def mount_system() -> None:
    """/proc, /sys and a small /dev. Raises StageError where the image has something else there."""
    proc, system = _point("proc"), _point("sys")
    try:
        mount("proc", proc, "proc", _SYSTEM)
    except PermissionError:  # in a container whose /proc is partly hidden Linux gives no other
        mount("/proc", proc, None, MS_BIND | MS_REC)
        _forbid_writing(proc)
    try:
        mount("sysfs", system, "sysfs", MS_RDONLY | _SYSTEM)
    except PermissionError:
        mount("/sys", system, None, MS_BIND | MS_REC)
        _forbid_writing(system)
    for name in READ_ONLY:
        if os.path.lexists(name):
            mount(name, name, None, MS_BIND | MS_REC)
            _forbid_writing(name)
    for name in HIDDEN:
        for path in Path().glob(name):
            _hide(str(path))
    _mount_devices()


def change_root() -> None:
    """Make the current directory the root, and let go of the old one."""
    number = SYS_PIVOT_ROOT.get(platform.machine())
    try:
        if number is None:
            raise OSError(errno.EINVAL, "pivot_root")
        call("syscall", ctypes.c_long(number), ctypes.c_char_p(b"."), ctypes.c_char_p(b"."))
        call("umount2", ".", MNT_DETACH)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the root of an initial file system cannot be pivoted
            raise
        mount(".", "/", None, MS_MOVE)
        os.chroot(".")
    os.chdir("/")


def _point(name: str) -> str:
    """A directory of the image to mount on. Its own name must be no link."""
    try:
        mode = os.lstat(name).st_mode
    except FileNotFoundError:
        os.mkdir(name, 0o755)
        return name
    if not stat.S_ISDIR(mode):
        raise StageError("image", f"the image's /{name} is not a directory")
    return name


def _mount_devices() -> None:
    dev = _point("dev")
    mount("tmpfs", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for name in DEVICES:
        with open(f"{dev}/{name}", "w"):
            pass
        mount(f"/dev/{name}", f"{dev}/{name}", None, MS_BIND)
    os.mkdir(f"{dev}/shm")
    mount("shm", f"{dev}/shm", "tmpfs", _SYSTEM, "mode=1777")
    os.mkdir(f"{dev}/pts")
    try:
        mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
        os.symlink("pts/ptmx", f"{dev}/ptmx")
    except OSError:
        pass  # a server needs no terminal
    os.symlink("/proc/self/fd", f"{dev}/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{dev}/{name}")


def _forbid_writing(top: str) -> None:
    """Make what is mounted at `top` and below it read-only. mount_setattr(2) does it at once, from Linux 5.12 on."""
    for path in _mounted(os.path.abspath(top)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # hidden below another: nobody reaches it
            _restrict(path, MS_RDONLY)


def _restrict(path: str, flags: int) -> None:
    """Give what is mounted at a path more flags."""
    there = os.statvfs(path).f_flag
    kept = sum(mounted for given, mounted in _KEPT.items() if there & given)
    mount("none", path, None, MS_REMOUNT | MS_BIND | flags | kept)


def _mounted(top: str) -> Iterator[str]:
    """Where something is mounted, at `top` and below it (proc_pid_mountinfo(5))."""
    with open("/proc/self/mountinfo", "rb") as file:
        rows = file.read().splitlines()
    for row in rows:
        escaped = row.split()[4]
        path = os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), escaped))
        if path == top or path.startswith(top + "/"):
            yield path


def _hide(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        mount("none", path, "tmpfs", MS_RDONLY | _SYSTEM)
    else:
        mount("/dev/null", path, None, MS_BIND)
