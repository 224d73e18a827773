"""Packages of MLflow models with no environment and no code, on the Debian base: built, run in Docker, asked."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Real

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("mlflow")]

TARGETS = """
  iris2_model: {rule: model, path: models/sklearn_2, name: iris, version: "2"}
  iris2: {rule: model_package, model: ":iris2_model", base_env: "//bases:python311", server: azureml_online}
  iris3_model: {rule: model, path: models/sklearn_3, name: iris, version: "3"}
  iris3: {rule: model_package, model: ":iris3_model", base_env: "//bases:python311", server: azureml_online}
  own3: {rule: model_package, model: ":iris3_model", base_env: "//bases:python311", server: mlflow}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, real_store: Path, models: Path) -> Real:
    made = Real(tmp_path_factory.mktemp("mlflow"), real_store)
    made.workspace(TARGETS)
    shutil.copytree(models, made.root / "models")
    return made


@pytest.fixture(scope="module")
def engine(real: Real) -> Iterator[Engine]:
    found = running_engine()
    with tidy(found, real.name):
        yield found


@pytest.mark.parametrize("name", ["iris2", "iris3"])
def test_both_kinds_of_requests_are_answered(real: Real, engine: Engine, name: str) -> None:
    folder = real.root / "models" / f"sklearn_{name[-1]}"
    rows = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3]]
    with real.start(engine, f"//:{name}") as running:
        running.wait()
        azure = running.post("/score", {"input_data": rows})
        assert (azure.status, azure.json) == (200, [0, 2]), running.container.log()
        example = running.post("/score", json.loads((folder / "serving_input_example.json").read_text()))
        assert (example.status, example.json) == (200, {"predictions": [0, 0]})
        csv = (folder / "requirements.txt").read_text()
        refused = running.ask("POST", "/score", csv, {"Content-Type": "text/csv"})
        assert refused.status == 400
        assert running.post("/score", {"data": rows}).json == {
            "message": "A value is not provided for the 'input_data' parameter."
        }


def test_mlflows_own_server(real: Real, engine: Engine) -> None:
    """The same lock: the server adds what it needs on top of the model's environment."""
    example = (real.root / "models" / "sklearn_3" / "serving_input_example.json").read_text()
    with real.start(engine, "//:own3") as running:
        running.wait()
        answer = running.post("/invocations", json.loads(example))
        assert (answer.status, answer.json) == (200, {"predictions": [0, 0]}), running.container.log()
    assert (real.root / "pylock.iris3_model+mlflow-linux-amd64.toml").is_file()


def test_the_models_own_example_is_a_test(real: Real) -> None:
    """In the form of each server, and in a network of its own where nobody else answers."""
    out = json.loads(real.run("test", "//:iris3", "//:own3", "--runner", "rootfs", "--json").stdout)
    assert {test["label"]: (test["status"], test["requests"]) for test in out["tests"]} == {
        "//:iris3": ("passed", 1),
        "//:own3": ("passed", 1),
    }
    example = real.root / "models" / "sklearn_3" / "serving_input_example.json"
    before = example.read_text()
    example.write_text(json.dumps({"dataframe_split": {"columns": ["petals"], "data": [[5]]}}))
    failed = json.loads(real.run("test", "//:own3", "--runner", "rootfs", "--json", code=1).stdout)["tests"][0]
    example.write_text(before)
    assert failed["failures"][0]["kind"] == "wrong status"
    assert "400" in failed["failures"][0]["message"]
    assert "sepal" in failed["failures"][0]["detail"]
