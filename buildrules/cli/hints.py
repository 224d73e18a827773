"""Hints that hold for the command line at hand: whoever raises an error does not know it."""

from collections.abc import Sequence

from buildrules.errors import BuildrulesError

_LOCK = "'buildrules lock"


def hint_at(error: BuildrulesError, configurations: Sequence[str]) -> None:
    """Let hints to lock name the configurations whose locks it is about."""
    given = "".join(f" --config {name}" for name in configurations)
    for one in {error, *error.each} if given else ():
        if one.hint and f"{_LOCK}{given}" not in one.hint:
            one.hint = one.hint.replace(_LOCK, _LOCK + given)


def say_at(error: BuildrulesError, commit: str) -> None:
    """Let an error say which revision it is about: no lock of now gets there."""
    for one in {error, *error.each}:
        one.message = f"at {commit[:12]}: {one.message}"
        if _LOCK in (one.hint or ""):
            one.hint = None
