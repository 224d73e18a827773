"""The script that serves MLflow models, in environments with MLflow 1, 2 and 3, and pandas 1, 2 and 3."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import VENVS, mlflow_python

SCRIPT = Path(__file__).parents[2] / "rules" / "mlflow_score_script.py"
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("mlflow")]

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]]  # the second of whole numbers, as JSON writes 6.0
OBJECTS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
COLUMNS = {name: [row[number] for row in ROWS] for number, name in enumerate(NAMES)}
CSV = "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in ROWS)])

AZURE: list[Any] = [
    {"input_data": ROWS},
    {"input_data": OBJECTS},
    {"input_data": {"columns": NAMES, "index": [0, 1], "data": ROWS}},
    {"input_data": {"columns": NAMES, "data": ROWS}, "params": {}},
]
MLFLOW: list[Any] = [
    {"dataframe_split": {"columns": NAMES, "data": ROWS}},
    {"dataframe_records": OBJECTS},
    {"instances": ROWS},
    {"instances": OBJECTS},
    {"inputs": ROWS},
    {"inputs": COLUMNS},
]

Ask = Callable[..., list[list[Any]]]


@pytest.fixture(scope="session")
def ask(run_directory: Path, models: Path) -> Ask:
    """Send requests to a model in the environment of a major version."""

    def send(major: str, model: str, *requests: Any, kind: str = "application/json") -> list[list[Any]]:
        python = mlflow_python(major)
        texts = [[body if isinstance(body, str) else json.dumps(body), kind] for body in requests]
        done = subprocess.run(
            [python, Path(__file__).parent / "ask.py", SCRIPT, models / model, json.dumps(texts)],
            capture_output=True,
            text=True,
            check=False,
            cwd=run_directory,  # MLflow 1 writes a folder wherever it is
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return send


@pytest.mark.parametrize("major", VENVS)
def test_a_model_with_a_signature(ask: Ask, major: str) -> None:
    answers = ask(major, f"sklearn_{major}", *AZURE, *MLFLOW)
    assert answers[: len(AZURE)] == [[200, [0, 2]]] * len(AZURE)
    assert answers[len(AZURE) :] == [[200, {"predictions": [0, 2]}]] * len(MLFLOW)
    assert ask(major, f"sklearn_{major}", CSV, kind="text/csv; charset=utf-8") == [[200, {"predictions": [0, 2]}]]


def test_a_model_without_a_signature(ask: Ask) -> None:
    answers = ask("3", "unsigned_3", *AZURE, *MLFLOW[:3])
    assert answers == [[200, [0, 2]]] * 4 + [[200, {"predictions": [0, 2]}]] * 3


def test_the_request_that_mlflow_saved_with_a_model(ask: Ask, models: Path) -> None:
    for major in ("2", "3"):
        example = (models / f"sklearn_{major}" / "serving_input_example.json").read_text()
        assert ask(major, f"sklearn_{major}", example) == [[200, {"predictions": [0, 0]}]]
    assert ask("3", "tensor_3", (models / "tensor_3" / "serving_input_example.json").read_text()) == [
        [200, {"predictions": [3.0, 3.0]}]
    ]
    assert ask("2", "tensors_2", (models / "tensors_2" / "serving_input_example.json").read_text()) == [
        [200, {"predictions": {"a": [3.0, 3.0], "b": [6.0, 6.0]}}]
    ]


def test_parameters_texts_and_times(ask: Ask) -> None:
    columns = ["name", "when"]
    answers = ask(
        "2",
        "params_2",
        {"input_data": {"columns": columns, "data": [["ann", "2020-01-01"]]}, "params": {"greeting": "ho"}},
        {
            "dataframe_split": {"columns": columns, "data": [["bob", "2021-02-03T04:05:06"]]},
            "params": {"greeting": "hi"},
        },
        {"dataframe_records": [{"name": "cid", "when": "2022-01-01"}]},
        {"inputs": {"name": ["dee"], "when": ["2023-01-01"]}},
        {"input_data": [["eve", "2024-01-01"]], "params": 5},
    )
    assert answers == [
        [200, ["ho ann: Timestamp 2020"]],
        [200, {"predictions": ["hi bob: Timestamp 2021"]}],
        [200, {"predictions": ["hello cid: Timestamp 2022"]}],
        [200, {"predictions": ["hello dee: Timestamp 2023"]}],
        [400, "'params' is not an object."],
    ]


def test_arrays(ask: Ask) -> None:
    rows = [[1, 2, 3], [4, 5, 6]]
    assert ask("3", "tensor_3", {"input_data": rows}, {"inputs": rows}, {"instances": rows}) == [
        [200, [6.0, 15.0]],
        [200, {"predictions": [6.0, 15.0]}],
        [200, {"predictions": [6.0, 15.0]}],
    ]
    both = {"a": rows, "b": [[1, 1, 1], [2, 2, 2]]}
    objects = [{"a": a, "b": b} for a, b in zip(both["a"], both["b"], strict=True)]
    sums = {"a": [6.0, 15.0], "b": [3.0, 6.0]}
    assert ask("2", "tensors_2", {"input_data": both}, {"inputs": both}, {"instances": objects}) == [
        [200, sums],
        [200, {"predictions": sums}],
        [200, {"predictions": sums}],
    ]


def test_csv_for_arrays_and_texts(ask: Ask) -> None:
    """CSV writes neither 1.0 nor that 007 is a text; the signature says it."""
    assert ask("3", "tensor_3", "a,b,c\n1,2,3\n4,5,6\n", kind="text/csv") == [[200, {"predictions": [6.0, 15.0]}]]
    assert ask("2", "params_2", "name,when\n007,2020-01-01\n", kind="text/csv") == [
        [200, {"predictions": ["hello 007: Timestamp 2020"]}]
    ]


def test_what_cannot_be_understood_is_refused(ask: Ask) -> None:
    cases = {
        "{": "The body is not JSON.",
        "[1]": "The body is not a JSON object.",
        '{"data": [[1]]}': "A value is not provided for the 'input_data' parameter.",
        '{"inputs": [[1]], "instances": [[1]]}': "Only one of instances, inputs can be given.",
        '{"input_data": [[1, 2]]}': "'input_data' cannot be read: a row has 2 values, and the model takes 4",
        '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}': "Model is missing inputs",
        '{"dataframe_records": 5}': "Dataframe records format must be a list of records",
    }
    answers = ask("3", "sklearn_3", *cases)
    for (status, message), expected in zip(answers, cases.values(), strict=True):
        assert status == 400
        assert expected in message
    ((status, message),) = ask("3", "sklearn_3", CSV.replace("5.1", "much"), kind="text/csv")
    assert status == 400
    assert "not CSV that fits the model" in message
