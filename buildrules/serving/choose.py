"""Which runner there is: Docker when it answers, else Podman, else the root file system itself."""

import os
import threading

from buildrules.errors import DockerError, UsageError
from buildrules.serving.docker import DockerRunner, is_local
from buildrules.serving.runner import Runner

_found: dict[tuple[str | None, str], Runner] = {}
_lock = threading.Lock()


def choose(name: str | None, store: str) -> Runner:
    """The runner of that name, or the first that works. `store` is the root of the local store.

    Raises UsageError or DockerError where the one asked for is not there.
    """
    with _lock:
        found = _found.get((name, store))
        if found is None:
            found = _found[name, store] = _choose(name, store)
        return found


def _choose(name: str | None, store: str) -> Runner:
    from buildrules.serving import podman
    from buildrules.serving.rootfs.runner import RootfsRunner

    if name in (None, "docker"):
        try:
            return _docker(store)
        except (DockerError, UsageError):
            if name is not None:
                raise
    if name in (None, "podman"):
        try:
            return podman.connect()
        except UsageError:
            if name is not None:
                raise
    return RootfsRunner(os.path.join(store, "tmp"))


def _docker(store: str) -> DockerRunner:
    from buildrules.oci.docker import connect

    engine = connect()
    if not is_local(engine):
        raise UsageError(
            f"the docker engine at {engine.host!r} is on another machine: ports of its containers are not reached here",
            hint="use --runner podman or rootfs, or an engine of this machine in DOCKER_HOST",
        )
    return DockerRunner(engine, store)
