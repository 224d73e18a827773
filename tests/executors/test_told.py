"""Errors on their way between processes."""

from buildrules.errors import ActionError, Position
from buildrules.executors.told import raised, told


def test_a_position_names_its_folders_there_too() -> None:
    folders = ("models/fraud", "models/churn")
    error = ActionError("wrong", position=Position("BUILD.yaml", 3, 5, "  a: b", folders))
    again = raised(told(error))
    assert again.position is not None and error.position is not None
    assert (str(again.position), again.position.excerpt) == (str(error.position), error.position.excerpt)
    assert again.position.folders == folders
