"""A workspace as it is written: settings, and targets with the place of everything.

What a target's attributes must look like is its rule's matter (`rules.resolve`); here they stay nodes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, check_name
from buildrules.workspace.root import BUILD_FILE, Packages
from buildrules.workspace.suggest import did_you_mean

if TYPE_CHECKING:
    from buildrules.workspace.settings import Settings

__all__ = ["Target", "Workspace"]


@dataclass(slots=True)
class Target:
    """One entry of `targets:`. `attributes` are all but `rule`, unchecked, in file order."""

    label: Label
    rule: str
    attributes: dict[str, Node]
    key: Node  # the target's name
    rule_node: Node
    keys: Mapping[str, Node]  # the attributes' names

    @property
    def position(self) -> Position:
        """Where the target's name stands."""
        return self.key.position

    def position_of(self, attribute: str) -> Position:
        """Where the attribute's value stands; the target itself if it is not set."""
        node = self.attributes.get(attribute)
        return node.position if node is not None else self.position

    def raw(self) -> dict[str, Any]:
        """The attributes as plain JSON types, for display. Raises LoadError for ambiguous scalars."""
        return {name: node.value() for name, node in self.attributes.items()}


@dataclass(slots=True)
class Workspace:
    """A loaded workspace: settings, targets by label, and the directories with a BUILD.yaml ("" is the root)."""

    root: str
    settings: "Settings"
    targets: dict[Label, Target] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        disk: Disk,
        problems: Problems | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        whole: bool = True,
        made_from: str = BUILD_FILE,
        only: Collection[str] | None = None,
    ) -> "Workspace":
        """Load the workspace at the root of `disk` (from `find_root`).

        With `problems`, all errors are noted there and what could be read comes back; without, they are raised
        together as one LoadError. `texts` maps packages to the texts of BUILD.yaml files that no file holds: their
        targets stand before those of a file there, and errors in them name the file `made_from`. Without `whole` they
        are all, and nothing is searched for. With `only` these packages are loaded, "" with its settings among them.
        """
        noted = Problems() if problems is None else problems
        workspace = _load(disk, noted, texts or {}, whole=whole, made_from=made_from, only=only)
        if problems is None:
            noted.raise_all()
        return workspace

    def labels(self) -> list[Label]:
        """All labels, sorted."""
        return sorted(self.targets)


def _load(
    disk: Disk,
    problems: Problems,
    texts: Mapping[str, str],
    *,
    whole: bool,
    made_from: str,
    only: Collection[str] | None,
) -> Workspace:
    from buildrules.workspace.settings import Settings
    from buildrules.workspace.validation import validate

    settings = None
    overlaid = {package: parse(made_from, text.encode(), problems, made=True) for package, text in texts.items()}
    document = overlaid.get("")
    kept = document is None or document.kind != "map" or "workspace" not in document.entries
    if kept:
        document = _read(disk, "", problems)
    if document is not None and document.kind == "map" and "workspace" in document.entries:
        settings = validate(Settings, document.entries["workspace"], problems, "workspace")
    found = Packages(sorted(only or ()), {}, [], [])
    if whole and only is None:
        found = disk.packages(settings.ignore if settings else ())
    workspace = Workspace(disk.root, settings or Settings(name="workspace"), packages=found.packages)
    for path in found.misspelt:
        problems.add(f"'{path}' is not read", hint=f"rename it to {BUILD_FILE}", position=Position(path, 1))
    for package in found.packages:
        node = document if not package else _read(disk, package, problems)
        if node is None:
            continue
        if node.kind != "map":
            problems.add_error(
                node.error(f"a {BUILD_FILE} holds a map, not {node.describe()}", "begin with `targets:`")
            )
            continue
        _check_package_name(package, node, problems)
        _sections(node, package, problems)
        targets = node.entries.get("targets")
        if targets is not None and not targets.is_null:
            _targets(workspace, package, targets, problems)
    for package, node in overlaid.items():
        if node is not None and "targets" in node.entries:
            _targets(workspace, package, node.entries["targets"], problems)
    return workspace


def _build_file(package: str) -> str:
    return f"{package}/{BUILD_FILE}" if package else BUILD_FILE


def _read(disk: Disk, package: str, problems: Problems) -> Node | None:
    path = _build_file(package)
    try:
        data = disk.by(f"//{package}").read(path)
    except OSError as error:
        problems.add(f"cannot read '{path}': {error.strerror}", position=Position(path, 1))
        return None
    return parse(path, data, problems)


def _check_package_name(package: str, node: Node, problems: Problems) -> None:
    for part in package.split("/") if package else ():
        problem = check_name(part)
        if problem and part != "all":
            hint = "rename the directory, or list it under `ignore:` in the workspace section"
            problems.add_error(node.error(f"the directory '{package}' cannot be a package: '{part}' {problem}", hint))
            return


def _sections(node: Node, package: str, problems: Problems) -> None:
    known = ["targets"] if package else ["workspace", "targets"]
    for name, key in node.keys.items():
        if name in known:
            continue
        entry = node.entries[name]
        if entry.kind == "map" and "rule" in entry.entries:
            hint: str | None = "targets stand below `targets:`, indented"
        else:
            hint = did_you_mean(name, known, what="known sections")
        problems.add_error(key.error(f"unknown section '{name}'", hint))


def _targets(workspace: Workspace, package: str, node: Node, problems: Problems) -> None:
    if node.kind != "map":
        problems.add_error(node.error(f"targets must be a map from names to targets, not {node.describe()}"))
        return
    for name, body in node.entries.items():
        key = node.keys[name]
        problem = check_name(name)
        if problem:
            problems.add_error(key.error(f"'{name}' {problem}"))
            continue
        if body.kind != "map":
            problems.add_error(
                key.error(f"target '{name}' must be a map, not {body.describe()}", f"write {name}: {{rule: ...}}")
            )
            continue
        rule = body.entries.get("rule")
        if rule is None:
            wrong = next((k for k in body.keys if did_you_mean(k, ["rule"], limit=0)), None)
            hint = (
                f"did you mean 'rule' instead of '{wrong}'?" if wrong else "every target names its rule: `rule: model`"
            )
            problems.add_error(key.error(f"target '{name}' has no 'rule'", hint))
            continue
        try:
            rule_name = rule.string("the name of a rule")
        except LoadError as error:
            problems.add_error(error)
            continue
        attributes = {attribute: value for attribute, value in body.entries.items() if attribute != "rule"}
        label = Label(package, name)
        workspace.targets[label] = Target(label, rule_name, attributes, key, rule, body.keys)
