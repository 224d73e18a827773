"""Aliases and merge keys where they are taken: what they stand for, where it stands, and how much it may be."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import MAX_ALIASED, parse


def load(text: str) -> Node:
    problems = Problems()
    node = parse("f.yml", text.encode(), problems, aliases=True)
    problems.raise_all()
    assert node is not None
    return node


def errors(text: str) -> list[tuple[str, str]]:
    problems = Problems()
    parse("f.yml", text.encode(), problems, aliases=True)
    return [(str(error.position).removeprefix("f.yml:"), error.message) for error in problems.errors]


@pytest.mark.parametrize(
    "text",
    [
        "a: &x hello\nb: *x\n",
        "a: &x {k: [1, 2]}\nb: *x\nc: [*x, *x]\n",
        "p: &p {period: 10, port: 1}\nq: {<<: *p, period: 3}\n",
        "p: &p {a: 1, b: 1}\nq: &q {b: 2, c: 2}\nr: {<<: [*p, *q], c: 3}\n",
        "p: &p {a: &y 1}\nq: {<<: *p, z: *y}\n",
        "<<: {a: 1}\nb: 2\n",
        "p: &p {a: 1}\nq: &q {<<: *p, b: 2}\nr: {<<: *q}\n",
        "b: &b {x: &i [1]}\na: [*b, *i]\n",
    ],
)
def test_means_what_yaml_says(text: str) -> None:
    assert load(text).value() == yaml.safe_load(text)


@given(st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=4), max_leaves=20))
def test_an_anchor_used_twice_is_the_same_twice(value: object) -> None:
    text = f"a: &x {value}\nb: {{c: *x, d: [*x]}}\n"
    assert load(text).value() == {"a": value, "b": {"c": value, "d": [value]}}


def test_stands_where_the_alias_stands() -> None:
    node = load("a: &x {k: [1]}\nbb: *x\nc: {<<: *x}\n")
    inner = node.entries["bb"].entries["k"].items[0]
    assert str(inner.position) == "f.yml:2:5"
    assert "^^" in inner.position.excerpt
    assert str(node.entries["a"].entries["k"].items[0].position) == "f.yml:1:12"
    assert str(node.entries["c"].keys["k"].position) == "f.yml:3:9"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: &x [*x]\n", "1:8", "this alias names a value that it stands in itself"),
        ("a: &x {k: {<<: *x}}\n", "1:16", "this alias names a value that it stands in itself"),
        ("a: *x\nb: &x 1\n", "1:4", "this alias names no anchor above it"),
        ("a: {<<: 3}\n", "1:9", "`<<` merges maps, not '3'"),
        ("a: 1\na: 2\n", "2:1", "duplicate key 'a'"),
    ],
)
def test_what_is_refused(text: str, place: str, message: str) -> None:
    assert errors(text) == [(place, message)]


def test_a_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    found = errors("\n".join(lines) + "\n")
    assert {message for _, message in found} == {f"the aliases of this file stand for more than {MAX_ALIASED} values"}
    assert found[0][0].startswith("4:")
    wide = "a: &a [" + "x," * (MAX_ALIASED - 1) + "]\nb: "
    assert errors(wide + "*a\n") == []
    assert len(errors(wide + "[*a, *a]\n")) == 1
