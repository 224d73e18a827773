"""Which targets there are and who needs whom: they exist, are visible, and have no cycles."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from buildrules.document.problems import Problems
from buildrules.graph.model import TARGET, Graph
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label
from buildrules.workspace.suggest import nearest

if TYPE_CHECKING:
    import networkx


def target_graph(
    nodes: Iterable[ResolvedTarget], problems: Problems, known: Iterable[Label] = (), packages: Collection[str] = ()
) -> Graph:
    """The targets, and by which attribute each names another.

    `known` are labels that exist and could not be read: naming them is no error of its own. `packages` are the
    directories with a BUILD.yaml. Missing targets, targets out of sight and cycles are noted in `problems`.
    """
    by_label = {node.label: node for node in nodes}
    exists = by_label.keys() | set(known)
    edges: dict[Label, dict[Label, str]] = {label: {} for label in sorted(by_label)}
    for node in by_label.values():
        for attribute, labels in node.deps.items():
            for index, label in enumerate(labels):
                where = index if len(labels) > 1 else None
                if label not in exists:
                    hint = hint_for(label.package, label.name, exists, packages)
                    problems.add(
                        f"target '{label}' does not exist", hint=hint, position=node.position_of(attribute, where)
                    )
                elif label in by_label:
                    _check_visible(node, by_label[label], attribute, where, problems)
                    edges[node.label].setdefault(label, attribute)
    if _has_cycle(edges):
        _cut_cycles(edges, by_label, problems)
    return _model(edges)


def dependents(graph: Graph, labels: Iterable[Label]) -> list[Label]:
    """The targets themselves and all that need them, sorted."""
    import networkx

    found = set(labels)
    found.update(*(networkx.ancestors(graph.networkx(), label) for label in tuple(found)))
    return sorted(found)


def hint_for(package: str, name: str | None, known: Iterable[Label], packages: Collection[str] = ()) -> str:
    """What may have been meant by a name that no target has; None is any name. `packages` may have no target at all."""
    labels = list(known)
    names = [other.name for other in labels if other.package == package]
    close = nearest(name, names) if name is not None else None
    if close is not None:
        return f"did you mean '{Label(package, close)}'?"
    alike = [other for other in labels if other.name == name]
    alike = sorted(alike) or [other for other in labels if not names and _alike(package, name, other)]
    if alike:
        return f"did you mean '{alike[0] if name is not None else f'//{alike[0].package}:all'}'?"
    if names:
        return f"targets of //{package}: {', '.join(sorted(names)[:10])}"
    if not labels:
        return "the workspace has no targets yet: they stand below `targets:` in a BUILD.yaml"
    if package in packages:
        return f"'{f'{package}/BUILD.yaml'.lstrip('/')}' has no targets: they stand below `targets:`"
    return f"there is no package //{package}"


def _alike(package: str, name: str | None, other: Label) -> bool:
    """Whether each folder of a package, and the name in it, is like the other's."""
    said, there = package.split("/"), other.package.split("/")
    if name is not None:
        said, there = [*said, name], [*there, other.name]
    return len(said) == len(there) and all(
        one == two or nearest(one, [two]) is not None for one, two in zip(said, there, strict=True)
    )


def _check_visible(
    node: ResolvedTarget, other: ResolvedTarget, attribute: str, index: int | None, problems: Problems
) -> None:
    patterns, package = other.visibility, node.label.package
    if patterns is None or package == other.label.package or node.implicit:
        return
    if not any(pattern.matches(node.label) for pattern in patterns):
        seen = ", ".join(map(str, patterns)) or f"//{other.label.package}:all only"
        if other.target is not None and "visibility" not in other.target.attributes:
            every = ", ".join([*map(str, patterns), f"//{package}:all"])  # its own takes the place of the default
            more = f", by `default_visibility`; give it `visibility: [{every}]`"
        else:
            more = f"; add //{package}:all to its `visibility`"
        problems.add(
            f"target '{other.label}' is not visible from '{node.label}'",
            hint=f"it is visible to {seen}{more}",
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


def _cut_cycles(
    edges: dict[Label, dict[Label, str]], nodes: Mapping[Label, ResolvedTarget], problems: Problems
) -> None:
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
