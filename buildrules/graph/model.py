"""The graph of everything a command is about: targets need targets and actions, actions need layers and actions.

One graph holds all three, from the targets of a workspace down to the steps that make them. What a node needs has a
role for it: the attribute that names a target, what a layer holds in an image, nothing where its place says it.

It is kept as plain maps, since importing networkx takes longer than planning a thousand packages; `networkx` gives the
same graph as the library knows it, for whatever is asked of a whole graph. It knows neither disk nor terminal.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType

from buildrules.typed import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import networkx

__all__ = ["ACTION", "LAYER", "TARGET", "Graph", "Laid", "ordered"]

T = TypeVar("T")

_NOTHING: Mapping[Any, str] = MappingProxyType({})

TARGET, LAYER, ACTION = "target", "layer", "action"
"""The kinds of nodes."""


class Laid(NamedTuple):
    """The node of the layers that an action makes, as an image has them."""

    action: str  # its id


def ordered(nodes: Iterable[T], needs: Callable[[T], Iterable[T]]) -> list[T]:
    """Nodes and what they need, each after what it needs; else as they were named. There must be no cycles."""
    order: dict[T, None] = {}
    waiting = [(node, False) for node in reversed(list(nodes))]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.setdefault(node)
        elif node not in order:
            waiting.append((node, True))
            waiting.extend((other, False) for other in reversed(tuple(needs(node))) if other not in order)
    return list(order)


class Graph:
    """Nodes and what they need. A node is any hashable value; there are no cycles."""

    __slots__ = ("_networkx", "kinds", "needs")

    def __init__(self) -> None:
        self.kinds: dict[Hashable, str] = {}
        self.needs: dict[Hashable, Mapping[Any, str]] = {}  # node -> what it needs, and what that is to it
        self._networkx: networkx.DiGraph[Any] | None = None

    def add(self, node: Hashable, kind: str, needs: Mapping[Any, str] = _NOTHING) -> None:
        """Add a node, or more that it needs. What it needs may be added later; the map is kept, and never changed."""
        self.kinds[node] = kind
        before = self.needs.get(node)
        self.needs[node] = {**before, **needs} if before else needs
        self._networkx = None

    def copy(self) -> "Graph":
        """A graph of the same nodes, to which others can be added."""
        other = Graph()
        other.kinds = dict(self.kinds)
        other.needs = dict(self.needs)
        return other

    def __contains__(self, node: Hashable) -> bool:
        return node in self.kinds

    def order(self, nodes: Iterable[Any] | None = None, kind: str | None = None) -> list[Any]:
        """These nodes (all without `nodes`) and what they need, each after what it needs; else as they were named.

        With `kind`, only those of that kind are given.
        """
        order = ordered(self.kinds if nodes is None else nodes, self.needs.__getitem__)
        return order if kind is None else [node for node in order if self.kinds[node] == kind]

    def networkx(self) -> "networkx.DiGraph[Any]":
        """The same as networkx has it: nodes with their `kind`, edges to what they need with its `role`."""
        if self._networkx is None:
            import networkx

            graph: networkx.DiGraph[Any] = networkx.DiGraph()
            graph.add_nodes_from((node, {"kind": kind}) for node, kind in self.kinds.items())
            graph.add_edges_from(
                (node, other, {"role": role}) for node, needs in self.needs.items() for other, role in needs.items()
            )
            self._networkx = graph
        return self._networkx
