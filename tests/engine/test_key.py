"""The key covers every field that can influence an action, and the explanation says what the key saw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.engine.action import Action, Outputs, SourceFile, SourceSet
from buildrules.engine.key import HashWriter, compute_key, differences, explain
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


ACTION = Action(
    id="a",
    target="//a:a",
    kind="files_layer",
    title="code",
    params={"prefix": "app", "nested": [{"x": 1}]},
    sources=(SourceSet("a", ("**",)),),
    deps=("b",),
    roles=("wheel",),
)
FILES = [[SourceFile("a/x.py", "x.py", 3, 0o644, DIGEST)]]
DEPS = [Outputs(layers=[layer()], values={"v": 1}, blobs={"w": DIGEST})]
BASE = compute_key(ACTION, 1, FILES, DEPS)

# Every field is listed: a new one fails the test until somebody decides whether it enters the key.
HASHED = {
    Action: {
        "kind": {"kind": "model_layers"},
        "params": {"params": {"prefix": "other", "nested": [{"x": 1}]}},
        "sources": {"sources": (SourceSet("a", ("**",), layer_prefix="models"),)},
        "roles": {"roles": ("other",)},
    },
    SourceSet: {"layer_prefix": {"layer_prefix": "models"}},
    SourceFile: {
        "name": {"name": "y.py"},
        "size": {"size": 4},
        "mode": {"mode": 0o755},
        "digest": {"digest": OTHER},
        "as_layer": {"as_layer": True},
        "layer": {"layer": OTHER},
    },
    Outputs: {
        "layers": {"layers": [layer(digest=OTHER)]},
        "values": {"values": {"v": 2}},
        "blobs": {"blobs": {"w": OTHER}},
    },
}
NOT_HASHED = {
    Action: {"id", "target", "title", "weight", "places", "deps"},  # what the dependencies made is
    SourceSet: {"directory", "include", "exclude", "allow_empty"},  # their expansion is
    SourceFile: {"path", "stat"},  # the name below the set is
    Outputs: set(),
}


@pytest.mark.parametrize("cls", [Action, SourceSet, SourceFile, Outputs])
def test_every_field_is_declared(cls):
    assert set(fields(cls)) == set(HASHED[cls]) | NOT_HASHED[cls]


def changed_key(cls, changes):
    if cls is Action:
        return compute_key(replace(ACTION, **changes), 1, FILES, DEPS)
    if cls is SourceSet:
        source = replace(ACTION.sources[0], **changes)
        return compute_key(replace(ACTION, sources=(source,)), 1, FILES, DEPS)
    if cls is SourceFile:
        return compute_key(ACTION, 1, [[replace(FILES[0][0], **changes)]], DEPS)
    return compute_key(ACTION, 1, FILES, [replace(DEPS[0], **changes)])


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in HASHED.items() for name in names])
def test_a_hashed_field_changes_the_key(cls, name):
    assert changed_key(cls, HASHED[cls][name]) != BASE


@pytest.mark.parametrize(
    ("cls", "changes"),
    [
        (Action, {"id": "z"}),
        (Action, {"target": "//z:z"}),
        (Action, {"title": "other"}),
        (Action, {"deps": ("z",)}),
        (SourceSet, {"directory": "z"}),
        (SourceFile, {"path": "z/x.py"}),
        (Action, {"weight": 9.0}),
        (Action, {"places": {"url": "https://example.invalid"}}),
        (SourceSet, {"include": ("x.py",)}),
    ],
)
def test_the_rest_does_not(cls, changes):
    assert changed_key(cls, changes) == BASE


@pytest.mark.parametrize("field", ["digest", "size", "diff_id", "media_type"])
def test_every_field_of_a_layer_counts_but_its_recipe(field):
    other = {"digest": OTHER, "size": 11, "diff_id": OTHER, "media_type": "gzip"}[field]
    assert changed_key(Outputs, {"layers": [layer(**{field: other})]}) != BASE
    assert changed_key(Outputs, {"layers": [layer(recipe={"codec": "blob"})]}) == BASE


def test_the_version_of_the_kind_counts():
    assert compute_key(ACTION, 2, FILES, DEPS) != BASE


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=4), st.dictionaries(st.text(), plain, max_size=4))
def test_two_parameter_sets_share_a_key_only_if_they_are_equal(one, two):
    first = compute_key(replace(ACTION, params=one), 1, FILES, DEPS)
    second = compute_key(replace(ACTION, params=two), 1, FILES, DEPS)
    same = repr(_sorted(one)) == repr(_sorted(two))
    assert (first == second) == same


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_two_walks_give_the_same_stream(one, two):
    keys = []
    for walk in (one, two):
        writer = HashWriter()
        for name, value in walk:
            writer.value(name, value)
        keys.append(writer.key())
    assert (keys[0] == keys[1]) == (one == two)


def test_the_explanation_names_what_changed():
    before = explain(ACTION, 1, FILES, DEPS)
    after = explain(ACTION, 1, [[replace(FILES[0][0], digest=OTHER)]], DEPS)
    (line,) = differences(ACTION, before, after)
    assert line.startswith("file a/x.py changed: ")
    assert "aaaaaaaaaaaa" in line
    assert "bbbbbbbbbbbb" in line
    assert differences(ACTION, before, {**before, "params.new": "1"}) == ["params.new is new"]
    assert differences(ACTION, {**before, "params.old": "1"}, before) == ["params.old is gone"]
    assert differences(ACTION, before, before) == []


def test_an_action_without_parameters_has_a_key():
    bare = Action(id="a", target="//a:a", kind="group", title="all")
    assert compute_key(bare, 1, [], []) != compute_key(bare, 2, [], [])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a.b": "1"}, {"a": {"b": "1"}}),
        ({"x": [{"a": 1}]}, {"x.length": 1, "x[0]": {"a": 1}}),
        ({"a: b": 1}, {"a": {": b": 1}}),
    ],
)
def test_a_key_that_looks_like_a_path_is_not_one(one, two):
    keys = {compute_key(replace(ACTION, params=params), 1, FILES, DEPS) for params in (one, two)}
    assert len(keys) == 2


def test_explanations_show_digests_of_what_seems_secret():
    """The key sees the value; what is stored and shown of it is that it changed."""

    def seen(secret):
        requests = [{"name": "a", "headers": {"Authorization": secret, "x-id": "1"}}]
        params = {"environment": {"API_TOKEN": secret, "a.b": "2"}, "requests": requests}
        return explain(replace(ACTION, params=params, sources=(), deps=(), roles=()), 1, [], [])

    before, after = seen("canary-1"), seen("canary-2")
    assert "canary" not in str(before)
    assert before["params.requests[0].headers.x-id"] == '"1"'
    lines = differences(ACTION, before, after)
    assert [line.partition(" changed: sha256:")[0] for line in lines] == [
        "params.environment.API_TOKEN",
        "params.requests[0].headers.Authorization",
    ]
