"""`run`, `ps`, `logs` and `stop` in Podman, where no Docker answers."""

import json
from pathlib import Path

import pytest

from buildrules.serving.podman import podman_engine
from buildrules.sha256 import hex_digest
from tests.support.dockerlab import tidy
from tests.support.running import running_space
from tests.support.space import APP

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("podman")]


def test_podman_runs_what_docker_does_not(tmp_path: Path, wheelhouse: Path, busybox: bytes) -> None:
    space = running_space(tmp_path / "run", wheelhouse, busybox)
    place = tmp_path / "docker" / "contexts" / "meta" / hex_digest(b"gone") / "meta.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"Endpoints": {"docker": {"Host": f"unix://{tmp_path}/nowhere"}}}))
    space.env |= {"DOCKER_HOST": "", "DOCKER_CONTEXT": "gone", "DOCKER_CONFIG": str(tmp_path / "docker")}
    name = space.name
    with podman_engine() as engine, tidy(engine, f"docker.io/library/{name}"), tidy(engine, f"localhost/{name}"):
        run = ("run", "-d", APP, "--name", name, "-v", "./data:/srv/data:ro")
        space.run(*run, "--gpus", "all", code=2).said("podman gives no GPUs to those who ask it in Docker's way")
        space.run(*run, "--network", "nowhere", code=1).said("podman has no network 'nowhere'", "it has ")
        space.run(*run).said(f"{APP} is ready after", f"stop it with: buildrules stop {name}")
        space.run(*run, code=1).said(f"there is a container named '{name}' already")
        space.run("ps").said(f"{name}  {APP} ", "http://127.0.0.1:")
        space.run("logs", APP).said("starting")
        space.run("stop", APP).said(f"stopped {APP} (container {name})")
        assert name not in space.run("ps").out
