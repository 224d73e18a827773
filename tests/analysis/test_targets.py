"""The graph of targets: cycles, missing and hidden targets, order and queries."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.analysis.targets import dependents, target_graph
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, Position
from buildrules.graph.model import Graph
from buildrules.workspace.labels import Label, Pattern, parse_label, parse_pattern


@dataclass
class Plain:
    """The least that is a node."""

    label: Label
    deps: dict[str, list[Label]]
    visibility: list[Pattern] | None = None
    implicit: bool = False
    line: int = field(default=1)
    target: None = None

    def position_of(self, attribute: str, index: int | None = None) -> Position | None:
        return Position(f"{self.label.package}/BUILD.yaml", self.line, 10 + (index or 0))


def node(label: str, *deps: str, visibility: list[str] | None = None, line: int = 1) -> Plain:
    patterns = None if visibility is None else [parse_pattern(text) for text in visibility]
    return Plain(parse_label(label), {"deps": [parse_label(dep) for dep in deps]}, patterns, line=line)


def texts(labels: Any) -> list[str]:
    return [str(label) for label in labels]


def graph_of(*nodes: Plain, known: list[Label] | None = None) -> Graph:
    problems = Problems()
    graph = target_graph(nodes, problems, known or [])  # type: ignore[arg-type]
    problems.raise_all()
    return graph


def failures(*nodes: Plain) -> list[tuple[str, str, str | None]]:
    with pytest.raises(LoadError) as caught:
        graph_of(*nodes)
    return [(str(error.position), error.message, error.hint) for error in caught.value.errors]


DIAMOND = (
    node("//a:top", "//a:left", "//b:right"),
    node("//a:left", "//c:base"),
    node("//b:right", "//c:base"),
    node("//c:base"),
)


def test_queries() -> None:
    graph = graph_of(*DIAMOND)
    top, right = Label("a", "top"), Label("b", "right")
    assert texts(dependents(graph, [right])) == ["//a:top", "//b:right"]
    assert dict(graph.needs[top]) == {Label("a", "left"): "deps", right: "deps"}
    assert len(graph.kinds) == 4


def test_the_shortest_cycle_is_told_from_its_least_label() -> None:
    found = failures(
        node("//b:y", "//a:x", line=7),
        node("//a:x", "//b:y", "//c:z", line=3),
        node("//c:z", "//d:w"),
        node("//d:w", "//a:x"),
        node("//e:e", "//a:x"),
    )
    assert found == [
        (
            "a/BUILD.yaml:3:10",
            "dependency cycle: //a:x -> //b:y -> //a:x",
            "a target cannot need itself; remove one of these attributes",
        )
    ]


def test_a_target_that_needs_itself() -> None:
    assert failures(node("//a:x", "//a:x"))[0][1] == "dependency cycle: //a:x -> //a:x"


def test_a_knot_with_a_loop_in_it_tells_both() -> None:
    found = failures(node("//a:x", "//a:x", "//a:y"), node("//a:y", "//a:x"))
    assert [message for _, message, _ in found] == [
        "dependency cycle: //a:x -> //a:x",
        "dependency cycle: //a:x -> //a:y -> //a:x",
    ]


def test_every_knot_is_told() -> None:
    found = failures(node("//a:x", "//a:y"), node("//a:y", "//a:x"), node("//b:x", "//b:y"), node("//b:y", "//b:x"))
    assert sorted(message for _, message, _ in found) == [
        "dependency cycle: //a:x -> //a:y -> //a:x",
        "dependency cycle: //b:x -> //b:y -> //b:x",
    ]


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("//a:lefd", "did you mean '//a:left'?"),
        ("//x:right", "did you mean '//b:right'?"),
        ("//c:bas", "did you mean '//c:base'?"),
        ("//nowhere:q", "there is no package //nowhere"),
        ("//b:zzzzz", "targets of //b: right"),
        ("//models/nope:nope", "there is no package //models/nope"),
        ("//models/plane:cod", "did you mean '//models/plain:code'?"),
        ("//models/plain:nope", "targets of //models/plain: code"),
    ],
)
def test_missing_targets(wanted: str, hint: str) -> None:
    found = failures(*DIAMOND, node("//models/plain:code"), node("//z:z", "//c:base", wanted, line=4))
    assert found == [("z/BUILD.yaml:4:11", f"target '{wanted}' does not exist", hint)]


def test_a_known_but_broken_target_is_not_missing() -> None:
    graph_of(node("//a:x", "//a:broken"), known=[Label("a", "broken")])


@pytest.mark.parametrize(
    ("visibility", "user", "allowed"),
    [
        (None, "//far:x", True),
        ([], "//lib:x", True),
        ([], "//far:x", False),
        (["//team/..."], "//team/a:x", True),
        (["//team/..."], "//team:x", True),
        (["//team/..."], "//teams:x", False),
        (["//far:all"], "//far:x", True),
        (["//far:all"], "//far/below:x", False),
        (["//far:y", "//far:x"], "//far:x", True),
        (["//..."], "//far:x", True),
    ],
)
def test_visibility(visibility: list[str] | None, user: str, allowed: bool) -> None:
    nodes = (node("//lib:t", visibility=visibility), node(user, "//lib:t"))
    if allowed:
        graph_of(*nodes)
    else:
        ((position, message, hint),) = failures(*nodes)
        assert message == f"target '//lib:t' is not visible from '{user}'"
        assert position == f"{user[2:].partition(':')[0]}/BUILD.yaml:1:10"
        assert hint is not None
        assert user.partition(":")[0] in hint


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30))
    )
)
def test_closures_or_a_cycle(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = drawn
    nodes = [node(f"//p:n{i}", *sorted(f"//p:n{b}" for a, b in edges if a == i)) for i in range(count)]
    reach = {i: {b for a, b in edges if a == i} for i in range(count)}
    for _ in range(count):
        reach = {i: below | {c for b in below for c in reach[b]} for i, below in reach.items()}
    if any(i in below for i, below in reach.items()):
        assert all("dependency cycle" in message for _, message, _ in failures(*nodes))
        return
    graph = graph_of(*nodes)
    for i in range(count):
        label = Label("p", f"n{i}")
        assert set(dependents(graph, [label])) == {label} | {Label("p", f"n{a}") for a in range(count) if i in reach[a]}
