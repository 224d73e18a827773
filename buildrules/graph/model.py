"""The graph of everything a command is about: targets need targets and actions, actions need layers and actions.

One graph holds all three, from the targets of a workspace down to the steps that make them. What a node needs has a
role for it: the attribute that names a target, what a layer holds in an image, nothing where its place says it.

It is kept as plain maps, since importing networkx takes longer than planning a thousand packages; `networkx` gives the
same graph as the library knows it, for whatever is asked of a whole graph. It knows neither disk nor terminal.
"""

from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import networkx

__all__ = ["ACTION", "LAYER", "TARGET", "Frozen", "Graph", "Laid"]

_NOTHING: Mapping[Any, str] = MappingProxyType({})

TARGET, LAYER, ACTION = "target", "layer", "action"
"""The kinds of nodes."""


class Laid(NamedTuple):
    """The node of the layers that an action makes, as an image has them."""

    action: str  # its id


class Frozen(NamedTuple):
    """A graph, or a part of one, as plain values: what marshal takes, and what is walked without this module.

    `nodes` have what they need in front of them; `needs` are, for each of them, the indexes of what it needs.
    """

    nodes: list[Any]
    needs: list[list[int]]


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

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, kind: str) -> list[Any]:
        """The nodes of a kind, as they were added."""
        return [node for node, found in self.kinds.items() if found == kind]

    def order(self, nodes: Iterable[Any] | None = None, kind: str | None = None) -> list[Any]:
        """These nodes (all without `nodes`) and what they need, each after what it needs; else as they were named.

        With `kind`, only those of that kind are given.
        """
        order: dict[Any, None] = {}
        waiting = [(node, False) for node in reversed(list(self.kinds if nodes is None else nodes))]
        while waiting:
            node, done = waiting.pop()
            if done:
                order.setdefault(node)
            elif node not in order:
                waiting.append((node, True))
                waiting.extend((other, False) for other in reversed(tuple(self.needs[node])) if other not in order)
        return list(order) if kind is None else [node for node in order if self.kinds[node] == kind]

    def users(self) -> dict[Any, list[Any]]:
        """For each node, who needs it by name."""
        found: dict[Any, list[Any]] = {node: [] for node in self.kinds}
        for node, needs in self.needs.items():
            for other in needs:
                found[other].append(node)
        return found

    def digests(self, own: Mapping[Any, str]) -> dict[Any, str]:
        """For each node a digest of it and of everything below it, without anything being run.

        `own` is what a node is by itself, wherever it lies. A node that has nothing there, and whoever needs it, has no
        digest. Names of nodes are not in it: two nodes with equal contents have equal digests.
        """
        import hashlib

        found: dict[Any, str] = {}
        for node in self.order():
            below = [(role, found.get(other)) for other, role in self.needs[node].items()]
            if node in own and all(digest is not None for _, digest in below):
                found[node] = hashlib.sha256(repr((self.kinds[node], own[node], below)).encode()).hexdigest()
        return found

    def frozen(self, nodes: Iterable[Any] | None = None) -> Frozen:
        """These nodes (all without `nodes`) and what they need, as plain values."""
        order = self.order(nodes)
        numbers = {node: number for number, node in enumerate(order)}
        return Frozen(order, [[numbers[other] for other in self.needs[node]] for node in order])

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
