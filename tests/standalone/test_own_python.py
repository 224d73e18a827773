"""Files that ask for a Python get it: the custom model of azureml-examples as it stands, and an old Python with servers
of its time. (azureml-examples, MIT, in examples/)

The interpreters are those of this machine, in the form of python-build-standalone's. Where it has no 3.12, the model's
file is made to ask for one that is here; the oldest that is here is the old one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy
from tests.support.example import Example
from tests.support.real_python import Here, archive_of, pythons, suite

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("standalone")]
ANSWER = [11055.977245525679, 4503.079536107787]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Example:
    name = f"buildrules-test-{os.urandom(4).hex()}"
    return Example("examples/models/regressor", tmp_path_factory.mktemp("own") / name, real_store)


@pytest.fixture(scope="module")
def engine(example: Example) -> Iterator[Engine]:
    found = running_engine()
    with tidy(found, example.root.name):
        yield found


def settle(example: Example, here: Here, made: Path, targets: str = "") -> None:
    """A workspace whose mirror of interpreters has one."""
    folder = example.root / "pythons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    file = Path(shutil.copy(archive_of(here, made), folder))
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    section = f"name: {example.root.name}, platforms: [linux/amd64], debian: {{suite: {suite()}}}"
    section += ", python: {mirror: pythons, bytecode: false}"
    (example.root / "BUILD.yaml").write_text(f"workspace: {{{section}}}\ntargets:\n{targets or '  {}'}\n")


def test_c1_the_custom_model_answers_with_its_own_python(example: Example, engine: Engine, run_directory: Path) -> None:
    own = next((one for one in pythons() if one.minor == "3.12"), pythons()[0])
    conda = example.root / "environment" / "conda.yaml"
    assert "python=3.12\n" in conda.read_text()
    if own.minor != "3.12":
        conda.write_text(conda.read_text().replace("python=3.12\n", f"python={own.minor}\n"))
    settle(example, own, run_directory / "pythons")
    for package in ("package-external.yml", "package-moe.yml"):
        options = ("--package", package, "--model", "model")
        assert example.ask(*options) == ANSWER
    assert json.loads(example.run("show", *options, "--json"))["made_from"]["python"].startswith(own.minor)


OLD = """\
  env: {rule: python_env, conda_file: old/conda.yaml}
  code: {rule: scoring_code, srcs: [old/score.py], entry_script: score.py, strip_prefix: old}
  app: {rule: model_package, base_env: ":env", server: azureml_online, code: ":code"}
  app_test:
    rule: package_test
    package: ":app"
    requests: [{route: scoring, json: {data: [1, 2, 3]}, expect: {json: [MINOR, 6.0]}}]
  loads: {rule: model, path: old/model}
  serves: {rule: model_package, model: ":loads", server: mlflow}
  serves_test:
    rule: package_test
    package: ":serves"
    requests: [{json: {dataframe_split: {columns: [a], data: [[1], [2]]}}, expect: {json: {predictions: [2, 4]}}}]
"""
FILES = {
    "conda.yaml": "dependencies: [python=MINOR, pip: [numpy]]\n",
    "score.py": """\
import json, sys
import numpy

def init():
    pass

def run(data):
    return ["%d.%d" % sys.version_info[:2], float(numpy.sum(json.loads(data)["data"]))]
""",
    "model/MLmodel": """\
flavors:
  python_function: {loader_module: loader, code: code, data: data, env: conda.yaml, python_version: MINOR.1}
""",
    "model/conda.yaml": "dependencies: [python=MINOR.1, pip: [mlflow-skinny, pandas]]\n",
    "model/data/nothing": "",
    "model/code/loader.py": """\
class Doubles:
    def predict(self, frame):
        return [value * 2 for value in frame["a"]]

def _load_pyfunc(path):
    return Doubles()
""",
}


def test_an_old_python_gets_servers_of_its_time(example: Example, engine: Engine, run_directory: Path) -> None:
    oldest = min(pythons(), key=lambda one: int(one.minor.partition(".")[2]))
    for path, text in FILES.items():
        place = example.root / "old" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace("MINOR", oldest.minor))
    settle(example, oldest, run_directory / "pythons", OLD.replace("MINOR", f'"{oldest.minor}"'))
    example.run("lock", "//:app", "//:serves")
    lock = (example.root / "pylock.env-linux-amd64.toml").read_text()
    assert f"python_version == '{oldest.minor}'" in lock
    assert "2 passed" in example.run("test", "//:app_test", "//:serves_test")
