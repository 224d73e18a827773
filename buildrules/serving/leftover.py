"""Which process started a container: what a killed one left behind is removed by the next."""

import os

from buildrules.serving.kernel_file import kernel_text

LABEL = "buildrules.test"
"""On the containers of tests alone: those of `run --detach` outlive their process on purpose."""


def this_process() -> str:
    """This process as the value of a label: the boot, the namespace of process ids, id and start time (proc(5))."""
    return ".".join([*_here(), str(os.getpid()), _started(os.getpid()) or "0"])


def is_left(value: str) -> bool:
    """Whether the process that `this_process` once named is gone. False where that cannot be known from here."""
    parts = value.rsplit(".", 3)
    if len(parts) != 4 or not parts[0] or parts[:2] != _here() or not parts[2].isdecimal():
        return False
    return _started(int(parts[2])) != parts[3]


def _here() -> list[str]:
    try:
        return [kernel_text("/proc/sys/kernel/random/boot_id").strip(), str(os.stat("/proc/self/ns/pid").st_ino)]
    except OSError:
        return ["", ""]


def _started(process: int) -> str | None:
    """When a process started, in ticks after boot; None where there is none."""
    fields = kernel_text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else None
