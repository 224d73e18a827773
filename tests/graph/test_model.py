"""The graph in itself: order, and its other form."""

import subprocess
import sys

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


def made(needs: Drawn) -> Graph:
    graph = Graph()
    for node, below in needs.items():
        graph.add(f"n{node}", ACTION if node % 2 else TARGET, {f"n{other}": role for other, role in below.items()})
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
        "graph.add('b', 'action'); graph.order();"
        "print('networkx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
