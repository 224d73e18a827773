"""The file systems a package sees: its own, and as little of the machine's /proc, /sys and /dev as engines show.

Runs in the launcher's process, in a mount namespace of its own: imports the standard library only.

Linux: mount_namespaces(7), pivot_root(2), overlayfs (Documentation/filesystems/overlayfs.rst). What is hidden and what
cannot be written is what Docker hides (moby, daemon/pkg/oci/defaults.go): root's files below /proc/sys are the
machine's, whatever namespaces a process is in.
"""

import ctypes
import errno
import os
import platform
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/system/cpu/cpu*/thermal_throttle",
    "sys/devices/virtual/powercap",
    "sys/firmware",
)
_SYSTEM = MS_NOSUID | MS_NODEV | MS_NOEXEC
_KEPT = {  # statvfs(3) -> mount(2): what a mount has must be said again when it is changed
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: MS_NOATIME,
    os.ST_NODIRATIME: MS_NODIRATIME,
    os.ST_RELATIME: MS_RELATIME,
}


def mount_root(spec: dict[str, Any], user: bool) -> None:
    """Make the root file system at `merged` in the folder `mounts`, which becomes the current directory."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = os.open(spec["root"], os.O_RDONLY | os.O_DIRECTORY)
    mount("none", spec["mounts"], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.chdir(spec["mounts"])
    for name in ("upper", "scratch", "merged"):
        os.mkdir(name, 0o755)
    if not spec["overlay"]:
        mount(f"/proc/self/fd/{root}", "merged", None, MS_BIND)
        return
    options = f"lowerdir=/proc/self/fd/{root},upperdir=upper,workdir=scratch{',userxattr' * user}"
    try:
        mount("overlay", "merged", "overlay", MS_NOSUID | MS_NODEV, options)
    except OSError as error:
        raise StageError("overlay", "overlay", error) from error


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
        if os.path.lexists(f"merged/{name}"):
            mount(f"merged/{name}", f"merged/{name}", None, MS_BIND | MS_REC)
            _forbid_writing(f"merged/{name}")
    for name in HIDDEN:
        for path in Path("merged").glob(name):
            _hide(str(path))
    _mount_devices()


def change_root() -> None:
    """Make `merged` the root, and let go of the old one."""
    os.chdir("merged")
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
    """A directory to mount on, in the root file system that lies at `merged`. Its own name must be no link."""
    path = f"merged/{name}"
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mkdir(path, 0o755)
        return path
    if not stat.S_ISDIR(mode):
        raise StageError("image", f"the image's /{name} is not a directory")
    return path


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
        try:
            flags = os.statvfs(path).f_flag
            kept = sum(mounted for given, mounted in _KEPT.items() if flags & given)
            mount("none", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
        except (FileNotFoundError, NotADirectoryError):
            pass  # hidden below another: nobody reaches it


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
