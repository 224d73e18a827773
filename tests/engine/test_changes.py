"""What changed is told in words: row E of what was met in the field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.engine.action import Action, Outputs, SourceFile, SourceSet
from buildrules.engine.changes import Names, Told, differences, shown
from buildrules.engine.key import walk
from buildrules.engine.step import Dependency, Step
from buildrules.oci.descriptor import Layer

ACTION = Action("a", "//a:a", "files_layer", "code", sources=(SourceSet("a", ("**",)),))
ONE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TOLD = {
    "wheels": Told("wheel", ("filename", "sha256")),
    "packages": Told("package", ("name", "version", "size")),
    "parts": Told("file", ("path",)),
    "locks": Told("lock of the"),
    "config": Told(""),
    "digest": Told("image"),
}


def _params(**params):
    return walk(Step("k", 1, "t", params)).sees


def _changed(before, after):
    return differences(ACTION, _params(**before), _params(**after), Names(TOLD, ()))


def _wheel(name, digit):
    return [f"{name}-cp311-cp311-manylinux_2_28_x86_64.whl", digit * 64]


NUMPY, JOBLIB = _wheel("numpy-2.3.1", "1"), _wheel("joblib-1.5.1", "2")


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ([NUMPY, JOBLIB], [_wheel("numpy-2.3.2", "3"), JOBLIB], ["numpy 2.3.1 -> 2.3.2"]),
        ([NUMPY, JOBLIB], [NUMPY, _wheel("joblib-1.5.2", "3")], ["joblib 1.5.1 -> 1.5.2"]),
        ([NUMPY], [JOBLIB, NUMPY], ["joblib 1.5.1 is new"]),
        ([NUMPY, JOBLIB], [JOBLIB], ["numpy 2.3.1 is gone"]),
        ([], [NUMPY], ["numpy 2.3.1 is new"]),
        ([NUMPY], [_wheel("numpy-2.3.1", "3")], ["numpy 2.3.1 changed: sha256 111111111111 -> 333333333333"]),
        ([NUMPY, JOBLIB], [JOBLIB, NUMPY], ["order of wheels changed"]),
        ([NUMPY, NUMPY], [NUMPY], ["numpy 2.3.1 is gone"]),
        ([NUMPY], [NUMPY], []),
    ],
)
def test_e_packages_are_told_by_name_and_version(before, after, lines):
    assert _changed({"wheels": before}, {"wheels": after}) == lines


def test_e_versions_in_a_column_of_their_own_are_told_as_well():
    before = [["zlib1g", "1:1.2.13", 1], ["libc6", "2.36-9", 2]]
    after = [["zlib1g", "1:1.3.1", 1], ["libc6", "2.36-9", 3], ["tzdata", "2025", None]]
    lines = ["zlib1g 1:1.2.13 -> 1:1.3.1", "libc6 2.36-9 changed: size 2 -> 3", "tzdata 2025 is new"]
    assert _changed({"packages": before}, {"packages": after}) == lines


def test_e_rows_with_fields_are_told_by_what_names_them():
    def parts(*rows):
        return {"parts": [{"path": path, "mode": mode, "more": {"text": text}} for path, mode, text in rows]}

    before = parts(("a", 1, "x"), ("b", 1, "x"))
    assert _changed(before, parts(("new", 1, "x"), ("a", 1, "x"), ("b", 2, "y"))) == [
        "file new is new",
        "file b changed: mode 1 -> 2, more.text x -> y",
    ]
    assert _changed(before, parts()) == ["file a is gone", "file b is gone"]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"python": "3.11"}, {"python": "3.12"}, ["python changed: 3.11 -> 3.12"]),
        ({"digest": ONE}, {"digest": OTHER}, ["image changed: aaaaaaaaaaaa -> bbbbbbbbbbbb"]),
        ({"locks": {}}, {"locks": {"base": ONE}}, ["lock of the base is new"]),
        ({"config": {"environment": {"A": "1"}}}, {"config": {"environment": {}}}, ["environment.A is gone"]),
        ({"config": {"ports": [1]}}, {"config": {"ports": [1, 2]}}, ["ports changed: [1] -> [1, 2]"]),
        ({"x": None}, {"x": True}, ["x changed: none -> true"]),
        ({"x": ""}, {"x": " a"}, ['x changed: "" -> " a"']),
        ({"x": 1}, {"x": "1"}, ['x changed: 1 -> "1"']),
        ({"x": []}, {"x": [{"a": 1}]}, ["x[0].a is new"]),
        ({"x": [{"a": 1}]}, {"x": [{"a": 1}, {"a": 2}]}, ["x[1].a is new"]),
        ({}, {"x": []}, ["x is new"]),
        ({"x": {"length": 1}}, {"x": {"length": 2}}, ["x.length changed: 1 -> 2"]),
    ],
)
def test_e_parameters_are_told_as_people_write_them(before, after, lines):
    assert _changed(before, after) == lines


def test_e_long_values_are_told_from_where_they_differ():
    (line,) = _changed({"x": "a" * 300 + "one" + "c" * 200}, {"x": "a" * 300 + "two" + "c" * 200})
    assert line.startswith(f"x changed: ...{'a' * 20}onec")
    assert f" -> ...{'a' * 20}twoc" in line
    assert len(line) < 230


def _file(**more):
    return SourceFile(**{"path": "a/x.py", "name": "x.py", "size": 3, "mode": 0o644, "digest": ONE, **more})


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (_file(size=5, digest=OTHER), "file a/x.py changed: 3 -> 5 bytes"),
        (_file(digest=OTHER), "file a/x.py changed: aaaaaaaaaaaa -> bbbbbbbbbbbb"),
        (_file(mode=0o755), "file a/x.py changed: executable now"),
        (_file(mode=0o755, size=5), "file a/x.py changed: 3 -> 5 bytes, executable now"),
        (_file(link="y.py"), "file a/x.py changed: aaaaaaaaaaaa 3 bytes -> link to y.py"),
        (
            _file(as_layer="m/x.py"),
            "file a/x.py changed: aaaaaaaaaaaa 3 bytes -> as layer /m/x.py aaaaaaaaaaaa 3 bytes",
        ),
    ],
)
def test_e_files_are_told_by_their_sizes(after, line):
    before, now = (walk(Step("k", 1, "t", sources=[[file]])).sees for file in (_file(), after))
    assert differences(ACTION, before, now) == [line]


def _layer(digest):
    return Layer(digest=digest, size=10, diff_id=digest, media_type="tar", recipe=None)


def _inputs(*rows):
    deps = [Dependency(role, Outputs([_layer(one) for one in layers], values)) for role, layers, values in rows]
    return walk(Step("k", 1, "t", deps=deps)).sees


def test_e_inputs_are_told_by_what_they_are_to_the_step():
    before = _inputs(("base", [ONE], {"python": "3.11"}), ("numpy 2.3.1", [ONE], {}), ("code", [ONE], {}))
    after = _inputs(
        ("base", [ONE], {"python": "3.12"}),
        ("new: one", [ONE], {}),
        ("numpy 2.3.2", [OTHER], {}),
        ("code", [OTHER, ONE], {}),
    )
    assert differences(ACTION, before, after) == [
        "input base changed: python 3.11 -> 3.12",
        "input new: one is new",
        "input numpy 2.3.1 -> 2.3.2",
        "input code changed: 1 of 2 layers",
    ]
    assert differences(ACTION, after, before)[-1] == "input new: one is gone"


def test_e_inputs_that_order_tells_are_called_by_their_titles():
    before, after = _inputs(("", [ONE], {})), _inputs(("", [OTHER], {}), ("", [ONE], {}))
    names = Names({}, ("small wheels 1", "small wheels 2"))
    assert differences(ACTION, before, after, names) == ["input small wheels 1 is new"]
    assert differences(ACTION, after, before, names) == ["an input is gone"]
    assert differences(ACTION, before, _inputs(("", [OTHER], {})), names) == [
        "input small wheels 1 changed: layer aaaaaaaaaaaa -> bbbbbbbbbbbb"
    ]


def test_e_digests_are_shown_with_12_digits():
    assert shown(f'["n-1-py3-none-any.whl","sha256:{"a" * 64}"]') == '["n-1-py3-none-any.whl", "aaaaaaaaaaaa"]'
    assert shown(f"{ONE} 5 bytes") == "aaaaaaaaaaaa 5 bytes"
    assert shown("a" * 65) == "a" * 65


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["1", "2"])), max_size=4)
STEPS = st.builds(
    lambda params, rows, roles: Step(
        "k", 1, "t", {**params, "wheels": rows}, deps=[Dependency(role, Outputs(values={"v": role})) for role in roles]
    ),
    st.dictionaries(st.sampled_from(["a", "config", "locks"]), PLAIN, max_size=3),
    ROWS | st.none(),
    st.lists(st.text(max_size=3), max_size=3),
)


@given(STEPS, STEPS)
def test_whatever_changed_something_is_told(one, other):
    """Steps with other keys differ in words, and equal ones do not."""
    before, after = walk(one).sees, walk(other).sees
    lines = differences(ACTION, before, after, Names(TOLD, ()))
    assert bool(lines) == (before != after)
    assert all(isinstance(json.dumps(line), str) and len(line) < 1000 for line in lines)
