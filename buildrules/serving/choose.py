"""Which runner there is: Docker when it answers, else Podman, else the root file system itself."""

import os
import threading

from buildrules.errors import DockerError, UsageError
from buildrules.net.session import Session
from buildrules.serving.engine import docker_runner, podman_runner
from buildrules.serving.rootfs.runner import RootfsRunner
from buildrules.serving.runner import Runner


class Runners:
    """The runners of one session: each is looked for once."""

    def __init__(self, _: Session) -> None:
        self._found: dict[tuple[str | None, str], Runner] = {}
        self._lock = threading.Lock()

    def choose(self, name: str | None, store: str) -> Runner:
        """The runner of that name, or the first that works. `store` is the root of the local store.

        Raises UsageError or DockerError where the one asked for is not there.
        """
        with self._lock:
            found = self._found.get((name, store))
            if found is None:
                found = self._found[name, store] = _choose(name, store)
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
