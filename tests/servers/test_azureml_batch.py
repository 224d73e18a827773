"""Batch packages: real containers over folders of files."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Real

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

SCRIPT = """
import json, os

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights", "factor.json")) as file:
        factor = json.load(file)
    print("output goes to", os.environ["AZUREML_BI_OUTPUT_PATH"])

def run(mini_batch):
    rows = []
    for path in mini_batch:
        with open(path) as file:
            rows.append(f"{os.path.basename(path)}: {factor * float(file.read())}")
    return rows
"""

# A model that needs no library but mlflow's own: its loader lies in its folder.
LOADER = """
import pandas

def _load_pyfunc(path):
    return Doubler()

class Doubler:
    def predict(self, frame, params=None):
        assert str(frame.x.dtype) == "float64", frame.x.dtype
        return frame.x * 2
"""
MLMODEL = {
    "flavors": {"python_function": {"loader_module": "doubler_loader", "code": "code", "python_version": "3.11.2"}},
    "signature": {
        "inputs": json.dumps([{"type": "double", "name": "x", "required": True}]),
        "outputs": json.dumps([{"type": "double", "required": True}]),
    },
    "model_uuid": "0123456789abcdef0123456789abcdef",
    "mlflow_version": "3.1.0",
}

TARGETS = """
  weights: {rule: model, path: weights}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: batch_driver.py}
  three: {rule: azureml_batch, mini_batch_size: 3, max_retries: 0}
  scored: {rule: model_package, base_env: //bases:python311, model: ":weights", code: ":code", server: ":three"}

  scored_test:
    rule: package_test
    package: :scored
    job:
      input: golden/in
      output: [{name: predictions.csv, file: golden/predictions.csv, tolerance: {relative: 0.001}}]

  doubler: {rule: model, path: doubler}
  mlflow_env: {rule: python_env, base: //bases:python311, requirements: ["mlflow-skinny~=3.1", "pandas~=2.2"]}
  doubled: {rule: model_package, base_env: ":mlflow_env", model: ":doubler", server: azureml_batch}
"""


class Folders:
    """A folder of files and one of results, which any user may write to."""

    def __init__(self, root: Path) -> None:
        self.data, self.results = root / "data", root / "results"
        self.data.mkdir()
        self.results.mkdir()
        self.results.chmod(0o777)

    def run(self, image: str, *options: str, code: int = 0) -> str:
        """Run an image over the folders; returns what it said."""
        mounts = ("-v", f"{self.data}:/data:ro", "-v", f"{self.results}:/results")
        command = ["docker", "run", "--rm", "--network=none", *mounts, *options, image, "/data", "/results"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def rows(self) -> list[str]:
        return (self.results / "predictions.csv").read_text().splitlines()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[Real]:
    made = Real(tmp_path_factory.mktemp("batch"), real_store)
    made.write("weights/factor.json", "3")
    made.write("src/batch_driver.py", SCRIPT)
    made.write("doubler/MLmodel", json.dumps(MLMODEL))
    made.write("doubler/code/doubler_loader.py", LOADER)
    made.write("doubler/serving_input_example.json", '{"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}}')
    made.write("golden/in/a.txt", "1.5")
    made.write("golden/in/b.txt", "2.5")
    made.write("golden/predictions.csv", "a.txt: 4.5\nb.txt: 7.501\n")
    made.workspace(TARGETS)
    with tidy(running_engine(), made.name):
        yield made


def test_files_are_scored(space: Real, folders: Folders) -> None:
    image = space.load("//:scored")
    for number in range(7):
        (folders.data / f"{number}.txt").write_text(f"{number}.5")
    said = folders.run(image)
    assert folders.rows == [f"{number}.txt: {3 * (number + 0.5)}" for number in range(7)]
    assert "output goes to /results" in said
    assert "7 files in 3 mini batches" in said
    (folders.data / "4.txt").write_text("torn")
    said = folders.run(image, "-e", "BATCH_MAX_RETRIES=1")
    assert [row[0] for row in folders.rows] == ["0", "1", "2", "6"]
    assert "could not convert string to float" in said
    assert "done: 7 files, 3 failed, 4 rows" in said
    said = folders.run(image, "-e", "BATCH_ERROR_THRESHOLD=2", code=1)
    assert "error: 3 files failed, and the error threshold is 2" in said
    folders.results.chmod(0o755)
    said = folders.run(image, code=2)
    assert "error: cannot write to '/results': user 65532 may not write there" in said


def test_an_mlflow_model_needs_no_script(space: Real, folders: Folders) -> None:
    image = space.load("//:doubled")
    (folders.data / "a.csv").write_text("x\n1\n2\n")
    (folders.data / "b.json").write_text('[{"x": 3}]')
    (folders.data / "c.json").write_text('{"input_data": {"columns": ["x"], "index": [0], "data": [[4]]}}')
    (folders.data / "d.jsonl").write_text('{"x": 5}\n{"x": 6}\n')
    folders.run(image)
    assert folders.rows == [
        *("0 2.0 a.csv", "1 4.0 a.csv", "0 6.0 b.json", "0 8.0 c.json", "0 10.0 d.jsonl", "1 12.0 d.jsonl")
    ]


def test_run_says_how_to_run_it(space: Real) -> None:
    done = space.run("run", "//:scored", code=2)
    assert "works on files and answers no requests" in done.stderr
    assert "docker run --rm -v" in done.stderr
    assert f'-v "$PWD/data:/in" -v "$PWD/results:/out" {space.name}/scored' in done.stderr


def test_it_is_tested_before_it_ships(space: Real) -> None:
    out = space.run("test", "//...").stdout
    assert "passed      //:doubled" in out  # with the example that MLflow keeps with the model
    assert "passed      //:scored_test  1 job in" in out
    space.write("golden/predictions.csv", "a.txt: 4.5\nb.txt: 7.51\n")
    done = space.run("test", "//...", code=1).stdout
    assert "cached      //:doubled" in done
    assert "predictions.csv: wrong answer: the file is another text" in done
    assert "      -b.txt: 7.51\n      +b.txt: 7.5\n" in done
    space.write("src/batch_driver.py", SCRIPT.replace("factor *", "factor.no *"))
    done = space.run("test", "//:scored_test", code=1).stdout
    assert "exited: exited with code 1 instead of 0" in done
    assert "AttributeError: 'int' object has no attribute 'no'" in done
