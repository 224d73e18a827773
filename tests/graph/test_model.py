"""The graph in itself: order, digests, and its other forms."""

import subprocess
import sys
from typing import Any

import networkx
from hypothesis import given
from hypothesis import strategies as st

from buildrules.graph.model import ACTION, TARGET, Graph

Drawn = dict[int, dict[int, str]]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    """Nodes that need nodes of smaller numbers."""
    count = draw(st.integers(1, 9))
    roles = st.sampled_from(["", "base", "code"])
    return {node: draw(st.dictionaries(st.integers(0, node - 1), roles)) if node else {} for node in range(count)}


def made(needs: Drawn, name: Any = lambda node: f"n{node}") -> Graph:
    graph = Graph()
    for node, below in needs.items():
        graph.add(name(node), ACTION if node % 2 else TARGET, {name(other): role for other, role in below.items()})
    return graph


@given(drawn())
def test_each_comes_after_what_it_needs_and_once(needs: Drawn) -> None:
    graph = made(needs)
    order = graph.order()
    assert sorted(order) == sorted(graph.kinds)
    places = {node: place for place, node in enumerate(order)}
    assert all(places[other] < places[node] for node, below in graph.needs.items() for other in below)
    assert graph.order(kind=ACTION) == [node for node in order if graph.kinds[node] == ACTION]


@given(drawn(), st.integers(0, 8))
def test_a_part_is_what_networkx_says_it_is(needs: Drawn, number: int) -> None:
    graph = made(needs)
    node = f"n{number % len(needs)}"
    model = graph.networkx()
    assert set(graph.order([node])) == {node} | networkx.descendants(model, node)
    assert dict(model.nodes(data="kind")) == graph.kinds
    assert {(a, b): role for a, b, role in model.edges(data="role")} == {
        (a, b): role for a, below in graph.needs.items() for b, role in below.items()
    }


@given(drawn(), st.integers(0, 8))
def test_a_change_reaches_exactly_who_needs_it(needs: Drawn, number: int) -> None:
    graph = made(needs)
    changed = f"n{number % len(needs)}"
    own = {node: f"content {node}" for node in graph.kinds}
    before, after = graph.digests(own), graph.digests({**own, changed: "other"})
    differ = {node for node in graph.kinds if before[node] != after[node]}
    assert differ == {changed} | networkx.ancestors(graph.networkx(), changed)


@given(drawn(), st.integers(0, 8))
def test_what_is_not_known_leaves_who_needs_it_unknown(needs: Drawn, number: int) -> None:
    graph = made(needs)
    unknown = f"n{number % len(needs)}"
    known = graph.digests({node: node for node in graph.kinds if node != unknown})
    assert graph.kinds.keys() - known.keys() == {unknown} | networkx.ancestors(graph.networkx(), unknown)


@given(drawn())
def test_names_do_not_matter(needs: Drawn) -> None:
    one, two = made(needs), made(needs, lambda node: ("other", node))
    first = one.digests({f"n{node}": str(node) for node in needs})
    second = two.digests({("other", node): str(node) for node in needs})
    assert [first[f"n{node}"] for node in needs] == [second["other", node] for node in needs]


def test_a_role_matters() -> None:
    one, two = made({0: {}, 1: {0: "base"}}), made({0: {}, 1: {0: "code"}})
    own = {"n0": "a", "n1": "b"}
    assert one.digests(own)["n1"] != two.digests(own)["n1"]


def test_a_copy_goes_its_own_way() -> None:
    graph = made({0: {}, 1: {0: ""}})
    other = graph.copy()
    other.add("n0", TARGET, {"n2": ""})
    other.add("n2", ACTION)
    assert graph.order() == ["n0", "n1"]
    assert other.order() == ["n2", "n0", "n1"]


def test_walking_it_imports_no_networkx() -> None:
    program = (
        "import sys; from buildrules.graph.model import Graph; graph = Graph(); graph.add('a', 'target', {'b': ''});"
        "graph.add('b', 'action'); graph.order(); graph.digests({'a': '', 'b': ''});"
        "print('networkx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
