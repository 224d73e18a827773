"""A BUILD.yaml with targets that are made: a new one, or one that is there with more in it."""

import os
from dataclasses import dataclass, field
from typing import Any

from buildrules.authoring.paths import common_directory, display, is_within
from buildrules.authoring.target import NewTarget
from buildrules.authoring.text import render_target
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, UsageError
from buildrules.workspace.root import BUILD_FILE, read_file


@dataclass(slots=True)
class Addition:
    """The new text of the BUILD.yaml at `path`. `before` is the old one, None where there is none.

    `added` are names of new targets, `differing` of those that are there and say something else: without `force` they
    are left as they are, with it they are replaced. `forced` is the text with them replaced.
    """

    path: str
    before: str | None
    text: str
    added: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    forced: str = ""


def home_of(targets: list[NewTarget], named: list[str], output: str | None, top: str | None) -> str:
    """The directory of the BUILD.yaml: `output`, or the one that holds all files and the directories `named`.

    All paths are absolute; `top` is the root of the workspace. Raises UsageError.
    """
    files = [path for target in targets for path in target.paths()]
    home = output or common_directory([*(f"{path}/" for path in named), *files])
    if output is None and home in ("/", os.path.expanduser("~")):
        outside = next((path for path in files if not any(is_within(path, one) for one in named)), files[0])
        raise UsageError(
            f"'{display(outside.rstrip('/'))}' lies apart from the other files",
            hint=f"nothing is written in '{home}' unasked: copy the files into one folder, or say --output DIR",
        )
    for path in files:
        if not is_within(path, home):
            wide = display(common_directory([*files, home + "/"]))
            raise UsageError(
                f"'{display(path.rstrip('/'))}' lies outside of '{display(home)}'",
                hint=f"a BUILD.yaml names what lies below it: --output {wide}",
            )
    if top is not None and not is_within(home, top):
        raise UsageError(f"'{display(home)}' lies outside of the workspace '{display(top)}'")
    return home


def add_to(
    home: str, targets: list[NewTarget], *, head: str = "", workspace: str = "", force: bool = False
) -> Addition:
    """The BUILD.yaml in `home` with `targets`. A new one begins with `head`.

    `workspace` is the text of a workspace section, for a file that has none. Raises LoadError where the file that is
    there cannot be read.
    """
    path = os.path.join(home, BUILD_FILE)
    try:
        before: str | None = read_file(path).decode("utf-8")
    except FileNotFoundError:
        before = None
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"cannot read '{display(path)}': {error}") from error
    texts = {target.name: render_target(target, home, lambda other: f":{other.name}") for target in targets}
    addition = Addition(path, before, "")
    problems = Problems()
    node = parse(display(path), (before or "").encode(), problems)
    problems.raise_all()
    section = f"{workspace}\n" if workspace else ""
    if node is None or before is None:  # nothing, or comments alone
        addition.added = list(texts)
        kept = f"{before.rstrip()}\n" if before and before.strip() else ""
        made = "targets:\n" + "\n".join(texts.values()) if texts else "targets: {}\n"
        addition.text = kept + head + section + made
        return addition
    if node.kind != "map":
        raise LoadError(f"'{display(path)}' holds no map", hint="fix it first")
    addition.text = _extended(before, node, texts, addition, force=force)
    if "workspace" not in node.entries:
        addition.text = section + addition.text
    return addition


def _extended(before: str, node: Node, texts: dict[str, str], addition: Addition, *, force: bool) -> str:
    lines = before.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    section = node.entries.get("targets")
    there, keys = (section.entries, section.keys) if section is not None else ({}, {})
    if section is not None and there and lines[section.line - 1][section.column - 1] == "{":
        raise section.error("targets written in braces cannot be added to", "write one target a line")
    end = _end_of(node, lines)
    indent = " " * (next(iter(keys.values())).column - 1) if keys else "  "
    new = []
    replaced: list[tuple[int, int, str]] = []
    for name, text in texts.items():
        shifted = "".join(indent + line[2:] for line in text.splitlines(keepends=True))
        if name not in there:
            addition.added.append(name)
            new.append(shifted)
        elif _value(there[name]) != _value_of(shifted, name):
            addition.differing.append(name)
            start = keys[name].line - 1
            stop = min((key.line - 1 for key in keys.values() if key.line - 1 > start), default=end)
            replaced.append((start, stop, shifted))
    if new:
        if section is None:
            lines.append("targets:\n")
            end = len(lines)
        elif not there:  # `targets:` or `targets: {}`
            at = node.keys["targets"].line - 1
            lines[at] = "targets:\n"
        lines[end:end] = ["\n" if there else "", "\n".join(new)]
    left = "".join(lines)
    for start, stop, text in sorted(replaced, reverse=True):
        lines[start:stop] = [text]
    addition.forced = "".join(lines)
    return addition.forced if force else left


def _end_of(node: Node, lines: list[str]) -> int:
    """The index behind the last line of `targets:`."""
    key = node.keys.get("targets")
    if key is None:
        return len(lines)
    later = [other.line - 1 for other in node.keys.values() if other.line > key.line]
    end = min(later, default=len(lines))
    while end > key.line and (lines[end - 1].startswith("#") or not lines[end - 1].strip()):
        end -= 1  # a comment at the margin belongs to what follows
    return end


def _value(node: Node) -> Any:
    if node.kind == "scalar":
        return node.text
    if node.kind == "list":
        return [_value(item) for item in node.items]
    return {key: _value(item) for key, item in node.entries.items()}


def _value_of(text: str, name: str) -> Any:
    node = parse("", text.encode(), Problems())
    return None if node is None else _value(node.entries[name])
