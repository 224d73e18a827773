"""Comparing answers: laws that hold for every JSON value, and what a person is shown."""

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.serving.compare import EXACT, Difference, Tolerance, diff, differences, near, path_text

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)
TOLERANCES = st.builds(Tolerance, st.floats(0, 1e6), st.floats(0, 1))
FINITE = st.floats(-1e12, 1e12)


@given(VALUES, TOLERANCES)
def test_a_value_is_itself(value: Any, tolerance: Tolerance) -> None:
    assert list(differences(value, copy.deepcopy(value), tolerance)) == []
    assert diff(value, value, tolerance) == ""


@given(VALUES)
def test_what_is_written_and_read_again_is_the_same(value: Any) -> None:
    assert list(differences(value, json.loads(json.dumps(value)))) == []


@given(VALUES, VALUES)
def test_without_a_tolerance_it_is_equality(one: Any, other: Any) -> None:
    """Python's equality, but for booleans, which it takes for numbers."""
    same = json.dumps(_plain(one), sort_keys=True) == json.dumps(_plain(other), sort_keys=True)
    assert (list(differences(one, other)) == []) == same
    assert (list(differences(one, other)) == []) == (list(differences(other, one)) == [])


def _plain(value: Any) -> Any:
    """Numbers that are equal written alike, and otherwise than anything else."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return {"number": str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)}


@given(VALUES, VALUES, TOLERANCES)
def test_a_diff_is_shown_where_and_only_where_something_differs(one: Any, other: Any, tolerance: Tolerance) -> None:
    found = list(differences(one, other, tolerance))
    shown = diff(one, other, tolerance)
    assert bool(found) == bool(shown)
    assert all(str(item).startswith("$") for item in found)


@given(FINITE, FINITE, st.floats(0, 1e3), st.floats(0, 1))
def test_the_larger_tolerance_counts(expected: float, got: float, absolute: float, relative: float) -> None:
    both = Tolerance(absolute, relative).allows(expected, got)
    assert both == (
        Tolerance(absolute=absolute).allows(expected, got) or Tolerance(relative=relative).allows(expected, got)
    )
    assert both == (expected == got or abs(expected - got) <= max(absolute, relative * abs(expected)))


@given(VALUES, TOLERANCES, st.floats(0, 1e6), st.floats(0, 1))
def test_more_tolerance_never_finds_more(value: Any, small: Tolerance, absolute: float, relative: float) -> None:
    large = Tolerance(small.absolute + absolute, min(1.0, small.relative + relative))
    moved = _moved(value)
    assert len(list(differences(value, moved, large))) <= len(list(differences(value, moved, small)))


def _moved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item) for item in value]
    return value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else value


def test_what_is_no_number_is_near_itself_alone() -> None:
    loose = Tolerance(1e9, 1.0)
    assert loose.allows(math.nan, math.nan)
    assert loose.allows(math.inf, math.inf)
    assert not loose.allows(math.inf, -math.inf)
    assert not loose.allows(math.nan, 1.0)
    assert not loose.allows(1.0, math.inf)
    assert not EXACT.allows(1, 2)


def test_numbers_that_no_float_holds() -> None:
    huge = 10**400
    assert list(differences(huge, huge)) == []
    (found,) = differences(1, huge, Tolerance(relative=1.0))
    assert found.message.startswith("is 1000")
    assert list(differences({"a": huge}, {"a": 1.5}, Tolerance(absolute=1.0)))
    assert not Tolerance(absolute=1.0).allows(10**308, -(10**308) * 9)
    assert Tolerance(absolute=2.0).allows(2**60, 2**60 + 1)
    assert not Tolerance(absolute=0.5).allows(2**60, 2**60 + 1)


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("a 1.0 x", "a 1.004 x", True),
        ("a 1.0 x", "a 1.02 x", False),
        ("[1, -2e3]", "[1.001, -2000.001]", True),
        ("x1", "x2", False),  # not numbers by themselves
        ("1.2.3", "1.2.4", False),
        ("1px", "2px", False),
        ("1 2", "1", False),
        ("-1", "1", False),
        ("nan 1", "nan 1.001", True),
        ("1" * 5000 + "x", "1" * 5000 + "y", False),
    ],
)
def test_lines_that_differ_by_numbers(expected: str, got: str, same: bool) -> None:
    assert (near([expected], [got], Tolerance(absolute=0.01)) == [expected]) is same
    assert near([expected], [got, "more"], Tolerance(absolute=0.01))[1:] == ["more"]
    assert near([expected, "more"], [got], Tolerance())[:1] == [expected if expected == got else got]


def test_booleans_texts_and_nothing_are_not_numbers() -> None:
    loose = Tolerance(10, 1)
    for one, other in ((1, True), (0, False), (0, None), ("1", 1), ([], {}), ({}, None)):
        assert len(list(differences(one, other, loose))) == 1
        assert len(list(differences(other, one, loose))) == 1


def test_every_difference_has_its_place() -> None:
    expected = {"a": [1, {"b c": "x"}], "gone": None, "n": 5}
    got = {"a": [2, {"b c": "y"}, 3], "new": 1, "n": 5.0}
    assert [str(item) for item in differences(expected, got)] == [
        "$.a[0]: off by 1, relative 1; tolerance none",
        '$.a[1]["b c"]: is "y" instead of "x"',
        "$.a: has 3 items instead of 2",
        "$.gone: is missing",
        "$.new: is not expected",
    ]
    assert path_text(()) == "$"
    assert Difference(("a",), "x") == Difference(("a",), "x")


def test_a_diff_marks_only_numbers_that_are_too_far_off() -> None:
    shown = diff([1.0, 100.0, 3], [1.0004, 90.0, 3], Tolerance(relative=0.001))
    assert shown.splitlines() == [
        "--- expected",
        "+++ got",
        "@@ -1,5 +1,5 @@",
        " [",
        "   1.0,",
        "-  100.0,",
        "+  90.0,   <- off by 10, relative 0.1; tolerance relative 0.001",
        "   3",
        " ]",
    ]


def test_a_long_diff_is_cut() -> None:
    shown = diff(list(range(500)), list(range(1, 501))).splitlines()
    assert len(shown) == 61
    assert shown[-1].startswith("... and ")
