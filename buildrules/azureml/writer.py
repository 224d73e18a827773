"""Targets as the text of a BUILD.yaml."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

from buildrules.azureml.connection import Connection
from buildrules.azureml.targets import Glob, Local, Ref, Target, literal

__all__ = ["render_connections", "render_target", "scalar"]

_PLAIN = re.compile(r"/?[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
_LABEL = re.compile(r"(//[A-Za-z0-9_./+-]*)?:[A-Za-z0-9_.+-]+|//[A-Za-z0-9_./+-]+")
_WIDTH = 110
LabelOf = Callable[[Target], str]


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
    return (
        json.dumps(text, ensure_ascii=False)
        .replace("\x7f", "\\x7f")
        .replace("\x85", "\\x85")
        .replace("\ufeff", "\\ufeff")
    )


class _Renderer:
    def __init__(self, directory: str, label_of: LabelOf) -> None:
        self.directory = directory
        self.label_of = label_of

    def plain(self, value: Any) -> Any:
        """A value with paths and labels as texts."""
        if isinstance(value, Ref):
            return self.label_of(value.target)
        if isinstance(value, Local):
            return self.path(value.path)
        if isinstance(value, Glob):
            folder = self.path(value.directory)
            return value.pattern if folder == "." else f"{literal(folder)}/{value.pattern}"
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self.plain(item) for key, item in value.items()}
        return value

    def path(self, path: str) -> str:
        return os.path.relpath(path, self.directory).replace(os.sep, "/")


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, flow=True)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return scalar(value, flow=True)


def render_target(target: Target, directory: str, label_of: LabelOf, indent: str = "  ") -> str:
    """A target as lines, each begun with `indent`; paths are relative to `directory`."""
    renderer = _Renderer(directory, label_of)
    attributes = {name: renderer.plain(value) for name, value in target.attributes.items()}
    if attributes.get("name") == target.name:
        del attributes["name"]  # every rule takes the target's
    lines = [f"{indent}# {line}" for comment in target.comments for line in _comment_lines(comment)]
    short = f"{indent}{scalar(target.name)}: {_flow({'rule': target.rule, **attributes})}"
    if len(target.remarks) <= 1 and target.rule != "model_package":
        if target.remarks:
            short += f"    # {_one_line(next(iter(target.remarks.values())))}"
        if len(short) <= _WIDTH:
            return "\n".join([*lines, short]) + "\n"
    lines.append(f"{indent}{scalar(target.name)}:")
    lines.append(f"{indent}  rule: {scalar(target.rule)}")
    for name, value in attributes.items():
        remark = f"    # {_one_line(target.remarks[name])}" if name in target.remarks else ""
        if isinstance(value, dict) and len(f"{indent}  {name}: {_flow(value)}") > _WIDTH:
            lines.append(f"{indent}  {name}:{remark}")
            lines += [f"{indent}    {scalar(key, flow=True)}: {_flow(item)}" for key, item in value.items()]
        elif isinstance(value, dict | list):
            lines.append(f"{indent}  {name}: {_flow(value)}{remark}")
        else:
            lines.append(f"{indent}  {name}: {scalar(value)}{remark}")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _comment_lines(text: str) -> list[str]:
    import textwrap

    safe = "".join(char if char.isprintable() else " " for char in _one_line(text))
    return textwrap.wrap(safe, 100, break_long_words=False, break_on_hyphens=False) or [""]


def render_connections(connections: list[Connection], indent: str) -> str:
    """`connections:` of a workspace section."""
    lines = [f"{indent}connections:"]
    for one in connections:
        lines += [f"{indent}  # {line}" for comment in one.comments for line in _comment_lines(comment)]
        body: dict[str, Any] = {"type": one.type, "target": one.target}
        if one.credentials:
            body["credentials"] = one.credentials
        lines.append(f"{indent}  {scalar(one.name, flow=True)}: {_flow(body)}")
    return "\n".join(lines) + "\n"
