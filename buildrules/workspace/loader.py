"""A workspace as it is written: settings, and targets with the place of everything.

What a target's attributes must look like is its rule's matter (`rules.resolve`); here they stay nodes.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position, UsageError
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, check_name
from buildrules.workspace.root import BUILD_FILE, Packages, check_inside, find_packages, find_root, package_of
from buildrules.workspace.suggest import did_you_mean

if TYPE_CHECKING:
    from buildrules.workspace.settings import Settings

SECTIONS = ("workspace", "targets", "for_each", "package_defaults", "default_visibility")


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


class Defaults(NamedTuple):
    """What a BUILD.yaml says for all of its targets, unchecked: who may see them, and attributes by rule."""

    visibility: Node | None
    attributes: Node | None


@dataclass(slots=True)
class Workspace:
    """A loaded workspace: settings, targets by label, and the directories with a BUILD.yaml ("" is the root).

    `unread` are targets that were written and could not be read. `defaults` are those of packages that have any.
    """

    root: str
    settings: "Settings"
    targets: dict[Label, Target] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    unread: set[Label] = field(default_factory=set)
    defaults: dict[str, Defaults] = field(default_factory=dict)
    whole: bool = False


def load_workspace(
    disk: Disk,
    problems: Problems,
    *,
    texts: Mapping[str, str] | None = None,
    whole: bool = True,
    made_from: str = BUILD_FILE,
    only: Collection[str] | None = None,
) -> Workspace:
    """Load the workspace at the root of `disk` (from `find_root`). Errors are noted in `problems`.

    `texts` maps packages to the texts of BUILD.yaml files that no file holds: their targets stand before those of a
    file there, and errors in them name the file `made_from`. Without `whole` they are all, and nothing is searched
    for. With `only` these packages are loaded, "" with its settings among them.
    """
    from buildrules.workspace.settings import Settings

    settings = None
    overlaid = {
        package: parse(made_from, text.encode(), problems, made=True) for package, text in (texts or {}).items()
    }
    document = overlaid.get("")
    kept = document is None or document.kind != "map" or "workspace" not in document.entries
    if kept:
        document = _read(disk, "", problems)
    if document is not None and document.kind == "map" and "workspace" in document.entries:
        settings = _settings(disk.root, document.entries["workspace"], problems)
    found = Packages(sorted(only or ()), {}, {}, [], [])
    if whole and only is None:
        found = disk.packages(settings.ignore if settings else ())
    workspace = Workspace(disk.root, settings or Settings(name="workspace"), packages=found.packages)
    workspace.whole = whole and only is None
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
        if len(node.entries) > (targets is not None):
            _for_all(workspace, disk, package, node, problems)
    for package, node in overlaid.items():
        if node is not None and "targets" in node.entries:
            _targets(workspace, package, node.entries["targets"], problems)
    return workspace


def packages_below(folder: str) -> Iterator[str]:
    """The packages in a folder, as paths, of the workspace that it is in if any; with what that ignores left out.

    Nothing is ignored where its settings cannot be read.
    """
    try:
        root = find_root(folder)
    except UsageError:
        root = folder
    ignore = load_workspace(Disk(root), Problems(), only=()).settings.ignore
    for package in find_packages(root, ignore, start=package_of(root, folder)).packages:
        yield os.path.join(root, package)


def read_settings(root: str) -> "Settings":
    """The settings of the workspace at `root` alone. Raises LoadError."""
    problems = Problems()
    found = load_workspace(Disk(root), problems, only=()).settings
    problems.raise_all()
    return found


def setting_position(disk: Disk, *path: str) -> Position | None:
    """Where a setting of the workspace stands, such as "python", "mirror"."""
    node = _read(disk, "", Problems())
    return node.find(("workspace", *path)).position if node is not None else None


def _settings(root: str, node: Node, problems: Problems) -> "Settings | None":
    """The `workspace:` section. The files that it names lie in the workspace, and so do uv's settings beside it."""
    from buildrules.workspace.settings import Settings
    from buildrules.workspace.validation import validate

    found = validate(Settings, node, problems, "workspace")
    named = {"uv.toml": node, "pyproject.toml": node}
    if found is not None and found.debian.keyring:
        named[found.debian.keyring] = node.find(("debian", "keyring"))
    if found is not None and found.tls.certificates:
        named[found.tls.certificates] = node.find(("tls", "certificates"))
    for path, place in named.items():
        try:
            check_inside(root, path)
        except LoadError as error:
            problems.add_error(place.error(error.message, error.hint))
        absolute = os.path.join(root, path)
        if os.path.exists(absolute) and not os.path.isfile(absolute) and not os.path.isdir(absolute):
            problems.add_error(place.error(f"'{path}' is not a regular file", "put a file in its place, or remove it"))
    return found


def _read(disk: Disk, package: str, problems: Problems) -> Node | None:
    path = f"{package}/{BUILD_FILE}" if package else BUILD_FILE
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


def _for_all(workspace: Workspace, disk: Disk, package: str, node: Node, problems: Problems) -> None:
    """The sections that concern several targets."""
    visibility, attributes, each = map(node.entries.get, ("default_visibility", "package_defaults", "for_each"))
    if visibility is not None or attributes is not None:
        workspace.defaults[package] = Defaults(visibility, attributes)
    if each is not None:
        from buildrules.workspace.templates import written_out

        for targets in written_out(disk, package, each, problems):
            for name, key in targets.keys.items():
                before = workspace.targets.get(Label(package, name))
                if before is not None and name in targets.entries:
                    hint = f"it stands in {before.position}{before.position.repeated}"
                    hint += "; {parent} and {folder} tell folders of one name apart"
                    problems.add_error(key.error(f"there are two targets '{name}'", hint))
            _targets(workspace, package, targets, problems)


def _sections(node: Node, package: str, problems: Problems) -> None:
    known = SECTIONS[1:] if package else SECTIONS
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
        label = Label(package, name)
        workspace.unread.add(label)
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
        workspace.unread.discard(label)
        workspace.targets[label] = Target(label, rule_name, attributes, key, rule, body.keys)
