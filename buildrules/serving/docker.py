"""Runs packages as containers of a Docker Engine."""

import contextlib
import json
import threading

from buildrules.errors import BuildrulesError, UsageError
from buildrules.oci.docker import load
from buildrules.oci.docker_http import Engine
from buildrules.serving import owner
from buildrules.serving.container import Container
from buildrules.serving.platform import emulated, machine_of
from buildrules.serving.runner import Package

TAG = "buildrules-test"
"""The tag images are tested under, so that those a user loaded keep their names."""

_EMULATING = ("Docker Desktop", "OrbStack")


class DockerRunner:
    """Loads what the engine lacks, and starts a container. `store` is the root of the local store."""

    name = "docker"

    def __init__(self, engine: Engine, store: str) -> None:
        self.engine = engine
        self._store = store
        self._loading = threading.Lock()
        self._swept = False

    def start(self, package: Package) -> Container:
        """See `runner.Runner`. Raises DockerError as well."""
        check_platform(self.engine, package.title, package.platform)
        name = f"{package.name}:{TAG}"
        with self._loading:
            if not self._swept:
                self._sweep()
                self._swept = True
            report = load(self.engine, package.image, [name], package.stream, store=self._store)
            if report.previous is not None:
                with contextlib.suppress(BuildrulesError):  # somebody may use it
                    self._forget(report.previous)
        return Container(
            self.engine,
            report.image_id,
            ports=dict.fromkeys(package.ports),
            environment=package.environment,
            title=package.title,
            labels={owner.LABEL: owner.owner()},
        )

    def _sweep(self) -> None:
        """Remove the containers of tests whose process was killed."""
        filters = json.dumps({"label": [owner.LABEL]})
        for found in self.engine.call("GET", "/containers/json", query={"all": 1, "filters": filters}):
            if owner.abandoned(found["Labels"][owner.LABEL]):
                query: dict[str, str | int] = {"force": 1, "v": 1}
                self.engine.call("DELETE", f"/containers/{found['Id']}", query=query, missing_ok=True)

    def _forget(self, image: str) -> None:
        """Remove the image tested before, if it has no other name."""
        found = self.engine.inspect_image(image)
        if found is not None and not found.get("RepoTags"):
            self.engine.call("DELETE", f"/images/{image}", missing_ok=True)


def is_local(engine: Engine) -> bool:
    """Whether the ports of its containers can be reached at 127.0.0.1."""
    return engine.host.startswith(("unix:", "npipe:"))


def check_platform(engine: Engine, label: str, platform: str) -> None:
    """Raise UsageError where the engine cannot run the image. Engines with an emulator can."""
    system = str(engine.info.get("OperatingSystem"))
    mine = f"{engine.info.get('OSType')}/{machine_of(str(engine.info.get('Architecture')))}"
    local = engine.host.startswith("unix:") and emulated(platform)
    if mine == platform or local or any(name in system for name in _EMULATING):
        return
    raise UsageError(
        f"{label!r} is built for {platform}, and the docker engine at {engine.host!r} runs {mine}",
        hint=f"build it with --platform {mine}, or name an engine on {platform} in DOCKER_HOST",
    )
