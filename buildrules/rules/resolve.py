"""Targets that are as their rules want them, and all those of a workspace."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from buildrules.errors import BuildrulesError, LoadError, Position
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.rule import Rule
from buildrules.workspace.labels import Label, Pattern
from buildrules.workspace.loader import Target


@dataclass(slots=True)
class ResolvedTarget:
    """A target that is as its rule wants it.

    `values` has every attribute of the rule, None where nothing was said and there is no default; `rules.types` lists
    the Python types. `deps` maps label attributes to the labels in them. `visibility` is None for everybody, else the
    patterns of the packages that may use it besides its own. `implicit` targets stand for a rule used by its name
    (`server: azureml_online`); no BUILD.yaml holds them. `tags` are for `--tag` and queries; of notes kept with a
    package (`tags: {stage: prod}`) they are `stage` and `stage=prod`.

    `variant` has the configurations of the command line that it, or what it needs, varies with; `platform` is the one
    that it was read for, where it varies with that.
    """

    label: Label
    rule: Rule
    values: dict[str, Any]
    deps: dict[str, list[Label]]
    visibility: list[Pattern] | None = None
    description: str = ""
    tags: frozenset[str] = frozenset()
    variant: str = ""
    platform: str = ""
    target: Target | None = field(default=None, repr=False)

    @property
    def implicit(self) -> bool:
        """Whether it stands for a rule used by its name."""
        return self.target is None

    @property
    def id(self) -> str:
        """What tells it from other targets in one plan, and from itself on another platform, where that differs."""
        return f"{self.label}@{self.platform}" if self.platform else str(self.label)

    @property
    def lock_name(self) -> str:
        """What its locks are named by: they are its own for each variant, as for each platform."""
        return f"{self.label.name}@{self.variant}" if self.variant else self.label.name

    @property
    def provides(self) -> str:
        """base, env, server, model, input, code, library, package or test."""
        return self.rule.provides

    @property
    def name(self) -> str:
        """The name a model, an input or code goes by: its attribute, else the label's."""
        return str(self.values.get("name") or self.label.name)

    @property
    def version(self) -> str:
        """The version of a model or an input: its attribute, else "1"."""
        return str(self.values.get("version") or "1")

    @property
    def given(self) -> set[str]:
        """The attributes the user wrote."""
        return set(self.target.attributes) if self.target else set()

    def position_of(self, attribute: str, index: int | None = None) -> Position | None:
        """Where an attribute's value (or its item `index`) stands; the target if it was not given.

        Of globs among which there may be labels, `index` is that of a label among the labels.
        """
        if self.target is None:
            return None
        node = self.target.attributes.get(attribute)
        if node is None:
            return self.target.position
        if index is not None:
            said = self.rule.attributes[attribute]
            if said.type == "globs" and said.provider:  # the labels among the globs are counted
                index = [at for at, item in enumerate(node.items) if item.text.startswith((":", "//"))][index]
            node = node.find((index,))
        return node.position

    def error(self, attribute: str, message: str, hint: str | None = None, index: int | None = None) -> LoadError:
        """An error that points at an attribute, or at its item `index`."""
        return LoadError(message, hint=hint, position=self.position_of(attribute, index))

    @contextmanager
    def errors_at(self, attribute: str) -> Iterator[None]:
        """Errors raised inside that do not know where they belong belong to this attribute."""
        try:
            yield
        except BuildrulesError as error:
            error.position = error.position or self.position_of(attribute)
            raise


@dataclass(slots=True)
class Resolution:
    """All targets of a workspace by label, the implicit ones among them.

    `broken` are targets with errors, kept so that errors in what they name are found in the same run. `catalogue` has
    their rules. With `per_platform` some target varies with the platform.
    """

    targets: dict[Label, ResolvedTarget] = field(default_factory=dict)
    broken: dict[Label, ResolvedTarget] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=Catalogue, repr=False)
    per_platform: bool = False

    @property
    def nodes(self) -> list[ResolvedTarget]:
        """Sound and broken targets, for the graph."""
        return [*self.targets.values(), *self.broken.values()]

    def of(self, label: Label) -> ResolvedTarget:
        """One target. Raises KeyError if it does not exist."""
        return self.targets[label]

    def unwritten(
        self, rule_name: str, label: Label, values: Mapping[str, Any], target: Target | None
    ) -> ResolvedTarget:
        """A target that nobody wrote, in the place of `target`: a built-in rule with its defaults, but for `values`."""
        rule = self.catalogue.find(rule_name)
        assert rule is not None
        defaults = {name: rule.default(name, label) for name in rule.attributes}
        return ResolvedTarget(label, rule, {**defaults, **values}, {}, target=target)

    def closure(self, labels: Iterable[Label], attribute: str) -> dict[Label, ResolvedTarget]:
        """The targets of these labels, those that they name in an attribute, and so on. Raises KeyError."""
        found: dict[Label, ResolvedTarget] = {}
        waiting = list(labels)
        for label in waiting:
            if label not in found:
                found[label] = self.targets[label]
                waiting += found[label].deps.get(attribute) or ()
        return found

    def needed(self, labels: Iterable[Label]) -> set[Label]:
        """These and all that the targets with them name, and so on; also labels that no target has."""
        found: set[Label] = set()
        stack = list(labels)
        while stack:
            label = stack.pop()
            if label in found:
                continue
            found.add(label)
            target = self.targets.get(label)
            if target is not None:
                stack += [other for named in target.deps.values() for other in named]
        return found

    def labels(self, provides: str | None = None) -> list[Label]:
        """Labels of the targets in BUILD.yaml files, sorted; only those that provide this, if it is said."""
        return sorted(
            label
            for label, target in self.targets.items()
            if not target.implicit and (provides is None or target.provides == provides)
        )
