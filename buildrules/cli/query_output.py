"""What `query` writes besides labels: JSON, graphs, and BUILD.yaml."""

import json
from collections.abc import Callable, Iterator

from buildrules.graph.evaluate import Item
from buildrules.graph.targets import Targets


def _json(targets: Targets, found: list[Item]) -> str:
    rows: list[dict[str, object]] = []
    for item in found:
        if isinstance(item, str):
            rows.append({"file": item})
            continue
        provides, _, place, _, written, by = targets.detail(item)
        rows.append(
            {
                "label": targets.labels[item],
                "rule": targets.rules[item],
                "provides": provides,
                "position": place or None,
                "deps": {targets.labels[other]: name for other, name in zip(targets.needs[item], by, strict=True)},
                "attributes": written,
            }
        )
    return json.dumps(rows, indent=2) + "\n"


def _edges(targets: Targets, found: list[Item]) -> Iterator[tuple[int, int]]:
    chosen = {item for item in found if isinstance(item, int)}
    for item in sorted(chosen):
        yield from ((item, other) for other in sorted(targets.needs[item]) if other in chosen)


def _named(targets: Targets, item: Item) -> str:
    return targets.labels[item] if isinstance(item, int) else item


def _graph(targets: Targets, found: list[Item]) -> str:
    """DOT, as graphviz.org has it: in a quoted text only the quote is escaped."""

    def quoted(item: Item) -> str:
        return '"' + _named(targets, item).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    lines = [f"  {quoted(item)}" for item in found]
    lines += [f"  {quoted(one)} -> {quoted(other)}" for one, other in _edges(targets, found)]
    return "\n".join(["digraph buildrules {", "  node [shape=box];", *lines, "}"]) + "\n"


def _mermaid(targets: Targets, found: list[Item]) -> str:
    """A flowchart of mermaid.js; what its texts may not hold is written as entity codes."""

    def shown(item: Item) -> str:
        return "".join(
            sign if sign.isalnum() or sign in "/:._@- " else f"#{ord(sign)};" for sign in _named(targets, item)
        )

    names = {item: f"n{number}" for number, item in enumerate(found)}
    lines = [f'  {names[item]}["{shown(item)}"]' for item in found]
    lines += [f"  {names[one]} --> {names[other]}" for one, other in _edges(targets, found)]
    return "\n".join(["flowchart LR", *lines]) + "\n"


def _build(targets: Targets, found: list[Item]) -> str:
    """The targets as a BUILD.yaml has them, package by package."""
    import yaml

    packages: dict[str, dict[str, object]] = {}
    for item in found:
        if isinstance(item, int) and item in targets.written:
            _, path, _, _, written, _ = targets.detail(item)
            name = targets.labels[item].rpartition(":")[2]
            packages.setdefault(path, {})[name] = {"rule": targets.rules[item], **written}
    return "\n".join(
        f"# {path}\n" + yaml.safe_dump({"targets": found}, sort_keys=False, allow_unicode=True, width=120)
        for path, found in packages.items()
    )


WRITERS: dict[str, Callable[[Targets, list[Item]], str]] = {
    "json": _json,
    "graph": _graph,
    "mermaid": _mermaid,
    "build": _build,
}
