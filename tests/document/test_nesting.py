"""Nesting without end is an error, not the end of the process, in every file that is read."""

import sys
from pathlib import Path

import pytest

from buildrules.document.problems import Problems
from buildrules.document.reader import MAX_DEPTH, parse
from buildrules.errors import LoadError, LockError
from buildrules.locking.debian.lock import read_lock as read_debian_lock
from buildrules.locking.oci.lock import read_lock as read_image_lock
from buildrules.locking.python.lock import read_lock as read_python_lock
from buildrules.locking.python.requirements import collect

DEEP = 30_000
TEXTS = {
    "lists": "[" * DEEP,
    "closed lists": "[" * 1200 + "]" * 1200,
    "maps": "{a: " * DEEP,
    "both": "a: " + "[{a: " * DEEP,
    "dashes": "- " * DEEP + "x",
    "questions": "? " * DEEP + "x",
    "lines": "\n".join(" " * number + "a:" for number in range(3000)),
    "lines of lists": "\n".join(" " * number + "- a:\n" + " " * (number + 2) + "- b:" for number in range(0, 6000, 4)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_deep_yaml_is_an_error(text: str) -> None:
    problems = Problems()
    assert parse("BUILD.yaml", text.encode(), problems) is None
    (error,) = problems.errors
    assert error.message == "this is nested too deeply"


def test_wide_yaml_is_good() -> None:
    text = "targets:\n" + "".join(f"  t{number}: {{srcs: [a], deps: [b]}}\n" for number in range(1500))
    problems = Problems()
    node = parse("BUILD.yaml", text.encode(), problems)
    assert node is not None
    assert not problems.errors
    assert len(node.entries["targets"].entries) == 1500


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
def test_the_limit_counts_what_is_around_a_value(levels: int) -> None:
    problems = Problems()
    parse("BUILD.yaml", ("[" * levels + "x" + "]" * levels + " # " + "[" * 5000).encode(), problems)
    assert bool(problems.errors) == (levels > MAX_DEPTH)


def test_a_deep_conda_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "conda.yaml").write_text("dependencies: " + "[" * DEEP)
    with pytest.raises(LoadError, match="nested too deeply"):
        collect(str(tmp_path), "", conda_file="conda.yaml")


def test_deep_toml_is_an_error(tmp_path: Path) -> None:
    deep = "x = " + "[" * (10 * sys.getrecursionlimit())
    (tmp_path / "pylock.toml").write_text(deep)
    with pytest.raises(LockError):
        read_python_lock(str(tmp_path), "pylock.toml")
    with pytest.raises(LockError):
        read_debian_lock(str(tmp_path / "pylock.toml"))
    with pytest.raises(LockError):
        read_image_lock(str(tmp_path / "pylock.toml"))
    with pytest.raises(LoadError):
        collect(str(tmp_path), "", pyproject="pylock.toml")
