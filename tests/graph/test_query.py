"""The language of queries: what is read, what it means (held against networkx), and what its errors point at."""

import itertools

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import UsageError
from buildrules.graph.evaluate import Item, Names, evaluate
from buildrules.graph.expression import parse
from buildrules.graph.targets import Targets


def small(needs: list[set[int]], implicit: int = 0) -> Targets:
    """Targets //:t0, //:t1 ... of rules r0, r1, r2; each needs others of a higher number."""
    rows = [tuple(sorted(one)) for one in needs]
    details = [("test" if n % 4 == 3 else "x", "", "", {"size": n}, {}, []) for n in range(len(rows))]
    found = Targets(
        [f"//:t{n}" for n in range(len(rows))], [f"r{n % 3}" for n in range(len(rows))], rows, implicit, bytes
    )
    found._details = details
    return found


def ask(text: str, targets: Targets) -> list[Item]:
    def select(word: str) -> list[int]:
        if word == "//...":
            return list(targets.written)
        if word in targets.labels:
            return [targets.labels.index(word)]
        raise UsageError(f"no target matches '{word}'")

    return evaluate(text, targets, Names(select, lambda numbers: sorted({f"f{n}" for n in numbers})))


@st.composite
def graphs(draw: st.DrawFn) -> Targets:
    count = draw(st.integers(1, 12))
    return small(
        [draw(st.sets(st.sampled_from(range(n + 1, count)))) if n + 1 < count else set() for n in range(count)]
    )


@given(targets=graphs(), data=st.data())
def test_functions_are_those_of_graphs(targets: Targets, data: st.DataObject) -> None:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(targets.labels)))
    graph.add_edges_from((one, other) for one, needs in enumerate(targets.needs) for other in needs)
    node = st.sampled_from(range(len(targets.labels)))
    a, b, depth = data.draw(node), data.draw(node), data.draw(st.integers(0, 4))
    x, y = targets.labels[a], targets.labels[b]
    below = {a, *networkx.descendants(graph, a)}
    above = {b, *networkx.ancestors(graph, b)}
    assert set(ask(f"deps({x})", targets)) == below
    assert set(ask(f"deps({x}, {depth})", targets)) == set(
        networkx.single_source_shortest_path_length(graph, a, cutoff=depth)
    )
    assert set(ask(f"rdeps(//..., {y})", targets)) == above
    assert set(ask(f"rdeps({x}, {y})", targets)) == (above & below if b in below else set())
    assert set(ask(f"rdeps(//..., {y}, {depth})", targets)) == set(
        networkx.single_source_shortest_path_length(graph.reverse(), b, cutoff=depth)
    )
    assert set(ask(f"allpaths({x}, {y})", targets)) == below & above
    path = ask(f"somepath({x}, {y})", targets)
    assert bool(path) == networkx.has_path(graph, a, b)
    if path:
        assert (path[0], path[-1]) == (a, b) and len(path) == networkx.shortest_path_length(graph, a, b) + 1
        assert all(graph.has_edge(one, other) for one, other in itertools.pairwise(path))
    assert set(ask(f"deps({x}) - {y} ^ //...", targets)) == (below - {b}) & set(targets.written)
    assert ask(f"let v = deps({x}) in $v union {y} + $v", targets) == sorted(below | {b})
    assert set(ask(f"kind('r[01]', deps({x}))", targets)) == {n for n in below if n % 3 < 2}
    assert set(ask("attr(size, '^(1|2)$', //...)", targets)) == {1, 2} & set(targets.written)
    assert ask(f"inputs(set({x} {y}))", targets) == sorted({f"f{a}", f"f{b}"})
    assert set(ask(f"filter('f{a}$', inputs(//...) + //...)", targets)) == {f"f{a}"}
    assert set(ask(f"tests({y})", targets)) == {n for n in {b, *graph.predecessors(b)} if n % 4 == 3}


@given(st.text("dre ps()+-^$,='\"letin/.:", max_size=25))
def test_no_text_is_more_than_wrong(text: str) -> None:
    try:
        parse(text)
    except UsageError as error:
        assert error.position is not None
        caret = error.position.excerpt.splitlines()[-1]
        assert caret.strip() == "^" and len(caret) <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "column", "said", "hint"),
    [
        ("dep(//...)", 1, "there is no function 'dep'", "did you mean 'deps'?"),
        ("deps(//:t0, )", 13, "expected a number, not ')'", None),
        ("deps(//:t0 //:t1)", 12, "expected ',' and a number: deps takes an expression, [a number]", None),
        ("//:t0 //:t1", 7, "unexpected '//:t1'", "join sets with + (or), - (without) and ^ (and)"),
        ("kind(r0, //:t9)", 10, "no target matches '//:t9'", None),
        ("kind('(', //:t0)", 6, "'(' is no regular expression", None),
        ("let x = //:t0 in $y", 18, "there is no variable '$y'", "there are $x"),
        ("attr(sizes, 1, //...)", 6, "none of these targets has an attribute 'sizes'", "did you mean 'size'?"),
        ("deps(inputs(//...))", 6, "'f0' is a file", None),
        ("deps(//:t0", 11, "a ')' is missing: deps takes an expression, [a number]", None),
        ("union", 1, "expected an expression, not 'union'", "a word that is an operator stands in quotes"),
        ("(" * 300, 202, "more than 200 expressions in each other", None),
        ("let x = 'a", 9, "a quote ' without its other end", None),
        ("//:t0 +\n  dep(:t1)", 3, "there is no function 'dep'", "did you mean 'deps'?"),
    ],
)
def test_an_error_points_at_its_place(text: str, column: int, said: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        ask(text, small([{1}, set()]))
    assert said in caught.value.message
    assert caught.value.position is not None and caught.value.position.column == column
    assert caught.value.hint == hint or hint is None


def test_words_may_be_quoted_and_hold_a_minus() -> None:
    tree = parse("'a+b' + a-b - \"in\"")
    left, right = tree.parts
    assert (tree.kind, left.kind, right[::2]) == ("-", "+", ("word", "in"))
    assert [part[::2] for part in left.parts] == [("word", "a+b"), ("word", "a-b")]


def test_many_sets_may_be_joined() -> None:
    targets = small([set()] * 40)
    assert len(ask(" + ".join(targets.labels * 200), targets)) == 40
    with pytest.raises(UsageError, match="operators change more than 200 times"):
        parse("a" + " + b - c" * 300)
