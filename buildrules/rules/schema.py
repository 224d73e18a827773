"""A JSON schema for BUILD.yaml, from the settings model and the rules there are, for completion in editors.

Draft 2020-12. It knows a little less than the loader: labels are not looked up, and a text that YAML readers disagree
about is only refused by the loader.
"""

import ast
import inspect
import itertools
from typing import Any

from pydantic import BaseModel

from buildrules.rules.attribute import Attribute
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.language import RuleFile
from buildrules.rules.rule import Rule
from buildrules.rules.selects import SELECT
from buildrules.rules.types import NAME
from buildrules.workspace import templates
from buildrules.workspace.validation import Strict

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
_LABEL = r"^(//|:)"
_TEXT: dict[str, Any] = {"type": ["string", "integer"]}
_PATH: dict[str, Any] = {"type": "string", "pattern": r"^(?!/|~)"}
_VISIBILITY: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_SELECT = {"$ref": "#/$defs/select"}
_TAGS: dict[str, Any] = {
    "type": "array",
    "items": _TEXT,
    "description": "Words to choose targets by, with --tag and in queries.",
}
_PORT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 65535}
_ROUTE: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(/|$)"},
        {
            "type": "object",
            "properties": {"port": _PORT, "path": {"type": "string"}},
            "required": ["port", "path"],
            "additionalProperties": False,
        },
    ]
}
_TYPES: dict[str, dict[str, Any]] = {
    "string": _TEXT,
    "name": {**_TEXT, "pattern": f"^{NAME}$"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "label": {"type": "string", "pattern": _LABEL},
    "labels": {"type": ["string", "array"], "pattern": _LABEL, "items": {"type": "string", "pattern": _LABEL}},
    "path": _PATH,
    "paths": {"type": "array", "items": _PATH},
    "globs": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "string_list": {"type": "array", "items": _TEXT},
    "requirements": {"type": "array", "items": {"type": "string"}},
    "string_map": {"type": "object", "additionalProperties": _TEXT},
    "path_map": {"type": "object", "propertyNames": {"pattern": "^/"}, "additionalProperties": _PATH},
    "ports": {"anyOf": [_PORT, {"type": "array", "items": _PORT}]},
    "routes": {
        "type": "object",
        "properties": {"liveness": _ROUTE, "readiness": _ROUTE, "scoring": _ROUTE},
        "additionalProperties": False,
    },
    "name_version": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"name": _TEXT, "version": _TEXT, "registry": _TEXT},
                "required": ["name"],
            },
        ]
    },
    "map": {"type": "object"},
    "integers": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
    "json": {},
    "record": {"type": "object"},
    "records": {"type": "array"},
}


def build_schema(catalogue: Catalogue) -> dict[str, Any]:
    """The schema of a BUILD.yaml, the rules of the workspace's `rules/` included. Plain JSON types."""
    from buildrules.workspace.settings import Settings

    settings = _section(Settings)
    definitions: dict[str, Any] = settings.pop("$defs", {})
    definitions["workspace"] = settings
    definitions["for_each"] = _for_each()
    definitions["select"] = {
        "type": "object",
        "properties": {
            SELECT: {
                "type": "object",
                "description": "Values by platform or configuration; the first case that holds counts, else `default`.",
            }
        },
        "required": [SELECT],
        "additionalProperties": False,
    }
    choices, needs, defaults = [], [], {}
    for rule in catalogue.all():
        key = "rule_" + rule.reference.strip("/").replace("/", "_").replace(":", "_")
        definitions[key] = _target(rule)
        same = {"properties": {"rule": {"const": rule.reference}}, "required": ["rule"]}
        choices.append((rule, {"if": same, "then": {"$ref": f"#/$defs/{key}"}}))
        required = [name for name, attribute in rule.attributes.items() if attribute.required]
        groups = [{"oneOf": [{"required": [name]} for name in group]} for group in rule.file.exactly_one]
        needed = {**({"required": required} if required else {}), **({"allOf": groups} if groups else {})}
        needs += [{"if": same, "then": needed}] if needed else []
        attributes = {name: {"$ref": f"#/$defs/{key}/properties/{name}"} for name in definitions[key]["properties"]}
        del attributes["rule"], attributes["description"], attributes["visibility"]
        defaults[rule.reference] = {"type": "object", "properties": attributes, "additionalProperties": False}
    definitions["target"] = {
        "type": "object",
        "description": "A target: its rule, and what that asks for.",
        "required": ["rule"],
        "properties": {
            "rule": {
                "description": "The kind of target.",
                "anyOf": [{"const": rule.reference, "description": rule.file.summary} for rule, _ in choices]
                + [{"type": "string", "pattern": _LABEL, "description": "A rule file of this workspace, by label."}],
            }
        },
        "allOf": [choice for _, choice in choices],
    }
    return {
        "$schema": DIALECT,
        "title": "BUILD.yaml",
        "type": "object",
        "properties": {
            "workspace": {"$ref": "#/$defs/workspace"},
            "targets": {
                "type": "object",
                "description": "The targets of this package, by name.",
                "propertyNames": {"pattern": _NAME, "not": {"const": "all"}},
                "additionalProperties": {"$ref": "#/$defs/target"},
            },
            "for_each": {
                "description": "Targets for each of many folders.",
                "anyOf": [{"$ref": "#/$defs/for_each"}, {"type": "array", "items": {"$ref": "#/$defs/for_each"}}],
            },
            "package_defaults": {
                "type": "object",
                "description": "Attributes of this package's targets that say nothing else, by rule.",
                "properties": defaults,
                "additionalProperties": {"type": "object"},
            },
            "default_visibility": {**_VISIBILITY, "description": "Visibility of targets that have none of their own."},
        },
        "additionalProperties": False,
        "if": {"required": ["package_defaults"]},
        "else": {"properties": {"targets": {"additionalProperties": {"allOf": needs}}}},
        "$defs": definitions,
    }


def _for_each() -> dict[str, Any]:
    globs = _TYPES["globs"]
    override = {"type": "object", "additionalProperties": {"type": ["object", "null"]}}
    shapes = {
        "folders": globs,
        "exclude": globs,
        "targets": {"type": "object", "additionalProperties": {"$ref": "#/$defs/target"}},
        "override": {"type": "object", "additionalProperties": override},
        "override_file": {"type": "string"},
    }
    return {
        "type": "object",
        "properties": {name: {**shapes[name], "description": text} for name, text in templates.KEYS.items()},
        "required": ["folders", "targets"],
        "additionalProperties": False,
    }


def rule_schema() -> dict[str, Any]:
    """The schema of a rule file."""
    schema = _section(RuleFile)
    # provides may be left out by a rule that extends another
    schema["required"] = ["rule"]
    schema["anyOf"] = [{"required": ["provides"]}, {"required": ["extends"]}]
    attribute = schema["$defs"]["Attribute"]
    attribute["required"] = []
    attribute["properties"]["provider"] = {
        "anyOf": [attribute["properties"]["provider"], {"type": "string"}],
        "description": attribute["properties"]["provider"].get("description", ""),
    }
    return {"$schema": DIALECT, **schema}


def docs_of(model: type[BaseModel]) -> dict[str, str]:
    """What the keys of a section are for, by name."""
    return {key: str(shown["description"]) for key, shown in _section(model)["properties"].items()}


def _section(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a section, each key with the text below it in our source; read here, where it is needed."""
    schema = model.model_json_schema(by_alias=True)
    for one in Strict.__subclasses__():
        found = schema if one is model else schema.get("$defs", {}).get(one.__name__)
        (definition,) = ast.parse(inspect.getsource(one)).body if found is not None else (ast.Pass(),)
        for line, text in itertools.pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
            if isinstance(line, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                key = ast.unparse(line.target)
                shown = found["properties"][one.model_fields[key].alias or key]
                shown["description"] = inspect.cleandoc(str(text.value.value))
                ordered = sorted(shown.items())
                shown.clear()
                shown.update(ordered)
    return schema


def _target(rule: Rule) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "rule": {"const": rule.reference},
        "description": {"type": "string", "description": "What this target is, for people."},
        "visibility": {
            **_VISIBILITY,
            "description": "Packages that may use this target, as patterns. Everybody if left out.",
        },
        "tags": _TAGS,
    }
    for name, attribute in rule.attributes.items():
        schema = _attribute(attribute)
        shown = {key: schema.pop(key) for key in ("description", "default", "examples") if key in schema}
        own = [schema, _TAGS] if name == "tags" else [schema]
        properties[name] = {**shown, "anyOf": [*own, _SELECT]} if schema else shown
    return {
        "type": "object",
        "description": rule.file.summary,
        "properties": properties,
        "required": ["rule"],
        "additionalProperties": False,
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    schema = dict(_TYPES[attribute.type])
    for inner in ("items", "additionalProperties"):
        if attribute.type not in ("map", "json") and isinstance(schema.get(inner), dict):
            schema[inner] = {"anyOf": [schema[inner], _SELECT]}
    if attribute.fields:
        schema = _record(attribute) if attribute.type == "record" else {**schema, "items": _record(attribute)}
    if attribute.switch:
        schema = {"anyOf": [{"type": "boolean"}, {**schema, "minProperties": 1}]}
    if attribute.rule_name:
        schema.pop("pattern", None)
    if attribute.choices is not None:
        schema = {"enum": attribute.choices}
    if attribute.minimum is not None:
        schema["minimum"] = attribute.minimum
    if attribute.maximum is not None:
        schema["maximum"] = attribute.maximum
    if attribute.doc:
        schema["description"] = attribute.doc
    if attribute.default is not None:
        schema["default"] = attribute.default
    if attribute.example is not None:
        schema["examples"] = [attribute.example]
    return schema


def _record(attribute: Attribute) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _attribute(field) for name, field in attribute.fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, field in attribute.fields.items() if field.required]
    return {**schema, "required": required} if required else schema
