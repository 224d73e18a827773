"""Strict YAML: what is refused, where the error points, what each scalar may stand for."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError


def load(text: str) -> Node:
    problems = Problems()
    node = parse("BUILD.yaml", text.encode(), problems)
    problems.raise_all()
    assert node is not None
    return node


def errors(text: str) -> list[tuple[str, str]]:
    problems = Problems()
    parse("f/BUILD.yaml", text.encode(), problems)
    return [(str(error.position).removeprefix("f/BUILD.yaml:"), error.message) for error in problems.errors]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "duplicate key 'a'"),
        ("x: {k: 1, k: 2}\n", "1:11", "duplicate key 'k'"),
        ("a: &x 1\nb: *x\n", "2:4", "aliases (`*x`) are not supported"),
        ("a: &x [*x]\n", "1:8", "aliases (`*x`) are not supported"),
        ("b:\n  <<: {a: 1}\n", "2:3", "merge keys (`<<`) are not supported"),
        ("a: !!int 1\n", "1:4", "the tag '!!int' is not supported"),
        ("a: !!python/object:os.system {}\n", "1:4", "the tag '!!python/object:os.system' is not supported"),
        ("? [a, b]\n: 1\n", "1:3", "a key must be a text, not a list"),
        ("a: 1\n---\nb: 2\n", "2:1", "a second document begins here"),
        ("a: *.py\n", "1:5", "an unquoted `*` or `&` begins an alias or anchor"),
        ("a: @b\n", "1:4", "found character that cannot start any token"),
        ("a:\n\t- b\n", "2:1", "found character that cannot start any token"),
        ("a: 'b\n", "1:6", "found unexpected end of stream"),
        ("a: b: c\n", "1:5", "mapping values are not allowed in this context"),
    ],
)
def test_refused(text: str, place: str, message: str) -> None:
    assert errors(text) == [(place, message)]


def test_everything_wrong_is_found_at_once() -> None:
    found = errors("a: 1\na: 2\nb: !x 1\nc: &d e\nf: *d\ng: *d\n")
    assert [place for place, _ in found] == ["2:1", "3:4", "5:4", "6:4"]


NOTHING = "while parsing a flow node: did not find expected node content"
LABEL = 'a label that starts with a colon needs quotes inside braces or brackets: ":name"'
SYNTAX = [
    ("a: {b: :c}\n", "1:8", NOTHING, LABEL),
    (
        "a: {b: 1,, c: 2}\n",
        "1:10",
        "while parsing a flow node: did not find expected node content",
        "before this comma",
    ),
    ("a: [\n", "1:5", NOTHING, "not closed"),
    ("x: {a: b, c: d\ny: {a: b}\n", "1:4", "this `{` is not closed, or a comma is missing in it", "up to line 2"),
    ("x: {a: b\n", "1:4", "this `{` is not closed, or a comma is missing in it", "up to line 1"),
    ("x: {a: b,\n  c: d\n  e: f}\n", "1:4", "this `{` is not closed, or a comma is missing in it", "up to line 3"),
    ("x: [a, b\ny: 1\n", "1:4", "this `[` is not closed, or a comma is missing in it", "where `,` or `]` must stand"),
    ("x: {a: b c: d}\n", "1:11", "expected `,` or `}` before this", "close the `{` in column 4"),
    ('x: ["a" "b"]\n', "1:9", "expected `,` or `]` before this", "close the `[` in column 4"),
    ("x: {a: [b, c}\n", "1:13", "expected `]`, not `}`", "the `[` in column 8 of line 1 is not closed"),
    ("x: {a: b}}\n", "1:10", "while parsing a block mapping: did not find expected key", "one `}` too many"),
    ("x:\n  a: b\n c: d\n", "3:2", "while parsing a block mapping: did not find expected key", "is it indented"),
    ("x:\n  a:b\n  c: d\n", "3:4", "mapping values are not allowed in this context", "space after the colon of line 2"),
    ("x: {a:b, c: d}\n", "1:5", "the key 'a:b' has no value", "write a space after the colon: `a: b`"),
]


@pytest.mark.parametrize(("text", "place", "message", "hint"), SYNTAX)
def test_what_is_no_yaml_gets_a_hint_that_fits(text: str, place: str, message: str, hint: str) -> None:
    problems = Problems()
    parse("BUILD.yaml", text.encode(), problems)
    (error,) = problems.errors
    assert (str(error.position), error.message) == (f"BUILD.yaml:{place}", message)
    assert hint in (error.hint or "")
    assert (error.hint == LABEL) == (hint == LABEL)


def test_a_key_without_a_space_is_read_as_it_was_meant() -> None:
    node = parse("BUILD.yaml", b"x: {a:b, c: d, e:f:g, h: }\n", Problems())
    assert node is not None
    assert node.value() == {"x": {"a": "b", "c": "d", "e": "f:g", "h": None}}


def test_an_address_and_a_quoted_key_may_be_without_a_value() -> None:
    assert load("{https://x.example, 'a:b', c:d: }\n").value() == {"https://x.example": None, "a:b": None, "c:d": None}


def test_not_utf8() -> None:
    problems = Problems()
    assert parse("BUILD.yaml", b"a: 1\nb: \xff\n", problems) is None
    assert [(str(error.position), error.message) for error in problems.errors] == [
        ("BUILD.yaml:2:1", "'BUILD.yaml' is not UTF-8")
    ]


def test_too_deep() -> None:
    assert errors("[" * 60 + "]" * 60) == [("1:42", "this is nested too deeply")]
    assert len(errors("[" * 5000)) == 1


def test_an_empty_file_is_nothing() -> None:
    assert parse("BUILD.yaml", b"# only a note\n", Problems()) is None


STRING: Callable[[Node], Any] = Node.string


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (STRING, "a", "a"),
        (STRING, "'1.10'", "1.10"),
        (STRING, '"yes"', "yes"),
        (STRING, "''", ""),
        (STRING, "1", "1"),
        (STRING, "-3", "-3"),
        (STRING, "2024-01-31", "2024-01-31"),
        (STRING, "y", "y"),
        (STRING, "1.2.3", "1.2.3"),
        (STRING, "|\n  two\n  lines", "two\nlines\n"),
        (Node.integer, "42", 42),
        (Node.integer, "0", 0),
        (Node.integer, "-7", -7),
        (Node.number, "1.5", 1.5),
        (Node.number, "1e3", 1000.0),
        (Node.number, "3", 3),
        (Node.boolean, "true", True),
        (Node.boolean, "False", False),
        (Node.value, "{a: [1, 2.5, true, null, x, '1']}", {"a": [1, 2.5, True, None, "x", "1"]}),
    ],
)
def test_scalars(read: Callable[[Node], Any], text: str, expected: Any) -> None:
    found = read(load(f"k: {text}\n").entries["k"])
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("read", "text", "hint"),
    [
        (STRING, "1.10", 'quote it: "1.10"'),
        (STRING, "yes", 'quote it: "yes"'),
        (STRING, "Off", 'quote it: "Off"'),
        (STRING, "true", 'quote it: "true"'),
        (STRING, "0755", 'quote it: "0755"'),
        (STRING, "1_000", 'quote it: "1_000"'),
        (STRING, "12:30", 'quote it: "12:30"'),
        (STRING, "0x1f", 'quote it: "0x1f"'),
        (STRING, "1e3", 'quote it: "1e3"'),
        (STRING, ".5", 'quote it: ".5"'),
        (STRING, ".inf", 'quote it: ".inf"'),
        (STRING, "", 'write "" for an empty text, or leave the attribute out'),
        (STRING, "[a]", None),
        (Node.integer, "'8'", "remove the quotes: 8"),
        (Node.integer, "010", "write a plain decimal number"),
        (Node.integer, "1.0", None),
        (Node.integer, "9999999999999999999999", None),
        (Node.number, ".nan", None),
        (Node.boolean, "yes", "write true"),
        (Node.boolean, "'no'", "write false"),
        (Node.boolean, "1", "write true or false"),
        (Node.value, "on", 'write true, false or "on"'),
        (Node.value, "1:30", 'quote it: "1:30"'),
    ],
)
def test_surprises(read: Callable[[Node], Any], text: str, hint: str | None) -> None:
    with pytest.raises(LoadError) as caught:
        read(load(f"key: {text}\n").entries["key"])
    assert caught.value.hint == hint
    assert caught.value.position is not None
    assert caught.value.position.line == 1


def test_the_caret_stands_under_the_place() -> None:
    position = load("targets:\n  a: {rule: modle}\n").entries["targets"].entries["a"].entries["rule"].position
    assert str(position) == "BUILD.yaml:2:13"
    above, below = position.excerpt.splitlines()
    assert above == "    2 |   a: {rule: modle}"
    assert above[below.index("^") : below.rindex("^") + 1] == "modle"


def test_the_caret_after_wide_and_long_text() -> None:
    for lead in ('"é\u00fc": 1, ', "\u4e2d: 1, ", ", ".join(f"k{n}: v" for n in range(60)) + ", "):
        position = load("{" + lead + "here: wrong}\n").entries["here"].position
        above, below = position.excerpt.splitlines()
        assert above[below.index("^") : below.rindex("^") + 1] == "wrong"
        assert len(above) < 170


@pytest.mark.parametrize(
    "line",
    [
        "feed: {pat: hunter2hunter2}",
        "password: hunter2hunter2",
        "url: https://me:hunter2hunter2@host/x",
        "API_TOKEN: hunter2hunter2",
    ],
)
def test_excerpts_hide_credentials(line: str) -> None:
    assert "hunter2" not in load(f"{line}\n").position.excerpt


CHARACTERS = st.characters(exclude_categories=["C", "Zl", "Zp"])

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**15), 10**15),
        st.text(CHARACTERS, max_size=12),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=6), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(values)
def test_json_is_read_as_it_is(value: Any) -> None:
    import json

    node = load(json.dumps({"k": value}, ensure_ascii=False))
    if "<<" not in json.dumps(value):
        assert node.value() == {"k": value}


@given(st.binary(max_size=60))
def test_whatever_the_bytes_an_error_or_a_node(data: bytes) -> None:
    problems = Problems()
    node = parse("BUILD.yaml", data, problems)
    if node is not None:
        node.value(problems)
