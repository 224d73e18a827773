"""TorchServe: its real front end, on the Java of Debian. The workers need torch, which is not worth 200 MB here."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.real import Real

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

TARGETS = """
  base: {rule: debian_base, packages: [default-jre-headless]}
  iris: {rule: model, path: iris.mar}
  petals: {rule: model, path: other.mar}
  server: {rule: torchserve, workers: 1, settings: job_queue_size=7}
  torchserve: {rule: model_package, base_env: ":base", models: [":iris", ":petals"], server: ":server"}
"""


def archive(name: str) -> bytes:
    """A model archive with a handler of its own, as torch-model-archiver lays it out."""
    manifest = {
        "createdOn": "01/01/2025 00:00:00",
        "runtime": "python",
        "model": {"modelName": name, "handler": "handler.py", "modelVersion": "1.0"},
        "archiverVersion": "0.12.0",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        file.writestr("handler.py", "def handle(data, context):\n    return data\n")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, real_store: Path, engine: Engine) -> Iterator[Real]:
    made = Real(tmp_path_factory.mktemp("torchserve"), real_store)
    made.write("iris.mar", archive("iris"))
    made.write("other.mar", archive("petals"))
    made.workspace(TARGETS)
    with tidy(engine, made.name):
        yield made


def test_the_front_end_knows_the_models(space: Real, engine: Engine) -> None:
    with space.start(engine, "//:torchserve") as torchserve:
        torchserve.wait()
        known = torchserve.ask("GET", "/models", port=8081).json["models"]
        assert {(model["modelName"], model["modelUrl"]) for model in known} == {
            ("iris", "iris.mar"),
            ("petals", "other.mar"),
        }
        (iris,) = torchserve.ask("GET", "/models/iris", port=8081).json
        assert (iris["minWorkers"], iris["jobQueueStatus"]["remainingCapacity"]) == (1, 7)
        assert torchserve.ask("GET", "/ping", port=8080).status in (200, 500)
        assert torchserve.ask("GET", "/models/tulip", port=8081).status == 404
        assert torchserve.ask("POST", "/predictions/tulip", b"x", port=8080).status == 404
