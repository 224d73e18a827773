"""Reading attribute values: from a node of a BUILD.yaml to a plain value of the attribute's type.

| type | value |
|---|---|
| string, name, integer, number, boolean | str, str, int, float, bool |
| label, labels | Label, list of Label |
| path, paths | workspace-relative path ("" is the root), list of them |
| globs | list of globs below the package's directory; labels among them are deps (`rules.resolve`) |
| string_list, requirements | list of str |
| string_map | dict of str to str |
| path_map | dict of absolute path in the image to workspace-relative path |
| ports | list of int |
| routes | dict of liveness, readiness, scoring to {"port": int, "path": str} |
| name_version | {"name", "version", "registry"}: str or None, of NAME[:VERSION], REGISTRY/NAME[:VERSION] or a map |
| map | dict of JSON types |
| json | JSON types |
| integers | list of int |
| record, records | dict of the fields that were given or have a default, by name; list of them; False of a switch |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from buildrules.credentials.secret_names import secret_in_query
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.rules.attribute import Attribute
from buildrules.rules.paths import image_path, workspace_path
from buildrules.workspace.globs import check_pattern, is_glob
from buildrules.workspace.labels import Label, parse_label
from buildrules.workspace.suggest import did_you_mean


@dataclass(slots=True)
class _At:
    """What a reader needs besides the node."""

    attribute: Attribute
    package: str
    problems: Problems


Reader = Callable[[Node, _At], Any]

_ASSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_NAME_KEYS = ("name", "version", "registry")
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9_.-]*)*", re.ASCII)
_LIMIT = r"(?:(?:[=!<>]=|[<>])[0-9]+(?:\.[0-9]+)*|~=[0-9]+(?:\.[0-9]+)+)"
_PATH = re.compile(r"\.{1,2}(?:[/\[].*)?|file:[^@]*|(?!-)[^@:;]*/[^@:]*")
PLAIN_REQUIREMENT = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:{_LIMIT}(?:,{_LIMIT})*)?", re.ASCII)
"""Names, with versions of digits and dots: requirements (PEP 508) for which no parser has to be imported."""
NAME = "[A-Za-z0-9_][A-Za-z0-9_-]{0,99}"
"""Names that become part of a file's: those of locks have `-` for what stands between dots and slashes."""
ROUTE_NAMES = ("liveness", "readiness", "scoring")


def read(node: Node, attribute: Attribute, package: str, problems: Problems) -> Any:
    """The value of `node`, or None if something is wrong with it, which is then noted in `problems`.

    `package` is the workspace-relative directory that paths, globs and labels are relative to.
    """
    before = len(problems)
    try:
        if node.is_null and attribute.type != "json":
            raise node.error("there is no value here", "write one, or leave the attribute out")
        value = _READERS[attribute.type](node, _At(attribute, package, problems))
    except LoadError as error:
        problems.add_error(error, node.position)
        return None
    return value if len(problems) == before else None


def _string(node: Node, at: _At) -> str:
    text = _text(node, at)
    if text in at.attribute.refused:
        raise node.error(f"'{text}' is not possible here: {at.attribute.refused[text]}")
    if at.attribute.choices is not None and text not in at.attribute.choices:
        hint = did_you_mean(text, at.attribute.choices, what="choices")
        raise node.error(f"'{text}' is not one of the choices", hint)
    return text


def _name(node: Node, at: _At) -> str:
    text = _string(node, at)
    if not re.fullmatch(NAME, text, re.ASCII):
        raise node.error(f"{text!r} is not a name", "use letters, digits, `_` and `-`, not `-` first, 100 at most")
    return text


def _number(node: Node, at: _At) -> int | float:
    value = node.integer() if at.attribute.type == "integer" else node.number()
    if at.attribute.minimum is not None and value < at.attribute.minimum:
        raise node.error(f"{value} is too small", f"the smallest value is {at.attribute.minimum}")
    if at.attribute.maximum is not None and value > at.attribute.maximum:
        raise node.error(f"{value} is too large", f"the largest value is {at.attribute.maximum}")
    return value


def _label(node: Node, at: _At) -> Label | str:
    text = node.string("a label")
    if at.attribute.rule_name and not text.startswith((":", "//")):
        return text  # the name of a rule; `resolve` looks it up
    return parse_label(text, at.package)


def _path(node: Node, at: _At) -> str:
    text = node.string("a path")
    if is_glob(text):
        raise node.error(f"'{text}' is a glob; here one path is expected")
    return workspace_path(text, at.package)


def _glob(node: Node, at: _At) -> str | Label:
    text = node.string("a glob")
    if at.attribute.provider and text.startswith((":", "//")):
        return parse_label(text, at.package)
    if text.startswith((":", "//")):
        raise node.error(f"'{text}' is a label; here only files and globs are taken, no file groups")
    check_pattern(text)
    return text


def _requirement(node: Node, _at: _At) -> str:
    text = node.string("a requirement")
    if PLAIN_REQUIREMENT.fullmatch(text):
        return text
    if _PATH.fullmatch(text):
        return text  # a project folder, wheel or source archive of the workspace; looked for when locking
    from packaging.requirements import InvalidRequirement, Requirement

    from buildrules.rules.repository import repository_error

    if (found := repository_error(re.sub(r"^(?:-e|--editable)\s+", "", text), node.position)) is not None:
        raise found
    try:
        url = Requirement(text).url or ""
    except InvalidRequirement as error:
        from buildrules.credentials.redact import scrub
        from buildrules.rules.repair import repair

        reason = str(error).splitlines()[0]
        problem = f"'{scrub(text)}' is not a requirement: {reason[:1].lower()}{reason[1:]}"
        raise node.error(problem, repair(text)) from error
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise node.error(
            "the address of a requirement holds a user name or password", "take them out, and put them in ~/.netrc"
        )
    secret = secret_in_query(url)
    if secret:
        raise node.error(
            f"the address of a requirement has a credential in its query, '{secret}'",
            "take it out, and name a connection of type python_feed, or put it in ~/.netrc",
        )
    return text


def _port(node: Node, _at: _At) -> int:
    port = port_of(node.integer())
    if port is None:
        raise node.error(f"{node.text} is not a port", "ports are 1 to 65535")
    return port


def _text(node: Node, _at: _At) -> str:
    text = node.string()
    if "\0" in text:
        raise node.error("the text holds a NUL character")
    return text


def _list_of(one: Reader, *, alone: bool = False) -> Reader:
    """A reader of lists; with `alone` a single scalar stands for a list of it."""

    def reader(node: Node, at: _At) -> list[Any]:
        items = [node] if alone and node.kind == "scalar" else node.items
        if node.kind == "map" or (node.kind == "scalar" and not alone):
            hint = f"write [{node.text}]" if node.kind == "scalar" else None
            raise node.error(f"expected a list, not {node.describe()}", hint)
        values = []
        for item in items:
            try:
                values.append(one(item, at))
            except LoadError as error:
                at.problems.add_error(error, item.position)
        return values

    return reader


def _map_of(one: Reader, key: Callable[[str], str]) -> Reader:
    """A reader of maps; `key` gives what a key means, or raises LoadError."""

    def reader(node: Node, at: _At) -> dict[str, Any]:
        values = {}
        for name, item in _entries(node).items():
            place = node.keys[name]
            try:
                meant, place = key(name), item
                values[meant] = one(item, at)
            except LoadError as error:
                at.problems.add_error(error, place.position)
        return values

    return reader


def _key(name: str) -> str:
    if not name or "\0" in name:
        raise LoadError("a key cannot be empty or hold NUL")
    return name


def _route(name: str) -> str:
    if name not in ROUTE_NAMES:
        raise LoadError(f"unknown route '{name}'", hint=did_you_mean(name, ROUTE_NAMES, what="routes"))
    return name


def _name_version(node: Node, _at: _At) -> dict[str, str | None]:
    if node.kind == "map":
        for key, place in node.keys.items():
            if key not in _NAME_KEYS:
                raise place.error(f"unknown key '{key}'", did_you_mean(key, _NAME_KEYS, what="keys"))
        entries = node.entries
        if "name" not in entries:
            raise node.error("there is no name", "write {name: NAME, version: VERSION}, or NAME:VERSION")
        name = entries["name"].string()
        version, registry = (entries[key].string() if key in entries else "" for key in ("version", "registry"))
    else:
        registry, _, last = node.string("a name").rpartition("/")
        name, colon, version = last.partition(":")
        if colon and not version:
            raise node.error(f"'{name}:' ends without a version", "leave the colon out, or write a version behind it")
    for what, text in (("name", name), ("version", version or "1")):
        if not _ASSET.fullmatch(text):
            raise node.error(f"'{text}' is not a {what}", "use letters, digits and `_ . -`")
    if registry and not _REGISTRY.fullmatch(registry):
        raise node.error(f"'{registry}' is not a place in a registry", "write HOST/PATH, or the name of a connection")
    return {"name": name, "version": version or None, "registry": registry or None}


def _map(node: Node, at: _At) -> Any:
    _entries(node)
    return node.value(at.problems)


def _record(node: Node, at: _At) -> dict[str, Any] | bool:
    """A map whose fields are read each as its type; all of its errors are noted. Of a switch also {} and False."""
    attribute, problems = at.attribute, at.problems
    if attribute.switch and node.kind == "scalar":
        return {} if node.boolean(_fields_with(node.text, attribute)) else False
    if attribute.switch and node.kind == "map" and not node.entries:
        raise node.error("an empty map says nothing", f"write true, false or {_fields_with('', attribute)}")
    values: dict[str, Any] = {}
    for name, item in _entries(node).items():
        field = attribute.fields.get(name)
        if field is None:
            hint = did_you_mean(name, attribute.fields, what="what can stand here", limit=20)
            problems.add_error(node.keys[name].error(f"there is no '{name}' here", hint))
        else:
            values[name] = read(item, field, at.package, problems)
    for name, field in attribute.fields.items():
        if name in values:
            continue
        if field.required:
            problems.add_error(node.error(f"'{name}' is missing here", field.doc or None))
        elif field.default is not None:
            values[name] = field.default
    for group in attribute.at_most_one:
        chosen = [name for name in group if name in node.entries]
        if len(chosen) > 1:
            problems.add_error(node.keys[chosen[1]].error(f"only one of '{chosen[0]}' and '{chosen[1]}' can be given"))
    return values


def _fields_with(text: str, attribute: Attribute) -> str:
    """What may be written instead of true and false: the record's fields, with `text` where that is one's value."""
    shown = []
    for name, field in attribute.fields.items():
        value = text if text in (field.choices or ()) else field.example
        shown.append(name if value is None else f'{name}: "{value}"')
    return f"{{{', '.join(shown)}}}"


def _entries(node: Node) -> Mapping[str, Node]:
    if node.kind != "map":
        raise node.error(f"expected a map, not {node.describe()}")
    return node.entries


def port_of(value: object) -> int | None:
    """The port that a number, or a text of digits, is; None for anything else."""
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 20 and 1 <= int(text) <= 65535 else None


def parse_route(value: Any) -> dict[str, Any]:
    """Read `PORT/path` or {path, port}. Raises LoadError."""
    if isinstance(value, dict):
        port, path = value.get("port"), value.get("path")
        if set(value) - {"port", "path"} or port is None or not isinstance(path, str):
            raise LoadError("a route has a port and a path", hint="write {port: 8080, path: /health} or 8080/health")
    elif isinstance(value, str):
        port, slash, rest = value.partition("/")
        path = slash + rest
    else:
        raise LoadError(f"'{value}' is not a route", hint="write PORT/path, such as 8080/health")
    number = port_of(port)
    if number is None:
        raise LoadError(f"'{port}' is not a port", hint="write PORT/path, such as 8080/health")
    if not path.startswith("/"):
        path = f"/{path}"
    if any(char.isspace() or ord(char) < 32 for char in path):
        raise LoadError(f"'{path}' is not the path of an address")
    return {"port": number, "path": path}


_READERS: dict[str, Reader] = {
    "string": _string,
    "name": _name,
    "integer": _number,
    "number": _number,
    "boolean": lambda node, _: node.boolean(),
    "label": _label,
    "labels": _list_of(_label, alone=True),
    "path": _path,
    "paths": _list_of(_path),
    "globs": _list_of(_glob, alone=True),
    "string_list": _list_of(_text),
    "string_map": _map_of(_text, _key),
    "path_map": _map_of(_path, image_path),
    "requirements": _list_of(_requirement),
    "ports": _list_of(_port, alone=True),
    "routes": _map_of(lambda node, _: parse_route(node.value()), _route),
    "name_version": _name_version,
    "map": _map,
    "integers": _list_of(lambda node, _: node.integer(), alone=True),
    "json": lambda node, at: node.value(at.problems),
    "record": _record,
    "records": _list_of(_record),
}
