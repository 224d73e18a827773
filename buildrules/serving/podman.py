"""Podman as an engine: it speaks Docker's API at a socket, its user's or that of a service started for a while.

podman-system-service(1). What differs from Docker: containers need limits of this machine, and names come back with
`docker.io/` before them. DOCKER_HOST may lead to it as well.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence

from buildrules.errors import DockerError, UsageError
from buildrules.oci.docker_connect import ping, unix
from buildrules.oci.docker_http import Engine

_SECONDS = 30.0  # for the service to listen, and to end
_IDLE_SECONDS = 2  # without a connection, after which a service ends: it has one as long as its starter lives
_MANY = 32768  # open files, and processes
_HINT = "use --runner docker or rootfs"


@contextlib.contextmanager
def podman_engine(sockets: Sequence[str] | None = None) -> Iterator[Engine]:
    """Podman, for as long as the caller needs it.

    It is asked at the first of `sockets` where it listens, the usual ones of this user if left out, else at a service
    of its own that ends on exit. Raises UsageError where there is no Podman that works.
    """
    folder = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR")
    usual = [f"{folder}/podman/podman.sock"] if folder else []
    for path in usual if sockets is None else sockets:
        engine = _engine(path)
        with contextlib.suppress(DockerError):
            ping(engine)
            break
    else:
        with _service() as path:
            yield _engine(path)
        return
    yield engine


def is_podman(engine: Engine) -> bool:
    """Whether it is Podman that answers. Raises DockerError."""
    return "BuildahVersion" in engine.info


def limits_of(engine: Engine) -> list[dict[str, str | int]]:
    """The limits that a container of the engine needs (Docker Engine API, "Ulimits"; getrlimit(2)); [] for its own.

    Podman's own are higher than a machine allows whose root may not raise them.
    """
    if not is_podman(engine):
        return []
    hard = {name: resource.getrlimit(number)[1] for name, number in _LIMITED.items()}
    most = {name: _MANY if limit == resource.RLIM_INFINITY else min(limit, _MANY) for name, limit in hard.items()}
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in most.items()]


_LIMITED = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


def _engine(path: str) -> Engine:
    return Engine("podman", unix(path), "podman")


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """The socket of a service of our own, in a folder that nobody else may enter."""
    if shutil.which("podman") is None:
        raise UsageError("there is no podman here", hint=f"install it, or {_HINT}")
    with tempfile.TemporaryDirectory(prefix="podman-") as folder, tempfile.TemporaryFile() as said:
        path = os.path.join(folder, "socket")
        process = subprocess.Popen(
            ["podman", "system", "service", f"--time={_IDLE_SECONDS}", f"unix://{path}"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us
        )
        try:
            deadline = time.monotonic() + _SECONDS
            while not _listens(path):
                if process.poll() is not None:
                    said.seek(0)
                    last = said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                    raise UsageError(f"podman does not work: {last[0].removeprefix('Error: ')}", hint=_HINT)
                if time.monotonic() > deadline:
                    raise UsageError(f"podman did not start listening within {_SECONDS:g} s", hint=_HINT)
                time.sleep(0.005)
            with _engine(path).open("GET", "/events", timeout=None):  # an answer without an end: see _IDLE_SECONDS
                yield path
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(path: str) -> bool:
    try:
        ping(_engine(path))
    except DockerError:
        return False
    return True
