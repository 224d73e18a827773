"""What an answer must be like, and MLflow's examples in another server's form."""

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.serving.expect import failures
from buildrules.serving.mlflow_example import as_request
from buildrules.serving.request import Answer

JSON = {"content-type": "application/json"}


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}, data, 0.1)


def kinds(expect: dict[str, Any], got: Answer) -> list[str]:
    return [item["kind"] for item in failures(expect, got)]


def messages(expect: dict[str, Any], got: Answer) -> list[str]:
    return [item["message"] for item in failures(expect, got)]


@hypothesis.example("0")
@hypothesis.example("[1]")
@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_an_answer_meets_itself(value: Any) -> None:
    got = answer(value)
    for expect in ({"json": value}, {"bytes": got.body}, {"text": got.body.decode()}, {"json_path": {"$": value}}, {}):
        assert list(failures(expect, got)) == []


def test_status() -> None:
    assert messages({}, answer({}, 500)) == ["status 500 instead of 200"]
    assert kinds({"status": 404}, answer(b"", 404)) == []  # what is no success needs no body
    (found,) = failures({"json": 1}, answer({"message": "broken"}, 500))
    assert "broken" in found["detail"]


def test_headers() -> None:
    got = answer({}, x_id="7", content_type="application/json; charset=utf-8")
    assert kinds({"headers": {"X-Id": "7", "Content-Type": "application/json"}}, got) == []
    assert kinds({"headers": {"content-type": "application/json; charset=ascii"}}, got) == ["wrong header"]
    assert messages({"headers": {"x-id": "8", "x-lost": "1"}}, got) == [
        "header 'x-id' is '7' instead of '8'",
        "no header 'x-lost', which is to be '1'",
    ]


def test_an_answer_that_nothing_is_known_of_must_be_one() -> None:
    assert messages({}, answer(b"")) == ["the answer is empty"]
    assert messages({}, answer(b"<html>")) == ["the answer is not JSON"]
    assert messages({}, Answer(200, {"content-type": "text/html"}, b"<html>", 0.0)) == []
    assert messages({"json": 1}, answer(b"[" * 100_000)) == ["the answer is nested too deeply to be compared"]


def test_texts() -> None:
    (found,) = failures({"text": "a\nb\n"}, answer(b"a\nc"))
    assert found["detail"].splitlines()[2:] == ["@@ -1,2 +1,3 @@", " a", "-b", "+c", "+\\ no newline at the end"]
    assert messages({"contains": ["a", "z"]}, answer(b"abc")) == ["the answer does not hold 'z'"]
    assert kinds({"bytes": b"\xff"}, answer(b"\xfe")) == ["wrong answer"]
    assert messages({"lines": 2}, answer(b"a\nb\nc")) == ["the answer has 3 lines instead of 2"]
    assert kinds({"text": "a 1\n", "tolerance": {"absolute": 0.1}}, answer(b"a 1.05\n")) == []
    assert kinds({"text": "a 1\n", "tolerance": {"absolute": 0.1}}, answer(b"b 1.05\n")) == ["wrong answer"]


@pytest.mark.parametrize(
    ("query", "value", "message"),
    [
        ("$.rows[0].score", 0.5, None),
        ("$.rows[*].score", [0.5, 0.25], None),
        ("$.rows[?@.score < 0.3].name", ["b"], None),
        ("$.rows[0].score", 0.6, "$.rows[0].score: off by 0.1, relative 0.167; tolerance none"),
        ("$.rows[*].score", [0.5], "$.rows[*].score: has 2 items instead of 1"),
        ("$.rows[7]", 1, "there is nothing at $.rows[7]"),
        ("$.none", None, None),
    ],
)
def test_queries(query: str, value: Any, message: str | None) -> None:
    got = answer({"rows": [{"name": "a", "score": 0.5}, {"name": "b", "score": 0.25}], "none": None})
    found = messages({"json_path": {query: value}}, got)
    assert found == ([message] if message else [])


def test_a_tolerance_is_for_queries_too() -> None:
    assert kinds({"json_path": {"$.a": 1}, "tolerance": {"absolute": 0.1}}, answer({"a": 1.05})) == []
    assert kinds({"json": {"a": 1}, "tolerance": {"relative": 0.01}}, answer({"a": 1.05})) == ["wrong answer"]


SPLIT = {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}


@pytest.mark.parametrize(
    ("example", "body"),
    [
        ({"dataframe_split": SPLIT}, {"input_data": {**SPLIT, "index": [0, 1]}}),
        ({"dataframe_split": {**SPLIT, "index": [7, 8]}}, {"input_data": {**SPLIT, "index": [7, 8]}}),
        (
            {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3}]},
            {"input_data": {"columns": ["a", "b"], "data": [[1, 2], [3, None]]}},
        ),
        ({"inputs": [[1.0]]}, {"input_data": [[1.0]]}),
        ({"instances": {"x": [1]}, "params": {"n": 2}}, {"input_data": {"x": [1]}, "params": {"n": 2}}),
    ],
)
def test_an_example_for_azures_server(example: Any, body: Any) -> None:
    assert as_request(example, "input_data") == body
    assert as_request(example, "mlflow") == example


@pytest.mark.parametrize("example", [{}, [], {"data": 1}, {"inputs": 1, "instances": 2}])
def test_what_is_no_example(example: Any) -> None:
    with pytest.raises(ValueError, match="it has none of"):
        as_request(example, "input_data")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"dataframe_records": [{"a": 1}, 5]}, "its rows are not all of one form"),
        ({"dataframe_records": [{"a": 1}, [1]]}, "its rows are not all of one form"),
        ({"dataframe_split": {"data": 5}}, "'data' must be a list of rows, not 5"),
        ({"dataframe_split": {"data": None}}, "'data' must be a list of rows, not None"),
    ],
)
def test_examples_that_are_no_tables(example: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_request(example, "input_data")
