"""The key covers every field that can influence an action, and the explanation says what the key saw."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.engine.action import Action, Outputs, SourceFile, SourceSet
from buildrules.engine.changes import differences
from buildrules.engine.key import Listing, Walker, walk
from buildrules.engine.step import Dependency, Step, step_of
from buildrules.executors.task import Task
from buildrules.oci.descriptor import Layer


def fields(cls):
    return cls.__slots__ if cls is Outputs else cls._fields


def replace(value, **changes):
    if isinstance(value, Outputs):
        return Outputs(**{name: changes.get(name, getattr(value, name)) for name in Outputs.__slots__})
    return value._replace(**changes)


DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def layer(**changes):
    values = {"digest": DIGEST, "size": 10, "diff_id": DIGEST, "media_type": "tar", "recipe": {}}
    return Layer(**{**values, **changes})


FILE = SourceFile("a/x.py", "x.py", 3, 0o644, DIGEST)
DEP = Dependency("wheel", Outputs(layers=[layer()], values={"v": 1}, blobs={"w": DIGEST}))
STEP = Step(
    kind="files_layer",
    version=1,
    title="code",
    params={"prefix": "app", "nested": [{"x": 1}]},
    sources=[[FILE]],
    deps=[DEP],
)


def key_of(step):
    return walk(step).key()


def sees_of(step):
    return walk(step).sees


BASE = key_of(STEP)

# Every field is listed: a new one fails the test until somebody decides whether it enters the key.
HASHED = {
    Step: {
        "kind": {"kind": "model_layers"},
        "version": {"version": 2},
        "params": {"params": {"prefix": "other", "nested": [{"x": 1}]}},
        "sources": {"sources": [[FILE], []]},
        "deps": {"deps": []},
    },
    Dependency: {"role": {"role": "other"}, "outputs": {"outputs": Outputs()}},
    SourceFile: {
        "name": {"name": "y.py"},
        "size": {"size": 4},
        "mode": {"mode": 0o755},
        "digest": {"digest": OTHER},
        "as_layer": {"as_layer": "app/x.py"},
        "layer": {"layer": OTHER},
        "link": {"link": "y.py"},
    },
    Outputs: {
        "layers": {"layers": [layer(digest=OTHER)]},
        "values": {"values": {"v": 2}},
        "blobs": {"blobs": {"w": OTHER}},
    },
}
NOT_HASHED = {
    Step: {"title": "other", "places": {"url": "https://example.invalid"}, "weight": 9.0},
    Dependency: {"places": {"url": "https://example.invalid"}, "sources": [[FILE]]},
    SourceFile: {"path": "z/x.py", "stat": (1, 2, 3, 4, 5)},  # the name below the set is
    Outputs: {},
}


@pytest.mark.parametrize("cls", list(HASHED))
def test_every_field_is_declared(cls):
    assert set(fields(cls)) == set(HASHED[cls]) | set(NOT_HASHED[cls])


def changed_key(cls, changes):
    if cls is Step:
        return key_of(replace(STEP, **changes))
    if cls is Dependency:
        return key_of(replace(STEP, deps=[replace(DEP, **changes)]))
    if cls is SourceFile:
        return key_of(replace(STEP, sources=[[replace(FILE, **changes)]]))
    return key_of(replace(STEP, deps=[replace(DEP, outputs=replace(DEP.outputs, **changes))]))


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in HASHED.items() for name in names])
def test_a_hashed_field_changes_the_key(cls, name):
    assert changed_key(cls, HASHED[cls][name]) != BASE


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in NOT_HASHED.items() for name in names])
def test_the_rest_does_not(cls, name):
    assert changed_key(cls, {name: NOT_HASHED[cls][name]}) == BASE


def test_an_action_gives_its_step_what_is_hashed_and_no_place():
    """Of an action its id, target, title and weight do not reach the key, nor where its sources lie."""
    action = Action("a", "//a:a", "files_layer", "code", STEP.params, (SourceSet("a", ("**",)),), ("b",), ("wheel",))
    assert set(Action._fields) == {
        *("id", "target", "kind", "title", "params", "sources", "deps", "roles", "weight", "places")
    }
    made = step_of(action, 1, [[FILE]], [DEP.outputs])
    assert made == STEP
    other = action._replace(id="z", target="//z:z", title="z", sources=(SourceSet("z", ("*",)),), deps=("z",), weight=9)
    assert key_of(step_of(other, 1, [[FILE]], [DEP.outputs])) == BASE


def test_a_step_survives_a_file():
    assert key_of(Step.from_dict(json.loads(json.dumps(STEP.to_dict())))) == BASE
    assert Step.from_dict(STEP.to_dict()).to_dict() == STEP.to_dict()


def test_the_weight_of_a_step_is_no_part_of_its_task():
    assert Task(STEP._replace(weight=9.0), {}, "main").data() == Task(STEP, {}, "main").data()


@pytest.mark.parametrize("field", ["digest", "size", "diff_id", "media_type"])
def test_every_field_of_a_layer_counts_but_its_recipe(field):
    other = {"digest": OTHER, "size": 11, "diff_id": OTHER, "media_type": "gzip"}[field]
    assert changed_key(Outputs, {"layers": [layer(**{field: other})]}) != BASE
    assert changed_key(Outputs, {"layers": [layer(recipe=None)]}) == BASE


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=4), st.dictionaries(st.text(), plain, max_size=4))
def test_two_parameter_sets_share_a_key_only_if_they_are_equal(one, two):
    first = key_of(replace(STEP, params=one))
    second = key_of(replace(STEP, params=two))
    same = repr(_sorted(one)) == repr(_sorted(two))
    assert (first == second) == same


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_two_walks_give_the_same_stream(one, two):
    keys = []
    for values in (one, two):
        listing = Listing()
        for name, value in values:
            listing.value(name, value)
        keys.append(listing.key())
    assert (keys[0] == keys[1]) == (one == two)


def test_what_was_walked_before_is_walked_the_same():
    """A walker remembers outputs; keys and explanations are those of walkers that know nothing."""
    walker = Walker()
    other = Outputs(values={"v": 2})
    for deps in ([DEP], [DEP, DEP], [DEP._replace(role="other")], [DEP._replace(outputs=other)], [DEP]):
        step = replace(STEP, deps=deps)
        assert (walker.walk(step).key(), walker.walk(step).sees) == (key_of(step), sees_of(step))


ACTION = Action("a", "//a:a", "files_layer", "code", sources=(SourceSet("a", ("**",)),))


def test_an_action_without_parameters_has_a_key():
    assert key_of(Step("group", 1, "all")) != key_of(Step("group", 2, "all"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a.b": "1"}, {"a": {"b": "1"}}),
        ({"x": [{"a": 1}]}, {"x.length": 1, "x[0]": {"a": 1}}),
        ({"a: b": 1}, {"a": {": b": 1}}),
    ],
)
def test_a_key_that_looks_like_a_path_is_not_one(one, two):
    keys = {key_of(replace(STEP, params=params)) for params in (one, two)}
    assert len(keys) == 2


def test_explanations_show_digests_of_what_seems_secret():
    """The key sees the value; what is stored and shown of it is that it changed."""

    def seen(secret):
        requests = [{"name": "a", "headers": {"Authorization": secret, "x-id": "1"}}]
        params = {"environment": {"API_TOKEN": secret, "a.b": "2"}, "requests": requests}
        return sees_of(replace(STEP, params=params, sources=(), deps=()))

    before, after = seen("canary-1"), seen("canary-2")
    assert "canary" not in str(before)
    assert before["params.requests[0].headers.x-id"] == '"1"'
    lines = differences(ACTION, before, after)
    assert [line.partition(" changed: ")[0] for line in lines] == [
        "environment.API_TOKEN",
        "requests[0].headers.Authorization",
    ]
