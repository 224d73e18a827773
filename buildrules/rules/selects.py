"""`select:` in attribute values: what is different on a platform, or in a configuration that the command line names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.rules.attribute import Attribute
from buildrules.workspace.suggest import did_you_mean

SELECT, DEFAULT = "select", "default"
PLATFORMS = ("linux/amd64", "linux/arm64")


class Conditions(NamedTuple):
    """What a `select` decides by: the platform, and which of the `declared` configurations are `chosen`."""

    platform: str
    chosen: Collection[str] = ()
    declared: Collection[str] = ()


@dataclass(slots=True)
class Chooser:
    """Takes the cases that hold, of one target. `asked` are all cases that its selects have: what it varies with."""

    conditions: Conditions
    problems: Problems
    asked: set[str] = field(default_factory=set)

    def attributes(self, given: Mapping[str, Node], types: Mapping[str, Attribute]) -> dict[str, Node]:
        """Attributes without selects; one whose case is nothing (`default: null`) is left out."""
        chosen = {name: self(node, types.get(name)) for name, node in given.items()}
        return {name: node for name, node in chosen.items() if not (node.is_null and node is not given[name])}

    def __call__(self, node: Node, attribute: Attribute | None) -> Node:
        """A value without selects: the node itself, where there are none in it. What is free of form has none."""
        if node.kind == "scalar" or (attribute is not None and attribute.type in ("json", "map")):
            return node
        if _is_select(node):
            return self._case(node, attribute)
        if node.kind == "list":
            items: list[Node] = []
            for item in node.items:
                value = self(item, attribute)
                spread = value is not item and value.kind == "list" and _is_select(item)
                items += value.items if spread else [] if value.is_null and value is not item else [value]
            return node if items == node.items else _like(node, items=items)
        fields = attribute.fields if attribute is not None else {}
        entries = {name: self(entry, fields.get(name)) for name, entry in node.entries.items()}
        if all(value is node.entries[name] for name, value in entries.items()):
            return node
        left = {name: value for name, value in entries.items() if value is node.entries[name] or not value.is_null}
        return _like(node, entries=left)

    def _case(self, node: Node, attribute: Attribute | None) -> Node:
        """The first case that holds, in the order of the file, else the default."""
        place, at = node.keys[SELECT], node.entries[SELECT]
        if at.kind != "map":
            self.problems.add_error(
                at.error(f"the cases of `select` are a map, not {at.describe()}", "write {gpu: ..., default: ...}")
            )
            return _nothing(node)
        conditions = self.conditions
        known = {*PLATFORMS, *conditions.declared, DEFAULT}
        for name, key in at.keys.items():
            if name not in known:
                hint = did_you_mean(name, known, what="cases")
                if "/" not in name and not (hint or "").startswith("did"):
                    hint = f"name it in the workspace section: `configurations: [{name}]`"
                self.problems.add_error(key.error(f"there is no configuration or platform '{name}'", hint))
        self.asked.update(at.entries)
        for name, value in at.entries.items():
            if name == conditions.platform or name in conditions.chosen:
                return self(value, attribute)
        if DEFAULT in at.entries:
            return self(at.entries[DEFAULT], attribute)
        told = ", ".join([conditions.platform, *sorted(conditions.chosen)])
        hint = "add `default:`, with null where nothing is to be given"
        self.problems.add_error(place.error(f"no case of this select holds for {told}", hint))
        return _nothing(node)


def _is_select(node: Node) -> bool:
    return len(node.entries) == 1 and SELECT in node.entries


def _nothing(node: Node) -> Node:
    return Node("scalar", node.source, node.line, node.column, node.width, plain=True)


def _like(node: Node, items: list[Node] | None = None, entries: dict[str, Node] | None = None) -> Node:
    """The same node with other content."""
    found = Node(node.kind, node.source, node.line, node.column, node.width)
    found.items, found.entries = items or (), entries or {}
    found.keys = {name: node.keys[name] for name in found.entries}
    return found
