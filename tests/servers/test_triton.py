"""Triton: the real tritonserver with its Python backend, taken from the wheel of nvidia-pytriton."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.real import Real

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

# A server of the workspace's own that extends the built-in one: where the wheel has the program and what it links to.
# The backend looks for the stub of its Python beside itself, and the wheel has it elsewhere; and as it is no
# program in the wheel, the server has to run as root, who may make it one.
RULE = """
rule: pytriton
provides: server
extends: triton
attributes:
  binary: {type: string, default: /opt/venv/lib/python3.11/site-packages/pytriton/tritonserver/bin/tritonserver}
  backends: {type: string, default: /opt/venv/lib/python3.11/site-packages/pytriton/tritonserver/backends}
layers:
  - action: inline_layer
    with:
      parts:
        - kind: symlink
          path: opt/venv/lib/python3.11/site-packages/pytriton/tritonserver/backends/python/triton_python_backend_stub
          target: ../../python_backend_stubs/3.11/triton_python_backend_stub
image:
  environment: {LD_LIBRARY_PATH: /opt/venv/lib/python3.11/site-packages/nvidia_pytriton.libs}
  entrypoint:
    - "{binary}"
    - --model-repository={layout.model_root}
    - --backend-directory={backends}
    - --http-port={http_port}
    - "{arguments}"
"""

# The coefficients of a logistic regression over the four measures of irises.
MODEL = """
import json, os
import numpy
import triton_python_backend_utils as utils

class TritonPythonModel:
    def initialize(self, args):
        folder = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(folder, "coefficients.json")) as file:
            self.coefficients, self.intercepts = map(numpy.array, json.load(file))

    def execute(self, requests):
        answers = []
        for request in requests:
            rows = utils.get_input_tensor_by_name(request, "rows").as_numpy()
            species = (rows @ self.coefficients.T + self.intercepts).argmax(1).astype("int64")
            answers.append(utils.InferenceResponse([utils.Tensor("species", species)]))
        return answers
"""
CONFIG = """
backend: "python"
max_batch_size: 0
input [{ name: "rows" data_type: TYPE_FP64 dims: [-1, 4] }]
output [{ name: "species" data_type: TYPE_INT64 dims: [-1] }]
"""
COEFFICIENTS = [
    [[-0.42, 0.97, -2.5, -1.1], [0.53, -0.32, -0.2, -0.94], [-0.11, -0.65, 2.7, 2.04]],
    [9.85, 2.24, -12.09],
]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3]]

TARGETS = """
  base: {rule: debian_base, packages: [bash, libpython3.11]} # what the backend starts its stub with, and that links to
  env:
    rule: python_env
    base: ":base"
    requirements: [nvidia-pytriton==0.7.0, numpy==1.26.4]
    exclude: [grpcio, importlib-metadata, protobuf, pyzmq, sh, tritonclient, typer, typing-inspect, wrapt]
  iris: {rule: model, path: iris, version: "9"}
  many: {rule: model, path: repository}
  server: {rule: //rules:pytriton, arguments: [--metrics-port=8002, --grpc-port=8001]}
  triton: {rule: model_package, user: "0:0", base_env: ":env", models: [":iris", ":many"], server: ":server"}
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, real_store: Path, engine: Engine) -> Iterator[Real]:
    made = Real(tmp_path_factory.mktemp("triton"), real_store)
    made.write("rules/pytriton.yaml", RULE)
    for folder in ("iris", "repository/flowers"):
        made.write(f"{folder}/config.pbtxt", CONFIG)
        made.write(f"{folder}/3/model.py", MODEL)
        made.write(f"{folder}/3/coefficients.json", json.dumps(COEFFICIENTS))
    made.workspace(TARGETS)
    with tidy(engine, made.name):
        yield made


def test_models_and_repositories(space: Real, engine: Engine) -> None:
    with space.start(engine, "//:triton") as triton:
        triton.wait()
        assert triton.ask("GET", "/v2/health/live", port=8000).status == 200
        rows = {"name": "rows", "shape": [2, 4], "datatype": "FP64", "data": ROWS}
        for path in ("iris", "iris/versions/3", "flowers"):
            answer = triton.ask("POST", f"/v2/models/{path}/infer", json.dumps({"inputs": [rows]}), port=8000)
            assert answer.status == 200, answer.body
            (output,) = answer.json["outputs"]
            assert (output["name"], output["data"]) == ("species", [0, 2])
        wrong = triton.ask("POST", "/v2/models/iris/infer", '{"inputs": []}', port=8000)
        assert wrong.status == 400
        assert triton.ask("POST", "/v2/models/tulip/infer", "{}", port=8000).status in (400, 404)
        assert b"nv_inference_request_success" in triton.ask("GET", "/metrics", port=8002).body
