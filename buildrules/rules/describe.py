"""Rules as a reader sees them: data for lists and help, and the generated reference pages."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from buildrules.rules.attribute import PROVIDERS, Attribute
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.rule import Rule

__all__ = ["AttributeHelp", "RuleHelp", "describe", "flat", "list_rules", "reference"]

_COMMON = (
    ("description", "string", "What the target is, for people."),
    ("visibility", "list of patterns", "Packages that may use the target; everybody if left out."),
)


@dataclass(frozen=True, slots=True)
class AttributeHelp:
    """One attribute. `type` is readable: "label of a env or base"; `default` is YAML, None if there is none."""

    name: str
    type: str
    required: bool
    default: str | None
    doc: str
    choices: tuple[str, ...]
    example: str | None
    fields: "tuple[AttributeHelp, ...]" = ()  # of a record


@dataclass(frozen=True, slots=True)
class RuleHelp:
    """One rule. `example` is a target as a BUILD.yaml would hold it."""

    reference: str
    provides: str
    summary: str
    doc: str
    builtin: bool
    extends: str | None
    attributes: tuple[AttributeHelp, ...]
    notes: tuple[str, ...]
    example: str


def list_rules(catalogue: Catalogue) -> list[RuleHelp]:
    """All rules, ordered as an image is built up: base, env, server, model, code, package."""
    rules = sorted(catalogue.all(), key=lambda rule: (PROVIDERS.index(rule.provides), not rule.builtin, rule.reference))
    return [describe(rule) for rule in rules]


def describe(rule: Rule) -> RuleHelp:
    """Everything there is to say about one rule."""
    return RuleHelp(
        reference=rule.reference,
        provides=rule.provides,
        summary=rule.file.summary,
        doc=rule.file.doc.strip(),
        builtin=rule.builtin,
        extends=rule.file.extends,
        attributes=tuple(_attribute(name, attribute) for name, attribute in rule.attributes.items()),
        notes=tuple(_notes(rule)),
        example=_example(rule),
    )


def flat(attributes: Iterable[AttributeHelp], prefix: str = "") -> Iterator[tuple[str, AttributeHelp]]:
    """The attributes with the fields of records behind them, by names such as `requests[].method`."""
    for item in attributes:
        name = prefix + item.name
        yield name, item
        yield from flat(item.fields, f"{name}[]." if item.type == "records" else f"{name}.")


def reference(catalogue: Catalogue) -> str:
    """The reference page of all built-in rules, in Markdown."""
    out = [
        "# Rules",
        "",
        "Generated from the rule files; `buildrules rules` prints the list and `buildrules help-rule NAME` one rule.",
        "",
        "Every target may also have:",
        "",
        "| attribute | type | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {doc} |" for name, kind, doc in _COMMON),
        "",
    ]
    for rule in list_rules(catalogue):
        if rule.builtin:
            out += _section(rule)
    return "\n".join(out).rstrip() + "\n"


def _section(rule: RuleHelp) -> list[str]:
    out = [f"## {rule.reference}", "", f"Provides `{rule.provides}`. {rule.summary}", ""]
    if rule.doc:
        out += [rule.doc, ""]
    out += ["| attribute | type | default | meaning |", "|---|---|---|---|"]
    for name, item in flat(rule.attributes):
        default = "**required**" if item.required else f"`{item.default}`" if item.default is not None else ""
        doc = item.doc + (f" One of {', '.join(f'`{choice}`' for choice in item.choices)}." if item.choices else "")
        out.append(f"| `{name}` | {item.type} | {_cell(default)} | {_cell(doc)} |")
    out += ["", *(f"- {note}" for note in rule.notes)]
    return [*out, *([""] if rule.notes else []), "```yaml", rule.example, "```", ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _attribute(name: str, attribute: Attribute) -> AttributeHelp:
    kind = attribute.type.replace("_", " ")
    if attribute.provider:
        kind += f" ({' or '.join(attribute.provider)}{', or a rule' if attribute.rule_name else ''})"
    return AttributeHelp(
        name=name,
        type=kind,
        required=attribute.required,
        default=None if attribute.default is None else _yaml(attribute.default),
        doc=attribute.doc,
        choices=tuple(attribute.choices or ()),
        example=None if attribute.example is None else _yaml(attribute.example),
        fields=tuple(_attribute(field, spec) for field, spec in attribute.fields.items()),
    )


def _notes(rule: Rule) -> list[str]:
    notes = [f"Exactly one of {_listed(group)} is given." for group in rule.file.exactly_one]
    notes += [f"At most one of {_listed(group)} is given." for group in rule.file.at_most_one]
    for name, others in rule.file.only_with.items():
        notes.append(f"`{name}` goes with {' or '.join(f'`{other}`' for other in others)}.")
    requires = rule.file.requires
    if rule.provides == "server" and requires is not None:
        several = ", one or several" if requires.models == "several" else ""
        notes.append(f"Model: {requires.model}{several}. Code: {requires.code}.")
    return notes


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"


def _example(rule: Rule) -> str:
    """A target with what is required and what has an example, but only one attribute of an exclusive group."""
    left_out = {name for group in rule.file.exactly_one + rule.file.at_most_one for name in group[1:]}
    shown = {name for name in rule.file.attributes if name not in left_out}
    left_out |= {name for name, others in rule.file.only_with.items() if not shown.intersection(others)}
    lines = ["targets:", f"  my_{rule.provides}:", f"    rule: {_yaml(rule.reference)}"]
    for name, attribute in rule.attributes.items():
        if attribute.example is not None and name not in left_out:
            lines.append(f"    {name}: {_yaml(attribute.example)}")
    return "\n".join(lines)


def _yaml(value: Any) -> str:
    """A value on one line, quoted where the loader wants it."""
    if isinstance(value, str):
        return value if _plain(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _plain(text: str) -> bool:
    """Whether a text can stand without quotes anywhere, even in a list on one line."""
    import re

    if not re.fullmatch(r"[A-Za-z/.][A-Za-z0-9_./=+-]*(?::[A-Za-z0-9_./=+-]+)*", text):
        return False
    return text.lower() not in ("true", "false", "null", "yes", "no", "on", "off", ".", "..")
