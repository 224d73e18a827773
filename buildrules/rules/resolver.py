"""Reads the targets of a workspace by their rules: values, defaults, labels; providers are compared.

Whether a named target exists, may be seen and makes no cycle is the graph's matter.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, UsageError
from buildrules.rules import types
from buildrules.rules.attribute import RESERVED, Attribute
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.rules.rule import Rule
from buildrules.rules.selects import PLATFORMS, Chooser, Conditions
from buildrules.workspace.labels import Label, Pattern, parse_pattern
from buildrules.workspace.loader import Target, Workspace
from buildrules.workspace.suggest import did_you_mean

_DESCRIPTION = Attribute(type="string")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/=-]*", re.ASCII)


def resolve(
    workspace: Workspace, catalogue: Catalogue, problems: Problems, conditions: Conditions | None = None
) -> Resolution:
    """Check every target of a workspace: the sound ones. Errors are noted in `problems`, those of rule files too.

    `conditions` decide every `select`; those of the workspace's first platform if left out.
    """
    for error in catalogue.problems.errors if catalogue.problems is not problems else ():
        problems.add_error(error)
    catalogue.problems = problems
    settings = workspace.settings
    conditions = conditions or Conditions(settings.platforms[0], (), settings.configurations)
    resolver = _Resolver(workspace, catalogue, problems, conditions)
    for target in workspace.targets.values():
        rule = catalogue.find(target.rule, target.label.package, target.rule_node)
        if rule is not None:
            resolver.target(target, rule)
    _check_providers(resolver.resolution, problems)
    if resolver.varying:
        resolver.vary()
    return resolver.resolution


class _Resolver:
    def __init__(self, workspace: Workspace, catalogue: Catalogue, problems: Problems, conditions: Conditions) -> None:
        self.workspace = workspace
        self.conditions = conditions
        self.varying: dict[Label, set[str]] = {}  # the cases that the selects of a target have
        self.catalogue = catalogue
        self.problems = problems
        self.resolution = Resolution(catalogue=catalogue)
        # One object for each label: dictionaries find it without comparing.
        self._same = {label: label for label in workspace.targets}
        self._visible: dict[str, list[Pattern] | None] = {}
        self._given: dict[str, dict[str, tuple[Mapping[str, Node], Mapping[str, Node]]]] = {}
        for package, defaults in workspace.defaults.items():
            if defaults.visibility is not None:
                self._visible[package] = self._visibility(defaults.visibility, package)
            if defaults.attributes is not None:
                self._given[package] = self._defaults(package, defaults.attributes)

    def _defaults(self, package: str, node: Node) -> dict[str, tuple[Mapping[str, Node], Mapping[str, Node]]]:
        """What `package_defaults` says: attributes, and the nodes of their names, by rule."""
        found = {}
        if node.kind != "map":
            self.problems.add_error(
                node.error(f"package_defaults is a map from rules to attributes, not {node.describe()}")
            )
        for name, given in node.entries.items():
            rule = self.catalogue.find(name, package, node.keys[name])
            if rule is not None and given.kind == "map":
                found[rule.reference] = given.entries, given.keys
                for attribute in given.entries:
                    if attribute not in rule.attributes:
                        self._unknown(attribute, rule, given.keys[attribute])
            elif rule is not None:
                hint = f"write {name}: {{ATTRIBUTE: VALUE}}"
                self.problems.add_error(given.error(f"expected a map of attributes, not {given.describe()}", hint))
        return found

    def target(self, target: Target, rule: Rule) -> None:
        problems = self.problems
        before = len(problems)
        label = target.label
        if self._given or target.key.source.selects:
            target = self._meant(target, rule)
            if len(problems) > before:
                self.workspace.unread.add(label)
                return
        values = dict(rule.fixed)
        found = ResolvedTarget(label, rule, values, {}, self._visible.get(label.package), target=target)
        for name, node in target.attributes.items():
            attribute = rule.attributes.get(name)
            if attribute is not None and (name != "tags" or node.kind == "map"):
                values[name] = types.read(node, attribute, label.package, problems)
            if attribute is None or name == "tags":
                self._common(found, name, node)
        _complete(found, problems)
        for name, attribute in rule.labels.items():
            if values.get(name) is None:
                continue
            if attribute.rule_name:
                values[name] = self._server(values[name], found, name)
            named = values[name] if isinstance(values[name], list) else [values[name]]
            found.deps[name] = [self._same.get(item, item) for item in named if isinstance(item, Label)]
            if attribute.type == "globs":
                values[name] = [item for item in named if not isinstance(item, Label)]
        sound = self.resolution.targets if len(problems) == before else self.resolution.broken
        sound[label] = found

    def _visibility(self, node: Node, package: str) -> list[Pattern] | None:
        """Its patterns; None, which is everybody, where they are wrong: that is said here, once."""
        problems, before = self.problems, len(self.problems)
        if node.kind != "list":
            said = f"visibility is a list of patterns, not {node.describe()}"
            problems.add_error(node.error(said, "write [//team/...]"))
            return None
        patterns = []
        for item in node.items:
            try:
                text = item.string("a pattern")
                pattern = parse_pattern(text, package)
                if pattern.exclude:
                    raise item.error(
                        "visibility cannot leave packages out", "list the packages that may use the target"
                    )
                if ":" not in text and not self._may_exist(pattern.label):
                    where = text.strip("/")
                    raise item.error(
                        f"'{text}' names the target '{pattern}', and there is none",
                        f"write //{where}:all for the targets of that package, //{where}/... for those below it, too",
                    )
                patterns.append(pattern)
            except UsageError as error:
                problems.add(error.message, hint=error.hint, position=item.position)
            except LoadError as error:
                problems.add_error(error)
        return patterns if len(problems) == before else None

    def _may_exist(self, label: Label | None) -> bool:
        """Whether nothing is known against it: of packages that were not loaded nothing is."""
        known, unread = self.workspace.targets, self.workspace.unread
        return label is None or label in known or label in unread or not self.workspace.whole

    def _common(self, found: ResolvedTarget, name: str, node: Node) -> None:
        """Read what every target may say."""
        package, problems = found.label.package, self.problems
        if name == "tags":
            found.tags = _tags(node, notes=name in found.rule.attributes, problems=problems)
        elif name == "visibility":
            found.visibility = self._visibility(node, package)
        elif name == "description":
            found.description = types.read(node, _DESCRIPTION, package, problems) or ""
        else:
            assert found.target is not None
            self._unknown(name, found.rule, found.target.keys.get(name, node))

    def _meant(self, target: Target, rule: Rule) -> Target:
        """A target with the defaults of its package, and without selects."""
        label = target.label
        if self._given and rule.reference in self._given.get(label.package, ()):
            target = _with_defaults(target, rule, *self._given[label.package][rule.reference])
        if target.key.source.selects:
            chooser = Chooser(self.conditions, self.problems)
            target = replace(target, attributes=chooser.attributes(target.attributes, rule.attributes))
            if chooser.asked:
                self.varying[label] = chooser.asked
        return target

    def vary(self) -> None:
        """Say of each target with what it varies, by its own selects or by those of what it needs."""
        resolution, conditions = self.resolution, self.conditions
        resolution.per_platform = any(not asked.isdisjoint(PLATFORMS) for asked in self.varying.values())
        users: dict[Label, list[Label]] = {}
        for target in resolution.targets.values():
            for named in target.deps.values():
                for other in named:
                    users.setdefault(other, []).append(target.label)
        for case in sorted({*conditions.chosen, conditions.platform}):
            asks = {case} if case in conditions.chosen else set(PLATFORMS)
            stack = [label for label, asked in self.varying.items() if not asked.isdisjoint(asks)]
            found: set[Label] = set()
            while stack:
                label = stack.pop()
                if label not in found:
                    found.add(label)
                    stack += users.get(label, ())
            for label in found & resolution.targets.keys():
                target = resolution.targets[label]
                if case in conditions.chosen:
                    target.variant = f"{target.variant},{case}".lstrip(",")
                else:
                    target.platform = case

    def _unknown(self, name: str, rule: Rule, key: Node) -> None:
        known = {*rule.attributes, *RESERVED, "tags"}
        hint = did_you_mean(name, known, what=f"attributes of '{rule.reference}'", limit=16)
        self.problems.add(f"rule '{rule.reference}' has no attribute '{name}'", hint=hint, position=key.position)

    def _server(self, value: Label | str, found: ResolvedTarget, attribute: str) -> Label | None:
        """A label, or the name or label of a rule to be used with its defaults: then an implicit target is made."""
        if isinstance(value, Label):
            if value in self.workspace.targets or not self.catalogue.has_file(value):
                return value  # the graph says so if it does not exist
            reference = str(value)
        else:
            reference = value
        at = found.target.attributes.get(attribute) if found.target is not None else None
        rule = self.catalogue.find(reference, found.label.package, at)
        if rule is None:
            return None
        wanted = found.rule.attributes[attribute].provider
        if wanted and rule.provides not in wanted:
            self.problems.add(
                f"rule '{reference}' provides a {rule.provides}, not a {' or '.join(wanted)}",
                position=found.position_of(attribute),
            )
            return None
        if rule.label not in self.resolution.targets:
            needed = rule.required
            if needed:
                self.problems.add(
                    f"rule '{reference}' cannot be used without {', '.join(needed)}",
                    hint=f"define a target with `rule: {reference}` and name it here",
                    position=found.position_of(attribute),
                )
                return None
            implicit = ResolvedTarget(rule.label, rule, dict(rule.fixed), {})
            _complete(implicit, self.problems)
            self.resolution.targets[rule.label] = implicit
        return rule.label


def _with_defaults(target: Target, rule: Rule, given: Mapping[str, Node], keys: Mapping[str, Node]) -> Target:
    """A target with what its package says for its rule, where it says nothing else and where that has an effect."""
    said = target.attributes
    kept = {name for name in given if name not in said}
    for group, _ in rule.groups:
        if any(name in said for name in group):
            kept.difference_update(group)
    for name, others in rule.file.only_with.items():
        if not any(other in said or other in kept for other in others):
            kept.discard(name)
    added = {name: given[name] for name in given if name in kept}
    return replace(target, attributes={**said, **added}, keys={**keys, **target.keys})


def _tags(node: Node, *, notes: bool, problems: Problems) -> frozenset[str]:
    """The words of a target, or what its `notes` are called and say."""
    if node.kind == "map" and notes:
        said = {name: value.text for name, value in node.entries.items() if value.kind == "scalar"}
        return frozenset({*said, *(f"{name}={text}" for name, text in said.items())})
    if node.kind != "list":
        what = "tags is a list of words" + (", or a map of notes" if notes else "")
        problems.add_error(node.error(f"{what}, not {node.describe()}", "write [slow, nightly]"))
    for item in node.items:
        if item.kind != "scalar" or not _TAG.fullmatch(item.text):
            hint = "use letters, digits and `_ . : / = -`, not starting with a sign"
            problems.add_error(item.error(f"{item.describe()} is not a tag", hint))
    return frozenset(item.text for item in node.items)


def _complete(found: ResolvedTarget, problems: Problems) -> None:
    """Fill in defaults; note what is missing and what excludes each other."""
    given = found.target.attributes if found.target is not None else {}
    rule = found.rule
    for name in rule.varying:
        if name not in given:
            found.values[name] = rule.default(name, found.label)
    for name in rule.required:
        if name not in given:
            attribute = rule.attributes[name]
            shown = attribute.example if isinstance(attribute.example, str) else json.dumps(attribute.example)
            example = f", such as `{name}: {shown}`" if attribute.example is not None else ""
            hint = attribute.doc[:1].lower() + attribute.doc[1:].rstrip(".") + example if attribute.doc else None
            where = found.target.position if found.target else None
            problems.add(f"'{found.label}' needs '{name}'", hint=hint, position=where)
    for group, needed in rule.groups:
        chosen = [name for name in group if name in given]
        if len(chosen) == 1 or (not chosen and not needed):
            continue
        listed = ", ".join(f"'{name}'" for name in group[:-1]) + f" and '{group[-1]}'"
        if chosen:
            problems.add(f"only one of {listed} can be given", position=found.position_of(chosen[1]))
        else:
            problems.add(f"'{found.label}' needs one of {listed}", position=found.position_of(group[0]))
    if rule.provides in ("model", "input") and found.values.get("hub") is not None:
        found.values["uri"] = hub_uri(found.values["hub"])
    for name, others in rule.file.only_with.items():
        if name not in given or any(other in given for other in others):
            continue
        if found.values.get(name) != rule.default(name, found.label):
            listed = " or ".join(f"'{other}'" for other in others)
            problems.add(
                f"'{name}' has no effect without {listed}", hint="leave it out", position=found.position_of(name)
            )


def hub_uri(text: str) -> str:
    """`ORG/NAME@REVISION` as a uri, in which a branch may have slashes in its name."""
    name, at, revision = text.partition("@")
    return f"hf://{name}{at}{revision.replace('%', '%25').replace('/', '%2F')}"


def _check_providers(resolution: Resolution, problems: Problems) -> None:
    for target in resolution.nodes:
        for name, labels in target.deps.items():
            wanted = target.rule.attributes[name].provider
            for index, label in enumerate(labels):
                other = resolution.targets.get(label) or resolution.broken.get(label)
                if wanted and other is not None and other.provides not in wanted:
                    several = isinstance(target.values[name], list)
                    kinds, package = " or ".join(wanted), target.label.package
                    able = [
                        key for key, one in resolution.targets.items() if one.provides in wanted and not one.implicit
                    ]
                    able.sort(key=lambda key: (key.package != package, key))
                    problems.add(
                        f"'{name}' needs a target that provides {kinds}, but '{label}' provides {other.provides}",
                        hint=f"targets that do: {', '.join(map(str, able[:4]))}" if able else None,
                        position=target.position_of(name, index if several else None),
                    )
