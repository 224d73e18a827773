"""The script that scores files with MLflow models, run by the batch driver in environments with MLflow 1, 2 and 3."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import VENVS, mlflow_python

RULES = Path(__file__).parents[2] / "rules"
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("mlflow")]

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]]
WHOLE = "\n".join([",".join(NAMES), "5,3,1,0", "6,3,5,2"])  # the columns are integers, and the model takes floats
OBJECTS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]

Score = Callable[..., list[str]]


@pytest.fixture
def score(tmp_path: Path, models: Path) -> Score:
    """The rows for some files, by a model in the environment of a major version."""

    def run(major: str, model: str, files: dict[str, str], fails: str | None = None) -> list[str]:
        code, given = tmp_path / "code", tmp_path / "in"
        for folder in (code, given):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for name in ("mlflow_batch_script.py", "mlflow_signature.py"):
            shutil.copy(RULES / name, code)
        for name, text in files.items():
            (given / name).write_text(text)
        variables = {
            "AZUREML_ENTRY_SCRIPT": str(code / "mlflow_batch_script.py"),
            "AZUREML_MODEL_DIR": str(models / model),
            "BATCH_MAX_RETRIES": "0",
            "BATCH_TIMEOUT": "300",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            [mlflow_python(major), RULES / "azureml_batch.py", given, tmp_path / "out"],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == (fails is None), done.stderr
        if fails is not None:
            assert fails in done.stderr
            return []
        return (tmp_path / "out" / "predictions.csv").read_text().splitlines()

    return run


@pytest.mark.parametrize("major", VENVS)
def test_every_kind_of_text_file(score: Score, major: str) -> None:
    split = {"columns": NAMES, "index": [0, 1], "data": ROWS}
    files = {
        "a.csv": WHOLE,
        "b.json": json.dumps(OBJECTS),
        "c.json": json.dumps(split),
        "d.json": json.dumps({"input_data": split}),
        "e.json": json.dumps({"dataframe_records": OBJECTS, "params": {}}),
        "f.jsonl": "\n".join(map(json.dumps, OBJECTS)) + "\n\n",
        "g.CSV": WHOLE,
    }
    expected = [row for name in files for row in (f"0 0 {name}", f"1 2 {name}")]
    assert score(major, f"sklearn_{major}", files) == expected


def test_texts_and_times(score: Score) -> None:
    """A text of digits stays a text, and a text becomes a time, where the signature says so."""
    files = {
        "a.csv": "name,when\n007,2020-01-01\n",
        "b.json": '[{"name": "bob", "when": "2021-02-03T04:05:06"}]',
        "c.jsonl": '{"name": "008", "when": "2022-01-01"}\n',
    }
    assert score("2", "params_2", files) == [
        '0 "hello 007: Timestamp 2020" a.csv',
        '0 "hello bob: Timestamp 2021" b.json',
        '0 "hello 008: Timestamp 2022" c.jsonl',
    ]


def test_a_model_without_a_signature(score: Score) -> None:
    assert score("3", "unsigned_3", {"a.csv": WHOLE}) == ["0 0 a.csv", "1 2 a.csv"]


def test_arrays(score: Score) -> None:
    assert score("3", "tensor_3", {"a.csv": "a,b,c\n1,2,3\n4,5,6\n"}) == ["0 6.0 a.csv", "1 15.0 a.csv"]


def test_what_it_cannot_read(score: Score, models: Path) -> None:
    score("3", "sklearn_3", {"a.txt": "1"}, "a.txt is none of .csv, .parquet, .pqt, .json, .jsonl")
    score("3", "sklearn_3", {"a.csv": "x\n1\n"}, "Model is missing inputs")
    score("3", "..", {"a.csv": WHOLE}, f"no MLmodel in {models}/.. or a folder in it")
