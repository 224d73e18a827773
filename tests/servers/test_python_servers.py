"""Every server that is a Python package, in an image of its own, asked what it is for. All run as an unknown user."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Real, Running

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

WORKSPACE = Path(__file__).parent / "workspace"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3]]
SPECIES = [0, 2]
V2 = {"inputs": [{"name": "rows", "shape": [2, 4], "datatype": "FP64", "data": ROWS}]}

Start = Callable[[str], AbstractContextManager[Running]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[Start]:
    space = Real(tmp_path_factory.mktemp("servers"), real_store)
    shutil.copytree(WORKSPACE, space.root, dirs_exist_ok=True)
    build = space.root / "BUILD.yaml"
    build.write_text(build.read_text().replace("name: servers", f"name: {space.name}"))
    engine = running_engine()
    with tidy(engine, space.name):
        space.run("build", "//...", "--locked")

        @contextmanager
        def begun(name: str) -> Iterator[Running]:
            with space.start(engine, f"//:{name}") as server:
                yield server
                server.container.grace = 20.0
                stopped = server.container.stop()
                assert stopped is not None
                assert not stopped.killed, f"{name} does not hear its stop signal"

        yield begun


@pytest.mark.parametrize(
    ("package", "model", "version"),
    [
        ("mlflow", "mlflow_iris", "3.17.2"),
        ("mlflow_2_22", "mlflow_2", "2.22.5"),
        ("mlflow_2_21", "mlflow_2", "2.21.3"),
    ],
)
def test_mlflow(start: Start, package: str, model: str, version: str) -> None:
    sample = (WORKSPACE / model / "serving_input_example.json").read_bytes()
    with start(package) as server:
        server.wait()
        answer = server.ask("POST", "/invocations", sample, {"Content-Type": "application/json"})
        assert (answer.status, answer.json["predictions"][0]) == (200, 0)
        names = json.loads(sample)["dataframe_split"]["columns"]
        records = [dict(zip(names, row, strict=True)) for row in ROWS]
        assert server.post("/invocations", {"dataframe_records": records}).json == {"predictions": SPECIES}
        table = "\n".join(",".join(map(str, row)) for row in [names, *ROWS])
        assert server.ask("POST", "/invocations", table, {"Content-Type": "text/csv"}).json == {"predictions": SPECIES}
        assert server.ask("GET", "/version").body == version.encode()
        for wrong in ({"data": ROWS}, {"dataframe_split": {"columns": ["a"], "data": [[1]]}}, [1]):
            assert server.post("/invocations", wrong).status == 400
        assert server.ask("POST", "/invocations", b"{", {"Content-Type": "application/json"}).status == 400
        assert server.ask("POST", "/invocations", b"x", {"Content-Type": "image/png"}).status == 415


def test_mlserver_with_two_models(start: Start) -> None:
    with start("mlserver") as server:
        server.wait()
        for path in ("/v2/models/iris/infer", "/v2/models/petals/versions/2/infer"):
            answer = server.ask("POST", path, json.dumps(V2), {"Content-Type": "application/json"}, port=8080)
            assert answer.status == 200, answer.body
            (output,) = answer.json["outputs"]
            assert (output["data"], output["datatype"]) == (SPECIES, "INT64")
        index = server.post("/v2/repository/index", {}).json
        assert {(model["name"], model["version"], model["state"]) for model in index} == {
            ("iris", "1", "READY"),
            ("petals", "2", "READY"),
        }
        assert b"model_infer_request_success" in server.ask("GET", "/metrics", port=8082).body
        for wrong, status in (({"inputs": [{"name": "x"}]}, 422), ({}, 422), ([], 422)):
            assert server.post("/v2/models/iris/infer", wrong).status == status
        assert server.post("/v2/models/tulip/infer", V2).status == 404


def test_kserve_in_both_protocols(start: Start) -> None:
    with start("kserve") as server:
        server.wait()
        assert server.ask("GET", "/").json == {"status": "alive"}
        assert server.post("/v1/models/iris:predict", {"instances": ROWS}).json == {"predictions": SPECIES}
        (output,) = server.post("/v2/models/iris/infer", V2).json["outputs"]
        assert (output["name"], output["data"]) == ("species", SPECIES)
        headers = {"Content-Type": "application/json"}
        assert server.ask("POST", "/v1/models/iris:predict", b"{", headers).status == 400
        assert server.post("/v1/models/iris:predict", {"instances": 3}).status == 400
        assert server.post("/v1/models/tulip:predict", {"instances": ROWS}).status == 404


def test_bentoml(start: Start) -> None:
    with start("bentoml") as server:
        server.wait()
        assert server.ask("GET", "/livez").status == 200
        answer = server.post("/predict", {"data": ROWS})
        assert (answer.status, answer.json) == (200, SPECIES)
        wrong: list[Any] = [{"data": "rows"}, {"rows": ROWS}, [1]]
        for body in wrong:
            assert server.post("/predict", body).status == 400
        assert server.ask("POST", "/predict", b"{", {"Content-Type": "application/json"}).status == 400


def test_litserve(start: Start) -> None:
    with start("litserve") as server:
        server.wait()
        answer = server.post("/predict", {"data": ROWS})
        assert (answer.status, answer.json) == (200, {"species": SPECIES})
        assert server.post("/predict", {"rows": ROWS}).status == 422
        assert server.ask("GET", "/predict").status == 405


def test_fastapi_with_two_models(start: Start) -> None:
    with start("fastapi") as server:
        server.wait()
        answer = server.post("/predict", {"data": ROWS})
        assert (answer.status, answer.json) == (200, {"iris:1": SPECIES, "petals:2": SPECIES})
        assert server.post("/predict", {"data": "rows"}).status == 422


def test_azureml_with_two_models(start: Start) -> None:
    with start("azureml") as server:
        server.wait()
        answer = server.post("/score", {"data": ROWS})
        assert (answer.status, answer.json) == (200, {"iris:1": SPECIES, "petals:2": SPECIES})
        assert server.post("/score", {"rows": ROWS}).status == 500  # the script raised: its contract says 500


def test_a_custom_server(start: Start) -> None:
    with start("custom") as server:
        server.wait()
        answer = server.post("/classify", {"data": ROWS})
        assert (answer.status, answer.json) == (200, SPECIES)
        assert server.post("/classify", {"rows": ROWS}).status == 400
