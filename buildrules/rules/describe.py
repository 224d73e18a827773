"""Rules as a reader sees them: data for lists and help, and the generated reference pages."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.rules.attribute import PROVIDERS, Attribute
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.rule import Rule

_BAR = "\\|"
_COMMON = (
    ("description", "string", "What the target is, for people."),
    ("visibility", "list of patterns", "Packages that may use the target; everybody if left out."),
    ("tags", "string list", "Words to choose targets by: `--tag slow`, `--tag -slow`."),
)


def list_rules(catalogue: Catalogue) -> list[Rule]:
    """All rules, ordered as an image is built up: base, env, server, model, code, package."""
    return sorted(catalogue.all(), key=lambda rule: (PROVIDERS.index(rule.provides), not rule.builtin, rule.reference))


def flat(attributes: Mapping[str, Attribute], prefix: str = "") -> Iterator[tuple[str, Attribute]]:
    """The attributes with the fields of records behind them, by names such as `requests[].method`."""
    for key, item in attributes.items():
        name = prefix + key
        yield name, item
        yield from flat(item.fields, f"{name}[]." if item.type == "records" else f"{name}.")


def type_text(attribute: Attribute) -> str:
    """An attribute's type for people: "label (env or base)"."""
    kind = attribute.type.replace("_", " ")
    if attribute.provider:
        kind += f" ({' or '.join(attribute.provider)}{', or a rule' if attribute.rule_name else ''})"
    return kind


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


def _section(rule: Rule) -> list[str]:
    out = [f"## {rule.reference}", "", f"Provides `{rule.provides}`. {rule.file.summary}", ""]
    if rule.file.doc.strip():
        out += [rule.file.doc.strip(), ""]
    out += ["| attribute | type | default | meaning |", "|---|---|---|---|"]
    out += [row(name, item) for name, item in flat(rule.attributes)]
    notes = [f"- {note}" for note in _notes(rule)]
    return [*out, "", *notes, *([""] if notes else []), "```yaml", example(rule), "```", ""]


def row(name: str, item: Attribute) -> str:
    """An attribute as a row of a table."""
    default = f"`{yaml_text(item.default)}`" if item.default is not None else ""
    doc = item.doc + (f" One of {', '.join(f'`{choice}`' for choice in item.choices)}." if item.choices else "")
    cells = (f"`{name}`", type_text(item), "**required**" if item.required else default, doc)
    return f"| {' | '.join(' '.join(cell.replace('|', _BAR).splitlines()) for cell in cells)} |"


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


def example(rule: Rule) -> str:
    """A target with what is required and what has an example, but only one attribute of an exclusive group."""
    left_out = {name for group in rule.file.exactly_one + rule.file.at_most_one for name in group[1:]}
    shown = {name for name in rule.file.attributes if name not in left_out}
    left_out |= {name for name, others in rule.file.only_with.items() if not shown.intersection(others)}
    lines = ["targets:", f"  my_{rule.provides}:", f"    rule: {yaml_text(rule.reference)}"]
    for name, attribute in rule.attributes.items():
        if attribute.example is not None and name not in left_out:
            lines.append(f"    {name}: {yaml_text(attribute.example)}")
    return "\n".join(lines)


def yaml_text(value: Any) -> str:
    """A value on one line, quoted where the loader wants it."""
    if isinstance(value, str):
        return value if _plain(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(yaml_text(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_text(key)}: {yaml_text(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _plain(text: str) -> bool:
    """Whether a text can stand without quotes anywhere, even in a list on one line."""
    if not re.fullmatch(r"[A-Za-z/.][A-Za-z0-9_./=+-]*(?::[A-Za-z0-9_./=+-]+)*", text):
        return False
    return text.lower() not in ("true", "false", "null", "yes", "no", "on", "off", ".", "..")
