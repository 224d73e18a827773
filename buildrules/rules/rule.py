"""A rule, read and checked: every template names something, every default has its attribute's type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.rules import template, types
from buildrules.rules.attribute import LISTS, MAPS, Attribute
from buildrules.rules.language import FileBeside, GeneratedFile, RuleFile
from buildrules.workspace.labels import Label
from buildrules.workspace.suggest import did_you_mean
from buildrules.workspace.validation import validate

TARGET_NAMES = ("target.name", "target.package")
MODEL_NAMES = ("model.name", "model.version", "model.flavour", "model.basename", "model.served_name")
SERVER_NAMES = (*MODEL_NAMES, "code.name", "code.entry_script", "package.name", "package.package")
LAYOUT_NAMES = tuple(f"layout.{name}" for name in ("model", "model_path", "model_root", "model_dir", "code"))
LIST_NAMES = {"models.names": "string_list"}
PLACES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("python", "requirements"): LISTS,
    ("layers",): (),
    ("requires", "module"): (),
    ("image", "environment"): MAPS,
    ("image", "path"): LISTS,
    ("image", "entrypoint"): LISTS,
    ("image", "cmd"): LISTS,
    ("image", "ports"): LISTS,
    ("image", "user"): (),
    ("image", "working_dir"): (),
    ("image", "stop_signal"): (),
    ("image", "labels"): MAPS,
    ("routes",): ("routes",),
    ("job",): (),
    ("without_code", "environment"): (),
}
"""Where a rule file has templates, and the types of the attributes that may stand for all that is in that place."""


@dataclass(slots=True)
class Rule:
    """A kind of target.

    `reference` is what a BUILD.yaml writes for it: a built-in's name, or a label. `implementation` is the
    built-in whose planning it uses: itself for a built-in, the end of the chain of `extends` for another, None if it
    stands alone. `label` stands for the rule used with its defaults (`server: azureml_online`).
    """

    name: str
    reference: str
    file: RuleFile
    label: Label
    implementation: str | None
    builtin: bool
    path: str
    data: dict[str, Any] = field(repr=False)  # the merged file, for rules that extend this one
    default_nodes: dict[str, Node] = field(repr=False)
    texts: dict[str, str] = field(repr=False)  # of files beside the rule's own, by name
    provides: str = field(init=False)  # base, env, server, model, input, code, library, package or test
    attributes: dict[str, Attribute] = field(init=False)  # what a target may say, in the order of the file
    labels: dict[str, Attribute] = field(init=False, repr=False)  # those that name targets
    required: list[str] = field(init=False, repr=False)
    groups: list[tuple[list[str], bool]] = field(init=False, repr=False)  # only one of them; whether one is needed
    fixed: dict[str, Any] = field(default_factory=dict, repr=False)  # defaults that are the same for every target
    varying: list[str] = field(default_factory=list, repr=False)  # attributes with another default
    variants: dict[str, dict[str, dict[str, str | list[str]]]] = field(init=False, repr=False)
    checked: set[str] = field(default_factory=set, repr=False)  # requirements that were found to be some

    def __post_init__(self) -> None:
        self.provides = self.file.provides
        self.attributes = self.file.attributes
        labels = ("label", "labels")
        self.labels = {name: one for name, one in self.attributes.items() if one.type in labels or one.provider}
        self.required = [name for name, one in self.attributes.items() if one.required]
        self.variants = {name: one.variants for name, one in self.attributes.items() if one.variants}
        self.groups = [(group, True) for group in self.file.exactly_one]
        self.groups += [(group, False) for group in self.file.at_most_one]

    def beside(self, files: Mapping[str, str | FileBeside]) -> dict[str, str]:
        """The texts of `files`, those read that stand in files of their own."""
        return {name: text if isinstance(text, str) else self.texts[text.source] for name, text in files.items()}

    def default(self, name: str, label: Label) -> Any:
        """The value of an attribute that the target `label` leaves out; None if there is no default."""
        node = self.default_nodes.get(name)
        if node is None:
            return None
        value = types.read(node, self.attributes[name], label.package, Problems())
        scope = {"target.name": label.name, "target.package": label.package}
        if isinstance(value, str):
            return template.substitute(value, scope)
        if isinstance(value, list):
            return template.substitute_list(value, scope)
        return template.substitute_map(value, scope) if self.attributes[name].type == "string_map" else value


def build_rule(
    node: Node,
    *,
    reference: str,
    label: Label,
    builtin: bool,
    parent: Rule | None,
    problems: Problems,
    read: Callable[[str], str | None],
) -> Rule | None:
    """Check the document of a rule file. Errors are noted in `problems`; then None comes back.

    `read` gives the text of a file beside the rule's own, None where there is none.
    """
    before = len(problems)
    data = node.value(problems) if node.kind == "map" else {}
    if parent is not None and isinstance(data, dict):
        data = _merge(parent.data, data)
    file = validate(RuleFile, node, problems, "rule", data=data)
    if file is None or len(problems) > before:
        return None
    default_nodes = dict(parent.default_nodes) if parent else {}
    for name in file.attributes:
        found = node.find(("attributes", name))
        if found.kind == "map" and "default" in found.entries and name in node.find(("attributes",)).entries:
            if not found.entries["default"].is_null:
                default_nodes[name] = found.entries["default"]
            else:
                default_nodes.pop(name, None)
    implementation = label.name if builtin else (parent.implementation if parent else None)
    texts = _texts(file, node, parent, read, problems)
    rule = Rule(
        file.rule, reference, file, label, implementation, builtin, node.source.path, data, default_nodes, texts
    )
    _check_defaults(rule, label.package, node, problems)
    _check_templates(rule, node, problems)
    if implementation is None and file.provides != "server" and not file.layers:
        hint = "extend a built-in rule (`extends: python_env`), or contribute `layers`"
        problems.add_error(node.error(f"rule '{file.rule}' provides '{file.provides}' and makes nothing", hint))
    if len(problems) > before:
        return None
    for name in rule.attributes:
        first, second = rule.default(name, Label("a", "b")), rule.default(name, Label("c", "d"))
        if first == second:
            rule.fixed[name] = first
        else:
            rule.varying.append(name)
    return rule


def _merge(below: Any, above: Any) -> Any:
    """`above` laid over `below`: maps are merged, everything else is replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = {key: _merge(value, above[key]) if key in above else value for key, value in below.items()}
    merged.update({key: value for key, value in above.items() if key not in below})
    return merged


def _texts(
    file: RuleFile, node: Node, parent: Rule | None, read: Callable[[str], str | None], problems: Problems
) -> dict[str, str]:
    """The texts of the files named as `source`: beside this rule, else beside the one it extends."""
    texts = dict(parent.texts) if parent else {}
    named: list[tuple[tuple[str, ...], FileBeside | GeneratedFile | str]] = []
    for key in ("files", "model_files"):
        named += [((key, path), content) for path, content in getattr(file, key).items()]
    if file.without_code is not None:
        named += [(("without_code", "files", path), item) for path, item in file.without_code.files.items()]
    for steps, content in named:
        if isinstance(content, str) or (source := content.source) is None:
            continue
        found = read(source)
        if found is not None:
            texts[source] = found
        elif source not in texts:
            place = node.find((*steps, "source"))
            problems.add_error(place.error(f"there is no text '{source}' beside the rule's file"))
    return texts


def _check_defaults(rule: Rule, package: str, node: Node, problems: Problems) -> None:
    check = _Templates(TARGET_NAMES, {}, problems)
    for name, attribute in rule.attributes.items():
        default = rule.default_nodes.get(name)
        if default is None or default.source is not node.source:
            continue  # an inherited default was checked with its own rule
        value = types.read(default, attribute, package, problems)
        if value is not None and attribute.type in ("string", "string_list", "string_map"):
            check.names_in(value, default)


def _check_templates(rule: Rule, node: Node, problems: Problems) -> None:
    """Every name in a template must exist, and lists and maps must stand alone or in their place."""
    server = rule.provides == "server"
    kinds = {name: attribute.type for name, attribute in rule.attributes.items()}
    names = [*TARGET_NAMES, "venv", *rule.attributes, *(SERVER_NAMES if server else ())]
    variants = _variants(rule, node, _Templates(names, kinds, problems))
    names += variants
    before_layout = _Templates(names, {**kinds, **variants}, problems)
    before_layout.names_in(_at(rule.data, ("layout",)), node.find(("layout",)))
    directory = ("without_code", "directory")
    before_layout.names_in(_at(rule.data, directory), node.find(directory))
    full = [*names, *LAYOUT_NAMES, "models.last", *LIST_NAMES] if server else names
    check = _Templates(full, {**kinds, **variants, **LIST_NAMES}, problems)
    for steps, wanted in PLACES.items():
        value, place = _at(rule.data, steps), node.find(steps)
        check.shape(value, place, wanted)
        check.names_in(value, place)
    for key in ("files", "model_files"):
        place = node.find((key,))
        for path, content in (rule.data.get(key) or {}).items():
            check.names_in(path, place.keys.get(path, place), text=True)
            parts = content if isinstance(content, dict) else {"text": content}
            for part, value in parts.items():
                if part != "source":
                    check.names_in(value, place.find((path, part)), text=part != "json", keys=part == "json")


def _at(data: Any, steps: tuple[str, ...]) -> Any:
    """What a rule file says at a path of keys; None where it says nothing."""
    for step in steps:
        data = data.get(step) if isinstance(data, dict) else None
    return data


def _variants(rule: Rule, node: Node, check: "_Templates") -> dict[str, str]:
    """The names that belong to choices, and their types."""
    found: dict[str, str] = {}
    for name, attribute in rule.attributes.items():
        for choice, values in attribute.variants.items():
            place = node.find(("attributes", name, "variants", choice))
            check.names_in(values, place)
            for key, value in values.items():
                kind = "string_list" if isinstance(value, list) else "string"
                if found.setdefault(f"{name}.{key}", kind) != kind:
                    check.problems.add_error(place.error(f"'{key}' is a list for one choice and a text for another"))
    return found


@dataclass(slots=True)
class _Templates:
    """Checks templates that may name `names`, of which `kinds` are attributes' types."""

    names: Sequence[str]
    kinds: Mapping[str, str]
    problems: Problems

    def shape(self, value: Any, node: Node, wanted: tuple[str, ...]) -> None:
        """A text in the place of a list or map must be the template of one attribute of that type."""
        if not wanted or not isinstance(value, str):
            return
        name = value[1:-1] if value.startswith("{") and value.endswith("}") else ""
        if self.kinds.get(name) not in wanted:
            what = "map" if wanted is MAPS else "map of routes" if "routes" in wanted else "list"
            self.problems.add_error(
                node.error(f"expected a {what}, or {{name}} of an attribute that is one, not '{value}'")
            )

    def names_in(self, value: Any, node: Node, *, text: bool = False, keys: bool = False) -> None:
        """Check the templates in a value: of a `text` no list or map can be part, with `keys` those of maps are too."""
        if isinstance(value, dict):
            for key, item in value.items():
                if keys:
                    self.names_in(key, node.keys.get(key, node), text=True)
                self.names_in(item, node.find((key,)), text=text, keys=keys)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.names_in(item, node.find((index,)), text=text, keys=keys)
        elif isinstance(value, str):
            self._names(value, node, text=text)

    def _names(self, value: str, node: Node, *, text: bool) -> None:
        try:
            found = list(template.names_in(value))
        except template.TemplateError as error:
            self.problems.add_error(node.error(str(error), "write {{ and }} for braces"))
            return
        for name, alone in found:
            kind = self.kinds.get(name)
            if name not in self.names:
                hint = did_you_mean(name, self.names, what="names that exist here", limit=20)
                self.problems.add_error(node.error(f"unknown name '{{{name}}}'", hint))
            elif kind in LISTS + MAPS and (text or not alone):
                why = ", which cannot stand in a text" if text else " and must stand alone"
                self.problems.add_error(node.error(f"'{{{name}}}' is a {kind}{why}"))
