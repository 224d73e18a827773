"""Runs packages as containers of an engine: Docker, or Podman, which speaks its API."""

import contextlib
import json
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from buildrules.errors import BuildrulesError, UsageError
from buildrules.oci.docker import load
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine
from buildrules.serving import leftover
from buildrules.serving.container import Container
from buildrules.serving.platform import emulated, machine_of
from buildrules.serving.podman import podman_engine
from buildrules.serving.runner import Package

TAG = "buildrules-test"
"""The tag images are tested under, so that those a user loaded keep their names."""

_EMULATING = ("Docker Desktop", "OrbStack")
_MANY = 32768  # open files, and processes


class EngineRunner:
    """Loads what the engine lacks, and starts a container. `store` is the root of the local store.

    `engine` gives the engine for as long as a package runs; `limits` are its containers' (see `Container`).
    """

    def __init__(
        self,
        name: str,
        engine: Callable[[], AbstractContextManager[Engine]],
        store: str,
        limits: dict[str, int] | None = None,
    ) -> None:
        self.name = name
        self._engine = engine
        self._store = store
        self._limits = limits
        self._loading = threading.Lock()
        self._swept = False

    @contextlib.contextmanager
    def start(self, package: Package) -> Iterator[Container]:
        """See `runner.Runner`. Raises DockerError as well."""
        with self._engine() as engine:
            check_platform(engine, package.title, package.platform)
            with self._loading:
                if not self._swept:
                    _sweep(engine)
                    self._swept = True
                report = load(engine, package.image, [f"{package.name}:{TAG}"], package.stream, store=self._store)
                if report.previous is not None:
                    with contextlib.suppress(BuildrulesError):  # somebody may use it
                        _forget(engine, report.previous)
            with Container(
                engine,
                report.image_id,
                ports=dict.fromkeys(package.ports),
                environment=package.environment,
                title=package.title,
                labels={leftover.LABEL: leftover.this_process()},
                limits=self._limits,
            ) as container:
                yield container


def docker_runner(store: str) -> EngineRunner:
    """Packages in the Docker Engine. Raises DockerError without one, UsageError where it is on another machine."""
    engine = connect()
    if not engine.host.startswith(("unix:", "npipe:")):
        raise UsageError(
            f"{engine.title} is on another machine: ports of its containers are not reached here",
            hint="use --runner podman or rootfs, or an engine of this machine in DOCKER_HOST",
        )
    return EngineRunner("docker", lambda: contextlib.nullcontext(engine), store)


def podman_runner(store: str, sockets: Sequence[str] | None = None) -> EngineRunner:
    """Packages in Podman, at `sockets` as `podman_engine` does. Raises UsageError where there is none that works."""
    with podman_engine(sockets):
        pass
    limits = {}  # Podman's own are higher than a machine allows whose root may not raise them
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(number)[1]
        limits[name] = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
    return EngineRunner("podman", lambda: podman_engine(sockets), store, limits)


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
    """Remove the containers of tests whose process was killed."""
    filters = json.dumps({"label": [leftover.LABEL]})
    for found in engine.call("GET", "/containers/json", query={"all": 1, "filters": filters}):
        if leftover.is_left(found["Labels"][leftover.LABEL]):
            query: dict[str, str | int] = {"force": 1, "v": 1}
            engine.call("DELETE", f"/containers/{found['Id']}", query=query, missing_ok=True)


def _forget(engine: Engine, image: str) -> None:
    """Remove the image tested before, if it has no other name."""
    found = engine.inspect_image(image)
    if found is not None and not found.get("RepoTags"):
        engine.call("DELETE", f"/images/{image}", missing_ok=True)
