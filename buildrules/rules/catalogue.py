"""The rules there are: the built-in ones, and those a workspace keeps in files of its own.

A built-in is named by its name: `rule: model`. A workspace's rule is named by a label that names its file:
`//rules:my_server` is `rules/my_server.yaml`. Files are read when a rule is first asked for.
"""

import os
import posixpath
from dataclasses import dataclass, field

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position, UsageError
from buildrules.rules.rule import Rule, build_rule
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label, parse_label
from buildrules.workspace.root import find_root, package_of, read_file
from buildrules.workspace.suggest import did_you_mean, nearest

RULE_PACKAGE = "@rules"
"""Package of the labels that stand for rules used with their defaults; no directory can have that name."""

_builtins: dict[str, Rule] = {}  # by path; files of the package itself, which are read once as its modules are


def builtin_directory() -> str:
    """Where the built-in rules lie: inside an installed package, or beside it in a checkout.

    Raises LoadError if the installation is incomplete.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for directory in (os.path.join(package, "_rules"), os.path.join(os.path.dirname(package), "rules")):
        if os.path.isfile(os.path.join(directory, "model_package.yaml")):
            return directory
    raise LoadError("the built-in rules are missing", hint="reinstall buildrules")


def names_in(directory: str) -> list[str]:
    """Names of the rules or platforms that a folder has, sorted; none where it cannot be read."""
    try:
        names = os.listdir(directory)  # which decides hints and lists, and no target
    except OSError:
        return []
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name != "BUILD.yaml")


def own_references(root: str, folder: str, builtin: str) -> list[str]:
    """Labels of the rules or platforms in a workspace's `folder`; none where that is the folder `builtin`."""
    own = os.path.join(root, folder)
    same = os.path.realpath(own) == os.path.realpath(builtin)
    return [] if same else [f"//{folder}:{name}" for name in names_in(own)]


@dataclass(slots=True)
class Catalogue:
    """Looks rules up. `disk` is a workspace's, or None for the built-ins alone."""

    disk: Disk | None = None
    problems: Problems = field(default_factory=Problems)
    _directory: str = field(default_factory=builtin_directory)
    _rules: dict[str, Rule | None] = field(default_factory=dict)

    @classmethod
    def around(cls, directory: str) -> "tuple[Catalogue, str]":
        """The rules of the workspace that `directory` lies in, and its package; the built-ins alone outside of one."""
        try:
            root = find_root(directory)
            return cls(Disk(root)), package_of(root, directory)
        except UsageError:
            return cls(), ""

    def builtin_names(self) -> list[str]:
        """Names of all built-in rules, sorted."""
        return names_in(self._directory)

    def workspace_references(self) -> list[str]:
        """Labels of the rules in the workspace's own `rules/` directory, sorted."""
        return own_references(self.disk.root, "rules", self._directory) if self.disk is not None else []

    def all(self) -> list[Rule]:
        """Every built-in rule, then those of the workspace's `rules/`. Errors are noted in `problems`."""
        references = self.builtin_names() + self.workspace_references()
        return [rule for rule in map(self.find, references) if rule is not None]

    def find(self, reference: str, package: str = "", at: Node | None = None) -> Rule | None:
        """The rule that `reference`, written in `package`, names.

        If there is none, or it is wrong, an error is noted in `problems` (where `at` names it, or in the rule file),
        and None comes back.
        """
        if reference in self._rules:
            return self._rules[reference]
        try:
            return self._find(reference, package, (), at)
        except LoadError as error:
            self.problems.add_error(error, at.position if at is not None else None)
            return None

    def has_file(self, label: Label) -> bool:
        """Whether a rule file of this label exists in the workspace."""
        return self.disk is not None and self.disk.is_file(_file(label))

    def _find(self, reference: str, package: str, chain: tuple[str, ...], at: Node | None) -> Rule | None:
        label = parse_label(reference, package) if reference.startswith(("//", ":")) else None
        key = str(label) if label else reference
        if key in self._rules:
            return self._rules[key]
        if key in chain:
            position = at.position if at is not None else None
            raise LoadError(f"rules extend each other: {' -> '.join([*chain, key])}", position=position)
        if label is None:
            path, display = os.path.join(self._directory, f"{reference}.yaml"), f"<built-in>/{reference}.yaml"
            if reference not in self.builtin_names():
                raise self._unknown(reference)
        else:
            path = display = _file(label)
            if not self.has_file(label):
                known = self.workspace_references()
                if key in known:
                    raise LoadError(f"the rule file '{path}' is no regular file", hint="put a file in its place")
                hint = did_you_mean(key, known, limit=0) or f"a rule of this name would be in {display}"
                raise LoadError(f"there is no rule '{key}'", hint=hint)
        rule = self._read(path, display, key, label, (*chain, key))
        self._rules[key] = rule
        return rule

    def _read(self, path: str, display: str, key: str, label: Label | None, chain: tuple[str, ...]) -> Rule | None:
        if label is None and path in _builtins:
            return _builtins[path]
        known = len(self.problems)
        try:
            node = parse(display, self._content(path, label), self.problems)
        except OSError as error:
            raise LoadError(f"cannot read '{display}': {error.strerror}") from error
        if node is None:
            if len(self.problems) == known:
                self.problems.add(
                    f"the rule file '{display}' is empty",
                    hint=f"begin it with `rule: {label.name if label else key}`, or remove it",
                    position=Position(display, 1),
                )
            return None
        parent = None
        if node.kind == "map" and "extends" in node.entries:
            extends = node.entries["extends"]
            try:
                parent = self._find(extends.string(), label.package if label else "", chain, extends)
            except LoadError as error:
                self.problems.add_error(error, extends.position)
            if parent is None:
                return None
        name = label.name if label else key
        if node.kind == "map" and "rule" in node.entries and node.entries["rule"].text != name:
            found = node.entries["rule"]
            self.problems.add_error(
                found.error(f"the rule in '{display}' must have the name '{name}', not '{found.text}'")
            )
            return None
        stands_for = Label(f"{RULE_PACKAGE}/{label.package}".rstrip("/"), name) if label else Label(RULE_PACKAGE, name)
        rule = build_rule(
            node,
            reference=key,
            label=stands_for,
            builtin=label is None,
            parent=parent,
            problems=self.problems,
            read=lambda beside: self._beside(path, label, beside),
        )
        if label is None and rule is not None:
            _builtins[path] = rule
        return rule

    def _beside(self, path: str, label: Label | None, name: str) -> str | None:
        try:
            return self._content(posixpath.join(posixpath.dirname(path), name), label).decode()
        except (OSError, ValueError):
            return None

    def _content(self, path: str, label: Label | None) -> bytes:
        """A file of a built-in rule, or of the workspace's rule `label`. Raises OSError."""
        return read_file(path) if label is None or self.disk is None else self.disk.read(path)

    def _unknown(self, name: str) -> LoadError:
        own = {reference.rpartition(":")[2]: reference for reference in self.workspace_references()}
        if name in own:
            return LoadError(f"unknown rule '{name}'", hint=f"a rule of the workspace is named by label: {own[name]}")
        match = nearest(name, own)
        hint = did_you_mean(name, self.builtin_names(), what="rules", limit=20)
        if match and not (hint or "").startswith("did"):
            hint = f"did you mean '{own[match]}'?"
        return LoadError(f"unknown rule '{name}'", hint=hint)


def _file(label: Label) -> str:
    return f"{label.package}/{label.name}.yaml" if label.package else f"{label.name}.yaml"
