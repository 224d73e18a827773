"""Targets as the text of a BUILD.yaml."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from buildrules.authoring.target import Glob, Local, NewTarget, Ref, clean_name, literal

_PLAIN = re.compile(r"/?[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
_LABEL = re.compile(r"(//[A-Za-z0-9_./+-]*)?:[A-Za-z0-9_.+-]+|//[A-Za-z0-9_./+-]+")
_ODD = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # YAML does not have them as they are, as JSON does
_WIDTH = 110
LabelOf = Callable[[NewTarget], str]


@dataclass(slots=True)
class NewConnection:
    """A connection of a workspace; of its `credentials` what is secret is `{"env": NAME}`."""

    name: str
    type: str
    target: str
    credentials: dict[str, str | dict[str, str]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


def scalar(value: object, *, flow: bool = False) -> str:
    """One value as YAML that every reader takes for what it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if not flow and _LABEL.fullmatch(text):
        return text
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _plain(value: Any, directory: str, label_of: LabelOf) -> Any:
    """A value with paths, relative to `directory`, and labels as texts."""
    if isinstance(value, Ref):
        return label_of(value.target)
    if isinstance(value, Local):
        return os.path.relpath(value.path, directory).replace(os.sep, "/")
    if isinstance(value, Glob):
        folder = os.path.relpath(value.directory, directory).replace(os.sep, "/")
        return value.pattern if folder == "." else f"{literal(folder)}/{value.pattern}"
    return [_plain(item, directory, label_of) for item in value] if isinstance(value, list | tuple) else value


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, flow=True)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return scalar(value, flow=True)


def render_target(target: NewTarget, directory: str, label_of: LabelOf) -> str:
    """A target as lines, each begun with two spaces; paths are relative to `directory`."""
    attributes = {name: _plain(value, directory, label_of) for name, value in target.attributes.items()}
    if attributes.get("name") == target.name:
        del attributes["name"]  # every rule takes the target's
    lines = _comments(target.comments, "  ")
    short = f"  {scalar(target.name)}: {_flow({'rule': target.rule, **attributes})}"
    if len(target.remarks) <= 1 and target.rule != "model_package" and not target.spread:
        short += "".join(map(_remark, target.remarks.values()))
        if len(short) <= _WIDTH:
            return "\n".join([*lines, short]) + "\n"
    lines += [f"  {scalar(target.name)}:", f"    rule: {scalar(target.rule)}"]
    for name, value in attributes.items():
        remark = _remark(target.remarks[name]) if name in target.remarks else ""
        line = f"    {name}: {_flow(value) if isinstance(value, dict | list) else scalar(value)}"
        if isinstance(value, dict) and len(line) > _WIDTH:
            lines.append(f"    {name}:{remark}")
            lines += [f"      {scalar(key, flow=True)}: {_flow(item)}" for key, item in value.items()]
        else:
            lines.append(line + remark)
    return "\n".join(lines) + "\n"


def _remark(text: str) -> str:
    return f"    # {_one_line(text)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _comments(comments: list[str], indent: str) -> list[str]:
    import textwrap

    found = []
    for text in comments:
        safe = "".join(char if char.isprintable() else " " for char in _one_line(text))
        lines = textwrap.wrap(safe, 100, break_long_words=False, break_on_hyphens=False) or [""]
        found += [f"{indent}# {line}" for line in lines]
    return found


def render_workspace(name: str, connections: list[NewConnection] | None = None) -> str:
    """The section of a new workspace in a directory of that name."""
    name = clean_name(name or "workspace").lower()
    text = f"workspace:\n  name: {scalar(name)}\n  platforms: [linux/amd64]\n"
    return text + (render_connections(connections) if connections else "")


def render_connections(connections: list[NewConnection]) -> str:
    """`connections:` of a workspace section."""
    lines = ["  connections:"]
    for one in connections:
        lines += _comments(one.comments, "    ")
        body: dict[str, Any] = {"type": one.type, "target": one.target}
        if one.credentials:
            body["credentials"] = one.credentials
        lines.append(f"    {scalar(one.name, flow=True)}: {_flow(body)}")
    return "\n".join(lines) + "\n"
