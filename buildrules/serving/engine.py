"""Runs packages as containers of an engine: Docker, or Podman, which speaks its API."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from buildrules.errors import BuildrulesError, DockerError, UsageError
from buildrules.oci.docker import load
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine
from buildrules.serving import leftover
from buildrules.serving.container import Container
from buildrules.serving.given import Given, Gpus, is_local
from buildrules.serving.platform import emulated, machine_of
from buildrules.serving.podman import podman_engine
from buildrules.serving.runner import Package

TAG = "buildrules-test."
"""How the tags begin that images are tested under, so that those a user loaded keep their names. The rest names the
process that tests: it removes its own at the end, and those of one that was killed are removed by the next."""

_PAUSES = (0.0, 0.1, 0.4, 1.0, 2.0)  # seconds before an image is removed whose container may just be being removed
_EMULATING = ("Docker Desktop", "OrbStack")


@dataclass(slots=True)
class EngineRunner:
    """Loads what the engine lacks, and starts a container. `store` is the root of the local store.

    `engine` gives the engine for as long as a package runs.
    """

    name: str
    engine: Callable[[], AbstractContextManager[Engine]]
    store: str
    _loading: threading.Lock = field(default_factory=threading.Lock)
    _swept: bool = False
    _users: dict[str, int] = field(default_factory=dict)  # of each image that was loaded, by its name

    @contextlib.contextmanager
    def start(self, package: Package) -> Iterator[Container]:
        """See `runner.Runner`. Raises DockerError as well."""
        with self.engine() as engine:
            check_platform(engine, package.title, package.platform)
            with self._loading:
                if not self._swept:
                    _sweep(engine)
                    self._swept = True
                name = f"{package.name}:{TAG}{leftover.this_process()}"
                self._users[name] = self._users.get(name, 0) + 1
            try:
                with self._loading:
                    report = load(engine, package.image, [name], package.stream, store=self.store)
                    old = engine.inspect_image(report.previous) if report.previous is not None else None
                    if report.previous is not None and not (old or {}).get("RepoTags"):
                        _forget(engine, report.previous)
                with Container(
                    engine,
                    report.image_id,
                    ports=dict.fromkeys(package.ports),
                    environment=package.environment,
                    title=package.title,
                    labels={leftover.LABEL: leftover.this_process()},
                    given=Given(gpus=Gpus.parse(package.gpus)) if package.gpus else None,
                ) as container:
                    yield container
            finally:
                with self._loading:
                    self._users[name] -= 1
                    if not self._users[name]:
                        _forget(engine, name)


def docker_runner(store: str) -> EngineRunner:
    """Packages in the Docker Engine. Raises DockerError without one, UsageError where it is on another machine."""
    engine = connect()
    if not is_local(engine):
        raise UsageError(
            f"{engine.title} is on another machine: ports of its containers are not reached here",
            hint="use --runner podman or rootfs, or an engine of this machine in DOCKER_HOST",
        )
    return EngineRunner("docker", lambda: contextlib.nullcontext(engine), store)


def podman_runner(store: str, sockets: Sequence[str] | None = None) -> EngineRunner:
    """Packages in Podman, at `sockets` as `podman_engine` does. Raises UsageError where there is none that works."""
    with podman_engine(sockets):
        pass
    return EngineRunner("podman", lambda: podman_engine(sockets), store)


@contextlib.contextmanager
def engine_here() -> Iterator[Engine]:
    """The engine in which packages are run for people: Docker, or what DOCKER_HOST names; else Podman.

    Raises DockerError where there is none.
    """
    with contextlib.ExitStack() as stack:
        try:
            engine = connect()
        except DockerError:
            if os.environ.get("DOCKER_HOST"):
                raise
            try:
                engine = stack.enter_context(podman_engine())
            except UsageError:
                pass
            else:
                yield engine
                return
            raise
        yield engine


def check_platform(engine: Engine, label: str, platform: str) -> None:
    """Raise UsageError where the engine cannot run the image. Engines with an emulator can."""
    system = str(engine.info.get("OperatingSystem"))
    mine = f"{engine.info.get('OSType')}/{machine_of(str(engine.info.get('Architecture')))}"
    local = engine.host.startswith(("unix:", "podman")) and emulated(platform)
    if mine == platform or local or any(name in system for name in _EMULATING):
        return
    raise UsageError(
        f"{label!r} is built for {platform}, and {engine.title} runs {mine}",
        hint=f"build it with --platform {mine}, or name an engine on {platform} in DOCKER_HOST",
    )


def _sweep(engine: Engine) -> None:
    """Remove the containers and images of tests whose process was killed."""
    filters = json.dumps({"label": [leftover.LABEL]})
    for found in engine.call("GET", "/containers/json", query={"all": 1, "filters": filters}):
        if leftover.is_left(found["Labels"][leftover.LABEL]):
            query: dict[str, str | int] = {"force": 1, "v": 1}
            engine.call("DELETE", f"/containers/{found['Id']}", query=query, missing_ok=True)
    for image in engine.call("GET", "/images/json") or ():
        for name in image.get("RepoTags") or ():
            _, tag, process = name.rpartition(f":{TAG}")
            if tag and leftover.is_left(process):
                _forget(engine, name)


def _forget(engine: Engine, name: str) -> None:
    """Take a name from an image, and with the last one the image. One that is in use stays for the next to remove."""
    for pause in _PAUSES:
        time.sleep(pause)
        with contextlib.suppress(BuildrulesError):
            engine.call("DELETE", f"/images/{name}", missing_ok=True)
            return
