"""Which platforms this machine runs."""

import os

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_QEMU = {"amd64": "x86_64", "arm64": "aarch64"}
_EMULATOR = "/proc/sys/fs/binfmt_misc/qemu-"  # where Linux lists the emulators it was told of


def machine_of(name: str) -> str:
    """The architecture as images name it, from the kernel's name for it."""
    return _MACHINES.get(name, name)


def host_platform() -> str:
    """The platform of this machine, as images name it."""
    return f"{os.uname().sysname.lower()}/{machine_of(os.uname().machine)}"


def emulator_path(platform: str) -> str:
    """Where something is if Linux was told how to run programs of `platform`."""
    wanted = platform.partition("/")[2].partition("/")[0]
    return _EMULATOR + _QEMU.get(wanted, wanted)


def emulated(platform: str) -> bool:
    """Whether Linux was told how to run programs of `platform`."""
    return os.path.exists(emulator_path(platform))
