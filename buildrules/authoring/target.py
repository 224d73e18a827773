"""Targets between reading and writing: paths are absolute, labels are references to one another."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from buildrules.document.nodes import Node


@dataclass(frozen=True, slots=True)
class Local:
    """A file or folder by its absolute path."""

    path: str


@dataclass(frozen=True, slots=True)
class Glob:
    """A glob below an absolute directory."""

    directory: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A target that is made here."""

    target: "NewTarget"


@dataclass(slots=True, eq=False)
class NewTarget:
    """`attributes` hold plain values, Local, Glob, Ref and lists of them. `remarks` stand behind an attribute, `node`
    is where a file names what the target is made of. `spread` gives each attribute a line.
    """

    name: str
    rule: str
    attributes: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)
    node: Node | None = None
    spread: bool = False

    def paths(self) -> Iterator[str]:
        """The absolute paths it names; of a glob the directory, with a slash at the end."""
        for name, value in self.attributes.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Local) and name != "strip_prefix":  # the globs lie in it
                    yield item.path
                elif isinstance(item, Glob):
                    yield item.directory + "/"


def plain_name(text: str, otherwise: str) -> str:
    """A name of a model, an input or code as near to `text` as may be: it becomes part of a path in the image."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-") or otherwise


def clean_name(text: str) -> str:
    """A target name as near to `text` as may be."""
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text)[:_LONGEST].strip(".+-") or "model"
    return f"{name}-target" if name == "all" else name


_LONGEST = 120  # names become parts of file names
_KINDS = {
    "debian_base": "base", "oci_base": "base", "python_standalone": "base",
    "python_env": "env", "model": "model", "input": "input",
    "scoring_code": "code", "model_package": "package",
}  # fmt: skip
"""What parts the name of a target from another's, by rule; of all other rules it is "server"."""


class NewTargets:
    """The targets of one conversion, in the order they were made. Those that say the same are one.

    `reserved` names are kept for packages.
    """

    def __init__(self) -> None:
        self.all: list[NewTarget] = []
        self.reserved: set[str] = set()

    def add(
        self,
        name: str,
        rule: str,
        attributes: dict[str, Any],
        *,
        comments: Iterable[str | None] = (),
        remarks: Mapping[str, str | None] = MappingProxyType({}),
        node: Node | None = None,
    ) -> NewTarget:
        """A target of this content: one that is there, else a new one. What is None or empty is left out."""
        given = {key: value for key, value in attributes.items() if value not in (None, [], {})}
        said = [line for line in comments if line]
        for target in self.all:
            if target.rule == rule and target.attributes == given:
                target.comments += [line for line in said if line not in target.comments]
                return target
        remarked = {key: text for key, text in remarks.items() if text}
        made = NewTarget(self._free(clean_name(name), _KINDS.get(rule, "server")), rule, given, said, remarked, node)
        self.all.append(made)
        return made

    def _free(self, name: str, kind: str) -> str:
        taken = {target.name for target in self.all}
        if kind != "package":
            taken |= self.reserved
        else:  # whose name becomes an image's, in small letters
            taken |= {target.name.lower() for target in self.all if target.rule == "model_package"}
            taken |= {name} if name.lower() in taken else set()
        names = itertools.chain((name, f"{name}-{kind}"), (f"{name}-{number}" for number in itertools.count(2)))
        return next(one for one in names if one not in taken)


def literal(path: str) -> str:
    """A glob that matches this very path."""
    return "".join(f"[{char}]" if char in "*?[{}" else char for char in path)
