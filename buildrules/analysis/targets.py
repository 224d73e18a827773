"""Which targets there are and who needs whom: they exist, are visible, and have no cycles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from buildrules.document.problems import Problems
from buildrules.errors import LoadError, Position
from buildrules.graph.model import TARGET, Graph
from buildrules.workspace.labels import Label, Pattern
from buildrules.workspace.suggest import nearest

if TYPE_CHECKING:
    import networkx

__all__ = ["Node", "TargetGraph", "missing_target"]


class Node(Protocol):
    """What the graph wants to know of a target; `rules.resolve.ResolvedTarget` is one."""

    @property
    def label(self) -> Label: ...

    @property
    def deps(self) -> Mapping[str, Sequence[Label]]:
        """Labels by the attribute that names them."""
        ...

    @property
    def visibility(self) -> Sequence[Pattern] | None:
        """Packages that may use it; None for all."""
        ...

    @property
    def implicit(self) -> bool:
        """True if it stands in no BUILD.yaml."""
        ...

    def position_of(self, attribute: str, index: int | None = None) -> Position | None:
        """Where an attribute names its labels."""
        ...


class TargetGraph:
    """Targets and who needs whom. Made by `build`; sorted answers, so that every run says the same."""

    def __init__(self, model: Graph, implicit: frozenset[Label]) -> None:
        self.model = model
        self._implicit = implicit

    @property
    def _graph(self) -> "networkx.DiGraph[Label]":
        return self.model.networkx()

    @classmethod
    def build(
        cls,
        nodes: Iterable[Node],
        problems: Problems | None = None,
        known: Iterable[Label] = (),
    ) -> "TargetGraph":
        """Connect the targets.

        `known` are labels that exist and could not be read: naming them is no error of its own. Missing targets,
        targets out of sight and cycles are noted in `problems`; without it, they are raised as one LoadError.
        """
        noted = Problems() if problems is None else problems
        by_label = {node.label: node for node in nodes}
        exists = by_label.keys() | set(known)
        edges: dict[Label, dict[Label, str]] = {label: {} for label in sorted(by_label)}
        for node in by_label.values():
            for attribute, labels in node.deps.items():
                for index, label in enumerate(labels):
                    where = index if len(labels) > 1 else None
                    if label not in exists:
                        noted.add_error(missing_target(label, exists, node.position_of(attribute, where)))
                    elif label in by_label:
                        _check_visible(node, by_label[label], attribute, where, noted)
                        edges[node.label].setdefault(label, attribute)
        if _has_cycle(edges):
            _cut_cycles(edges, by_label, noted)
        if problems is None:
            noted.raise_all()
        return cls(_model(edges), frozenset(node.label for node in by_label.values() if node.implicit))

    def __contains__(self, label: Label) -> bool:
        return label in self.model

    def __len__(self) -> int:
        return len(self.model)

    def labels(self) -> list[Label]:
        """Labels of all targets in BUILD.yaml files."""
        return sorted(label for label in self.model.of(TARGET) if label not in self._implicit)

    def direct_dependencies(self, label: Label) -> list[Label]:
        """What a target names itself. Raises LoadError if there is no such target."""
        return sorted(self._graph.successors(self._known(label)))

    def direct_dependents(self, label: Label) -> list[Label]:
        """Who names a target. Raises LoadError if there is no such target."""
        return sorted(self._graph.predecessors(self._known(label)))

    def dependencies(self, labels: Iterable[Label]) -> list[Label]:
        """The targets themselves and all they need, dependencies first. Raises LoadError for an unknown one."""
        import networkx

        wanted: set[Label] = set()
        for label in labels:
            if label not in wanted:
                wanted |= {label} | networkx.descendants(self._graph, self._known(label))
        return self.order(wanted)

    def dependents(self, labels: Iterable[Label]) -> list[Label]:
        """The targets themselves and all that need them, sorted. Raises LoadError for an unknown one."""
        import networkx

        found: set[Label] = set()
        for label in labels:
            if label not in found:
                found |= {label} | networkx.ancestors(self._graph, self._known(label))
        return sorted(found)

    def affected(self, changed: Iterable[Label], gone: Iterable[Label] = ()) -> list[Label]:
        """Targets of BUILD.yaml files to build again if `changed` changed; labels that are gone are passed over."""
        present = [label for label in (*changed, *gone) if label in self.model]
        return [label for label in self.dependents(present) if label not in self._implicit]

    def order(self, labels: Iterable[Label] | None = None) -> list[Label]:
        """These targets (all without `labels`) so that each comes after what it needs, else sorted by label."""
        import networkx

        graph = self._graph if labels is None else self._graph.subgraph(set(labels))
        return list(networkx.lexicographical_topological_sort(graph.reverse(copy=False), key=str))

    def path(self, start: Label, end: Label) -> list[Label] | None:
        """A shortest chain from a target to one it needs, or None. Raises LoadError for an unknown one."""
        import networkx

        try:
            return list(networkx.shortest_path(self._graph, self._known(start), self._known(end)))
        except networkx.NetworkXNoPath:
            return None

    def attribute(self, label: Label, dependency: Label) -> str:
        """The attribute by which a target names a direct dependency. Raises KeyError if it does not."""
        return self.model.needs[label][dependency]

    def _known(self, label: Label) -> Label:
        if label not in self.model:
            raise missing_target(label, self.labels(), None)
        return label


def missing_target(label: Label, known: Iterable[Label], position: Position | None) -> LoadError:
    """The error for a label that names nothing, with the nearest one that does."""
    labels = list(known)
    same = [other for other in labels if other.package == label.package]
    hint = None
    if same:
        close = nearest(label.name, [other.name for other in same])
        names = ", ".join(sorted(other.name for other in same)[:10])
        hint = f"did you mean '{Label(label.package, close)}'?" if close else f"targets of //{label.package}: {names}"
    elsewhere = sorted(other for other in labels if other.name == label.name)
    if (not same or hint is None or not hint.startswith("did")) and elsewhere:
        hint = f"did you mean '{elsewhere[0]}'?"
    elif not same:
        close = nearest(str(label), [str(other) for other in labels], cutoff=0.7)
        hint = f"did you mean '{close}'?" if close else f"there is no package //{label.package}"
    return LoadError(f"target '{label}' does not exist", hint=hint, position=position)


def _check_visible(node: Node, other: Node, attribute: str, index: int | None, problems: Problems) -> None:
    patterns, package = other.visibility, node.label.package
    if patterns is None or package == other.label.package or node.implicit:
        return
    if not any(pattern.matches(node.label) for pattern in patterns):
        seen = ", ".join(map(str, patterns)) or f"//{other.label.package}:all only"
        problems.add(
            f"target '{other.label}' is not visible from '{node.label}'",
            hint=f"it is visible to {seen}; add //{package}:all to its `visibility`",
            position=node.position_of(attribute, index),
        )


def _model(edges: Mapping[Label, Mapping[Label, str]]) -> Graph:
    model = Graph()
    for label, named in edges.items():
        model.add(label, TARGET, named)
    return model


def _has_cycle(edges: Mapping[Label, Mapping[Label, str]]) -> bool:
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(edges).prepare()
    except CycleError:
        return True
    return False


def _cut_cycles(edges: dict[Label, dict[Label, str]], nodes: Mapping[Label, Node], problems: Problems) -> None:
    """Note one shortest cycle of each knot, and cut it open so that the graph can be used."""
    import networkx

    graph = _model(edges).networkx()
    cycles = [[label, label] for label in sorted(networkx.nodes_with_selfloops(graph))]
    knots = [knot for knot in networkx.strongly_connected_components(graph) if len(knot) > 1]
    cycles += [_shortest_cycle(graph.subgraph(knot)) for knot in knots]
    for cycle in cycles:
        first, second = cycle[0], cycle[1]
        chain = " -> ".join(map(str, cycle))
        problems.add(
            f"dependency cycle: {chain}",
            hint="a target cannot need itself; remove one of these attributes",
            position=nodes[first].position_of(edges[first][second]),
        )
    for knot in [*knots, *({label} for label in edges)]:
        for label in knot:
            edges[label] = {other: attribute for other, attribute in edges[label].items() if other not in knot}


def _shortest_cycle(graph: "networkx.DiGraph[Label]") -> list[Label]:
    """The shortest cycle of a strongly connected graph, closed, beginning at its least label."""
    import networkx

    best: list[Label] = []
    for start in sorted(graph):
        for after in sorted(graph.successors(start)):
            if after == start:
                continue  # told on its own
            cycle = [start, *networkx.shortest_path(graph, after, start)]
            if not best or len(cycle) < len(best):
                best = cycle
    least = best.index(min(best[:-1]))
    ring = best[:-1]
    return [*ring[least:], *ring[:least], ring[least]]
