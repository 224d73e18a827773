"""What buildrules needs of the machine: room for the store, programs, engines, the kernel."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from buildrules import __version__
from buildrules.cli.doctor.finding import Finding, broken, failed, good, lacking
from buildrules.cli.report import size_text
from buildrules.errors import BuildrulesError
from buildrules.oci.docker_http import Engine
from buildrules.state.location import store_root
from buildrules.store.store import Store

_ROOM = 5_000_000_000  # bytes that a few environments with their wheels take
_LEAST = 200_000_000
_SKEW = 2.0  # seconds between the clocks of the machine and of a file system, from which on rows are read again
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs", "afs", "ceph", "lustre"})
_FOLDERS = 30_000  # that inotify should watch


def program() -> Iterator[Finding]:
    """This program and its Python."""
    yield good("buildrules", f"{__version__}, Python {platform.python_version()} ({sys.executable})")


def store() -> Iterator[Finding]:
    """Whether the store can be used, and how much room there is."""
    root = store_root()
    try:
        Store().close()
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"x")
            file.flush()
            skew = os.fstat(file.fileno()).st_mtime - time.time()
    except BuildrulesError as error:
        yield failed("store", error)
        return
    except OSError as error:
        yield broken(
            "store", f"'{root}': {(error.strerror or str(error)).lower()}", "another: BUILDRULES_CACHE_DIR=DIR"
        )
        return
    free = shutil.disk_usage(root).free
    if free < _ROOM:
        say = broken if free < _LEAST else lacking
        yield say("store", f"{size_text(free)} free at '{root}'", "buildrules cache gc, or BUILDRULES_CACHE_DIR=DIR")
    else:
        yield good("store", f"'{root}', {size_text(free)} free")
    kind = _file_system(root)
    if kind in _REMOTE:
        yield lacking("store", f"it lies on {kind}: slow, and locks may not hold", "BUILDRULES_CACHE_DIR=DIR of a disk")
    if abs(skew) > _SKEW:
        text = f"the clock of its file system is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        yield lacking("clock", text, "set both by NTP; until then files are read again that did not change")


def programs() -> Iterator[Finding]:
    """Programs that are called."""
    from buildrules.actions.python.uvtool import uv_binary

    try:
        found = subprocess.run([uv_binary(), "--version"], capture_output=True, text=True, check=True, timeout=60)
        yield good("uv", found.stdout.strip().removeprefix("uv "))
    except BuildrulesError as error:
        yield failed("uv", error)
    except (OSError, subprocess.SubprocessError) as error:
        yield broken("uv", f"it does not run: {error}", f"{sys.executable} -m pip install --force-reinstall uv")
    if shutil.which("git"):
        yield good("git", shutil.which("git") or "")
    else:
        yield lacking("git", "not found: no affected targets, no {git.sha} in tags", "apt install git")


def engines() -> Iterator[Finding]:
    """What packages can be run and tested by."""
    from buildrules.oci.docker_connect import connect
    from buildrules.serving.podman import podman_engine
    from buildrules.serving.rootfs.runner import refusal

    there = False
    try:
        yield good("docker", _version(connect()))
        there = True
    except BuildrulesError as error:
        yield lacking("docker", error.message, error.hint or "")
    try:
        with podman_engine() as engine:
            yield good("podman", _version(engine))
            there = True
    except BuildrulesError as error:
        if not there:
            yield lacking("podman", error.message, error.hint or "")
    why = refusal()
    if not why:
        yield good("namespaces", "packages can be tested without an engine")
    else:
        say = lacking if there else broken
        yield say("namespaces", f"linux refuses {why}", "sysctl kernel.unprivileged_userns_clone=1, or start Docker")


def kernel() -> Iterator[Finding]:
    """Limits of the kernel."""
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
            most = int(file.read())
    except (OSError, ValueError):
        return
    if most < _FOLDERS:
        yield lacking("inotify", f"{most} folders can be watched", "sysctl fs.inotify.max_user_watches=1000000")
    else:
        yield good("inotify", f"{most} folders can be watched")


def _version(engine: Engine) -> str:
    return str(engine.call("GET", "/version")["Version"])


def _file_system(path: str) -> str:
    """The type of the file system that a path lies on, from /proc/mounts (man 5 proc); "" where that is not there."""
    found, longest = "", -1
    try:
        with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, place, kind, *_ = line.split(" ")
                place = place.replace("\\040", " ")
                if len(place) > longest and f"{os.path.realpath(path)}/".startswith(f"{place.rstrip('/')}/"):
                    found, longest = kind, len(place)
    except (OSError, ValueError):
        return ""
    return found
