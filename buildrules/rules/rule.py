"""A rule, read and checked: every template names something, every default has its attribute's type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.rules import template, types
from buildrules.rules.attribute import LISTS, MAPS, Attribute
from buildrules.rules.language import FileBeside, RuleFile
from buildrules.workspace.labels import Label
from buildrules.workspace.suggest import did_you_mean
from buildrules.workspace.validation import validate

__all__ = ["MODEL_NAMES", "Rule", "build_rule"]

TARGET_NAMES = ("target.name", "target.package")
MODEL_NAMES = ("model.name", "model.version", "model.flavour", "model.basename", "model.served_name")
SERVER_NAMES = (*MODEL_NAMES, "code.name", "code.entry_script", "package.name", "package.package")
LAYOUT_NAMES = (
    "layout.model",
    "layout.model_path",
    "layout.model_root",
    "layout.model_dir",
    "layout.code",
    "models.last",
)
LIST_NAMES = {"models.names": "string_list"}


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
    provides: str = field(init=False)  # base, env, server, model, input, code, package or test
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
        self.labels = {name: one for name, one in self.attributes.items() if one.type in ("label", "labels")}
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
    read: Callable[[str], str | None] | None = None,
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
    file: RuleFile, node: Node, parent: Rule | None, read: Callable[[str], str | None] | None, problems: Problems
) -> dict[str, str]:
    """The texts of the files named as `source`: beside this rule, else beside the one it extends."""
    texts = dict(parent.texts) if parent else {}
    instead = file.without_code.files if file.without_code is not None else {}
    named: list[tuple[tuple[str, ...], str | None]] = []
    for key in ("files", "model_files"):
        named += [((key, path), content.source) for path, content in getattr(file, key).items()]
    for path, item in instead.items():
        named.append((("without_code", "files", path), item.source if isinstance(item, FileBeside) else None))
    for steps, source in named:
        found = read(source) if read is not None and source is not None else None
        if source is not None and found is not None:
            texts[source] = found
        elif source is not None and source not in texts:
            place = node.find((*steps, "source"))
            problems.add_error(place.error(f"there is no text '{source}' beside the rule's file"))
    return texts


def _check_defaults(rule: Rule, package: str, node: Node, problems: Problems) -> None:
    for name, attribute in rule.attributes.items():
        default = rule.default_nodes.get(name)
        if default is None or default.source is not node.source:
            continue  # an inherited default was checked with its own rule
        value = types.read(default, attribute, package, problems)
        if value is not None and attribute.type in ("string", "string_list", "string_map"):
            _check_names(value, default, TARGET_NAMES, {}, problems)


def _check_templates(rule: Rule, node: Node, problems: Problems) -> None:
    """Every name in a template must exist, and lists and maps must stand alone or in their place."""
    file = rule.file
    names = [*TARGET_NAMES, "venv", *rule.attributes]
    variants = _check_variants(rule, node, problems)
    names += variants
    if file.provides == "server":
        names += SERVER_NAMES
    full = [*names, *LAYOUT_NAMES, *LIST_NAMES] if file.provides == "server" else names
    kinds = LIST_NAMES | variants | {name: attribute.type for name, attribute in rule.attributes.items()}
    if file.layout is not None:
        _check_names(file.layout.model_dump(), node.find(("layout",)), names, kinds, problems)
    if file.python is not None:
        place = node.find(("python", "requirements"))
        _check_shape(file.python.requirements, place, LISTS, kinds, problems)
        _check_names(file.python.requirements, place, full, kinds, problems, splice=True)
    for index, layer in enumerate(file.layers):
        _check_names(layer.with_, node.find(("layers", index, "with")), full, kinds, problems, splice=True)
    if file.routes is not None:
        place = node.find(("routes",))
        routes = file.routes if isinstance(file.routes, str) else file.routes.model_dump()
        _check_shape(routes, place, ("routes",), kinds, problems)
        _check_names(routes, place, full, kinds, problems)
    if file.job is not None:
        for key, value in file.job.model_dump().items():
            _check_names(value, node.find(("job", key)), full, kinds, problems)
    if file.requires is not None:
        _check_names(file.requires.module, node.find(("requires", "module")), full, kinds, problems)
    _check_files(file, node, full, kinds, problems)
    _check_instead(file, node, names, full, kinds, problems)
    if file.image is not None:
        for key, value in file.image.model_dump().items():
            place = node.find(("image", key))
            if key in ("environment", "labels"):
                _check_shape(value, place, MAPS, kinds, problems)
            elif key in ("entrypoint", "cmd", "ports", "path"):
                _check_shape(value, place, LISTS, kinds, problems)
            _check_names(value, place, full, kinds, problems, splice=key in ("entrypoint", "cmd", "ports", "path"))


def _check_files(file: RuleFile, node: Node, names: list[str], kinds: Mapping[str, str], problems: Problems) -> None:
    for key in ("files", "model_files"):
        for path, content in getattr(file, key).items():
            place = node.find((key,))
            _check_text(path, place.keys.get(path, place), names, kinds, problems)
            parts = content.model_dump(by_alias=True, exclude_defaults=True, exclude={"source"})
            for part, value in parts.items():
                check = _check_data if part == "json" else _check_text
                check(value, place.find((path, part)), names, kinds, problems)


def _check_instead(
    file: RuleFile, node: Node, names: list[str], full: list[str], kinds: Mapping[str, str], problems: Problems
) -> None:
    if file.without_code is not None:
        _check_names(file.without_code.directory, node.find(("without_code", "directory")), names, kinds, problems)
        place = node.find(("without_code", "environment"))
        _check_names(file.without_code.environment, place, full, kinds, problems)


def _check_variants(rule: Rule, node: Node, problems: Problems) -> dict[str, str]:
    """The names that belong to choices, and their types."""
    names = [*TARGET_NAMES, "venv", *rule.attributes, *(SERVER_NAMES if rule.provides == "server" else ())]
    kinds: dict[str, str] = {name: attribute.type for name, attribute in rule.attributes.items()}
    found: dict[str, str] = {}
    for name, attribute in rule.attributes.items():
        for choice, values in attribute.variants.items():
            place = node.find(("attributes", name, "variants", choice))
            _check_names(values, place, names, kinds, problems)
            for key, value in values.items():
                kind = "string_list" if isinstance(value, list) else "string"
                if found.setdefault(f"{name}.{key}", kind) != kind:
                    problems.add_error(place.error(f"'{key}' is a list for one choice and a text for another"))
    return found


def _check_shape(value: Any, node: Node, wanted: tuple[str, ...], kinds: Mapping[str, str], problems: Problems) -> None:
    """A text in the place of a list or map must be the template of one attribute of that type."""
    if not isinstance(value, str):
        return
    name = value[1:-1] if value.startswith("{") and value.endswith("}") else ""
    if name not in kinds or kinds[name] not in wanted:
        what = "map" if wanted is MAPS else "map of routes" if "routes" in wanted else "list"
        problems.add_error(node.error(f"expected a {what}, or {{name}} of an attribute that is one, not '{value}'"))


def _check_text(value: str, node: Node, names: list[str], kinds: Mapping[str, str], problems: Problems) -> None:
    """A template of a text, which a list or map cannot be part of."""
    before = len(problems)
    _check_names(value, node, names, kinds, problems)
    for name, _ in template.names_in(value) if len(problems) == before else ():
        if kinds.get(name) in LISTS + MAPS:
            problems.add_error(node.error(f"'{{{name}}}' is a {kinds[name]}, which cannot stand in a text"))
            return


def _check_data(value: Any, node: Node, names: list[str], kinds: Mapping[str, str], problems: Problems) -> None:
    """Data with templates in its keys and values."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, node.keys.get(key, node) if node.kind == "map" else node, names, kinds, problems)
            _check_data(item, node.find((key,)), names, kinds, problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_data(item, node.find((index,)), names, kinds, problems)
    else:
        _check_names(value, node, names, kinds, problems)


def _check_names(
    value: Any,
    node: Node,
    names: "list[str] | tuple[str, ...]",
    kinds: Mapping[str, str],
    problems: Problems,
    *,
    splice: bool = False,
) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_names(item, node.find((key,)), names, kinds, problems, splice=splice)
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_names(item, node.find((index,)), names, kinds, problems, splice=splice)
        return
    if not isinstance(value, str):
        return
    try:
        found = list(template.names_in(value))
    except template.TemplateError as error:
        problems.add_error(node.error(str(error), "write {{ and }} for braces"))
        return
    for name, alone in found:
        if name not in names:
            hint = did_you_mean(name, names, what="names that exist here", limit=20)
            problems.add_error(node.error(f"unknown name '{{{name}}}'", hint))
        elif kinds.get(name) in LISTS + MAPS and not alone:
            problems.add_error(
                LoadError(f"'{{{name}}}' is a {kinds[name]} and must stand alone", position=node.position)
            )
