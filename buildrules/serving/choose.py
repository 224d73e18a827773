"""Which runner there is: Docker when it answers, else Podman, else the root file system itself."""

import os
import threading

from buildrules.errors import DockerError, UsageError
from buildrules.serving.engine import docker_runner, podman_runner
from buildrules.serving.rootfs.runner import RootfsRunner
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
    for one, make in (("docker", docker_runner), ("podman", podman_runner)):
        if name in (None, one):
            try:
                return make(store)
            except (DockerError, UsageError):
                if name is not None:
                    raise
    return RootfsRunner(os.path.join(store, "tmp"))
