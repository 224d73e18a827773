"""Which runner there is: Docker when it answers, else Podman, else the root file system itself."""

import threading

from buildrules.serving.docker import DockerRunner
from buildrules.serving.runner import Runner

_found: dict[tuple[str | None, str], Runner] = {}
_lock = threading.Lock()


def choose(name: str | None, store: str) -> Runner:
    """The runner of that name, or the first that works. `store` is the root of the local store.

    Raises UsageError where the one asked for is not there.
    """
    with _lock:
        found = _found.get((name, store))
        if found is None:
            found = _found[name, store] = _choose(name, store)
        return found


def _choose(_name: str | None, store: str) -> Runner:
    from buildrules.oci.docker import connect

    engine = connect()
    return DockerRunner(engine, store)
