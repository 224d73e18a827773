"""Namespaces of a package's own, and what it sees of itself in them: its user, network, host name and directory.

Runs in the launcher's process: imports the standard library only. Linux: namespaces(7), user_namespaces(7).
"""

import errno
import fcntl
import os
import socket
import struct
from typing import Any

from buildrules.serving.rootfs.linux import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    StageError,
    call,
)

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SIOCSIFADDR, SIOCGIFINDEX = 0x8916, 0x8933
ADDRESS, ADDRESS6 = "192.0.2.1", "2001:db8::1"
"""The package's own addresses, for documentation by RFC 5737 and 3849: as from outside of a container, 127.0.0.1 is
not what is asked."""
LOOPBACK, LOOPBACK6 = "127.0.0.1", "::1"


def enter(spec: dict[str, Any]) -> bool:
    """Leave the machine's namespaces; whether that took a user namespace."""
    flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (0 if spec["share"] else CLONE_NEWNET)
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            call("unshare", flags)
        except PermissionError:
            pass  # root of a container that may not: perhaps with a user namespace
        else:
            return False
    try:
        call("unshare", flags | CLONE_NEWUSER)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{spec['uid']} {uid} 1"),
            ("gid_map", f"{spec['gid']} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        if error.errno == errno.ENOSPC:  # unshare(2): the limit of user namespaces
            error.strerror = "there may be no more user namespaces"
        raise StageError("namespaces", "unshare", error) from error
    return True


def loopback_up() -> None:
    """Switch the network namespace's own loopback on, and give it addresses besides 127.0.0.1 (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        own = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(ADDRESS))
        fcntl.ioctl(control, SIOCSIFADDR, own)
        (index,) = struct.unpack_from("i", fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16s24x", b"lo")), 16)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            own = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, ADDRESS6), 128, index)
            fcntl.ioctl(control, SIOCSIFADDR, own)
    except OSError:
        pass  # a machine without IPv6


def write_names(spec: dict[str, Any], resolver: str) -> None:
    """Host name, the files engines put into every container, and the working directory."""
    socket.sethostname(spec["hostname"])
    _make_folder("/etc", "/etc")
    own = LOOPBACK if spec["share"] else ADDRESS
    hosts = f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{own} {spec['hostname']}\n"
    for name, text in (("hosts", hosts), ("hostname", spec["hostname"] + "\n"), ("resolv.conf", resolver)):
        path = f"/etc/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            raise StageError("image", f"the image's {path} is a directory")
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "w") as file:
            file.write(text)
    _make_folder(spec["cwd"], f"working directory {spec['cwd']}")
    os.chdir(spec["cwd"])


def _make_folder(path: str, name: str) -> None:
    """Make a directory of the image where it is missing, also where a link leads."""
    try:
        os.makedirs(os.path.realpath(path), exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise StageError("image", f"the image's {name} is not a directory") from error
