"""What Python's library has no call for. Runs in the launcher's process: imports the standard library only."""

import ctypes
import os
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1 << 10, 1 << 11, 1 << 21
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class StageError(Exception):
    """Something Linux refused, or with the stage "image" something of the image that is in the way.

    `number` is Linux' own for the error, 0 where there is none.
    """

    def __init__(self, stage: str, what: str, error: OSError | None = None) -> None:
        super().__init__(f"{what}: {error.strerror}" if error is not None else what)
        self.stage = stage
        self.number = error.errno or 0 if error is not None else 0


def call(name: str, *args: Any) -> int:
    """A function of the C library that returns a number. Raises OSError where that is below 0."""
    values = [os.fsencode(arg) if isinstance(arg, str) else arg for arg in args]
    found: int = getattr(_libc, name)(*values)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2)."""
    call("mount", source, target, kind and os.fsencode(kind), ctypes.c_ulong(flags), options and os.fsencode(options))
