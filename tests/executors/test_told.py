"""Errors and answers on their way between processes, from workers that may be hostile."""

import json
from typing import Any, cast

import pytest

from buildrules.engine.action import Outputs
from buildrules.engine.step import Step
from buildrules.engine.unexpected import unexpected
from buildrules.errors import ActionError, IntegrityError, Position, UnexpectedError
from buildrules.executors.answer import Answer
from buildrules.executors.engine import EngineError
from buildrules.executors.folder import ANSWER
from buildrules.executors.reapi.engine import ReapiEngine
from buildrules.executors.task import Task
from buildrules.executors.told import raised, told


def test_a_position_names_its_folders_there_too() -> None:
    folders = ("models/fraud", "models/churn")
    error = ActionError("wrong", position=Position("BUILD.yaml", 3, 5, "  a: b", folders))
    again = raised(told(error))
    assert again.position is not None and error.position is not None
    assert (str(again.position), again.position.excerpt) == (str(error.position), error.position.excerpt)
    assert again.position.folders == folders


@pytest.mark.parametrize(
    ("said", "raises"),
    [
        ("IntegrityError", IntegrityError),
        *((name, ActionError) for name in ("Interrupted", "UsageError", "GoneError", "StoreError", "LoadError")),
        *((name, ActionError) for name in ("UndeclaredError", "Position", "nowhere")),
    ],
)
def test_no_class_of_an_error_there_means_something_of_this_command(said: str, raises: type[Exception]) -> None:
    error = raised({"class": said, "message": "no"})
    assert type(error) is raises
    assert error.exit_code == 1


def test_an_unexpected_error_brings_its_traceback() -> None:
    try:
        {}["nothing"]
    except KeyError as wrong:
        error = raised(json.loads(json.dumps(told(unexpected(wrong, "'a step'", "")))))
    assert isinstance(error, UnexpectedError)
    assert error.message.startswith("'a step' failed unexpectedly: KeyError: 'nothing'")
    assert '{}["nothing"]' in error.traceback


def test_texts_of_workers_are_short_lines_that_can_be_printed() -> None:
    hostile = "\x1b[2J\nsucceeded\r" * 50_000
    value = {"class": "ActionError", "position": f"{hostile}:1", "excerpt": hostile, "folders": [hostile]}
    error = raised({**value, "message": hostile, "hint": hostile, "log": hostile})
    place = error.position
    assert place is not None and error.hint and error.log
    for text in (error.message, error.hint, place.path, *place.folders):
        assert text.isprintable()
        assert 0 < len(text) < 3000
    for text in (error.log, place.excerpt):
        assert text.replace("\n", "").isprintable()
        assert 0 < len(text) < 100_000
    body = {"outputs": Outputs().to_dict(), "blobs": {}, "warnings": [hostile] * 1000, "seconds": 1}
    warnings = Answer.of(body, lambda _: True).warnings
    assert all(text.isprintable() for text in warnings)
    assert sum(map(len, warnings)) < 1 << 20


@pytest.mark.parametrize("seconds", [-1, 1e300, float("nan"), float("inf"), True, "1", None])
def test_a_time_that_no_step_takes_is_refused(seconds: Any) -> None:
    body = {"outputs": Outputs().to_dict(), "blobs": {}, "warnings": [], "seconds": 0.5}
    assert Answer.of(body, lambda _: True).seconds == 0.5
    with pytest.raises(ValueError, match="a time that is none"):
        Answer.of({**body, "seconds": seconds}, lambda _: True)


def test_an_answer_that_is_too_large_is_not_read() -> None:
    engine = ReapiEngine("grpc://server", cast(Any, None), print, 1.0)  # it would have to ask a server for it
    file = {"path": ANSWER, "digest": {"hash": "0" * 64, "size_bytes": 1 << 40}}
    result = {"output_files": [file], "exit_code": 0, "execution_metadata": None}
    task = Task(Step("group", 1, "a step", {}), {}, "main")
    with pytest.raises(EngineError, match=r"of grpc://server is too large: 1099511627776"):
        engine._ran({"result": result, "status": None}, task)
