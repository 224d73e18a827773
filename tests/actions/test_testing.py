"""Requests of a package test that are made of MLflow's example of the model, and the credentials a package gets."""

import json

import pytest

from buildrules.actions.testing import _body, _credentials
from buildrules.credentials.connections import Connections
from buildrules.errors import ActionError
from buildrules.start.secret import hide

SOURCE = {"source": 0, "form": "input_data"}


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ('{"dataframe_records": [{"a": 1}, 5]}', "is not an example of MLflow's: its rows are not all of one form"),
        ('{"dataframe_split": {"data": 5}}', "is not an example of MLflow's: 'data' must be a list of rows, not 5"),
        ("[1]", "is not an example of MLflow's: it has none of"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_an_example_that_is_none_is_named(example: str, message: str) -> None:
    with pytest.raises(ActionError, match=f"'m/serving_input_example.json' {message}"):
        _body(SOURCE, [("m/serving_input_example.json", example.encode())])
    with pytest.raises(ActionError, match=f"'the model's example' {message}"):
        _body({"text": example, "form": "input_data"}, [])


def test_an_example_is_put_into_azures_form() -> None:
    body = _body(SOURCE, [("x.json", b'{"dataframe_records": [{"a": 1}, {"a": 2}]}')])
    assert body is not None
    assert json.loads(body) == {"input_data": {"columns": ["a"], "data": [[1], [2]]}}


def test_only_what_is_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "canary-of-s3"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert _credentials([*values, "AWS_SESSION_TOKEN"], Connections()) == values
    assert hide("reader in eu-west-1 with canary-of-s3") == "reader in eu-west-1 with ***"
