"""How long the targets of a workspace took to make or to test, when they last were: by it jobs are divided."""

import contextlib
import json
import os
from collections.abc import Mapping

from buildrules.state.location import identity, state_path
from buildrules.workspace.root import read_file

_MOST = 100_000  # targets


def _path(root: str, ending: str) -> str:
    return f"{state_path(root, identity(root))}.{ending}"


def _read(path: str) -> object:
    try:
        found: object = json.loads(read_file(path))
        return found
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: str, value: object) -> None:
    beside = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):  # it only saves time
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(value, file)
        os.replace(beside, path)


def seconds_of(root: str) -> dict[str, float]:
    """Seconds by label."""
    found = _read(_path(root, "seconds"))
    rows = found.items() if isinstance(found, dict) else ()
    return {label: float(value) for label, value in rows if isinstance(value, (int, float)) and value >= 0}


def keep_seconds(root: str, took: Mapping[str, float]) -> None:
    """Remember how long some took now."""
    if took:
        found = {**seconds_of(root), **{label: round(value, 3) for label, value in took.items()}}
        _write(_path(root, "seconds"), dict(list(found.items())[-_MOST:]))


def failed_tests(root: str) -> list[str]:
    """The labels of the tests that did not pass when they were last run here, sorted."""
    found = _read(_path(root, "failed"))
    return sorted(label for label in found if isinstance(label, str)) if isinstance(found, list) else []


def keep_failed(root: str, failed: set[str], passed: set[str]) -> None:
    """Remember which tests failed, and forget those that passed."""
    before = set(failed_tests(root))
    if (after := (before - passed) | failed) != before:
        _write(_path(root, "failed"), sorted(after))
