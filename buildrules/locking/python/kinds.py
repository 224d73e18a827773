"""Files that people give where another kind is wanted: a conda file as requirements, a lock as a project, and so on."""

import os
import re
from dataclasses import dataclass

from buildrules.errors import LoadError, Position

_WANTED = {"requirements_file": "requirements", "conda_file": "a conda file", "pyproject": "a pyproject.toml"}
_EXPORT = "give what `conda env export --from-history` writes, as `conda_file`"


@dataclass(frozen=True, slots=True)
class _Kind:
    """`name` and `text` match the base name and the content, each where it is given; `attribute` takes such files."""

    what: str
    attribute: str = ""
    hint: str = ""
    name: str = ""
    text: str = ""


_KINDS = (
    _Kind(
        "a lock of another tool",
        hint="give the pyproject.toml beside it, as `pyproject`: the versions of the lock are taken where they fit",
        name=r"(?:uv|poetry|pdm)\.lock|pylock(?:\..+)?\.toml",
    ),
    _Kind(
        "a file of pipenv",
        hint="give what `pipenv requirements` writes, as `requirements_file`",
        name=r"Pipfile(?:\.lock)?",
    ),
    _Kind("part of a project", hint="name its folder in `requirements`: {folder}", name=r"setup\.(?:py|cfg)"),
    _Kind("a lock of conda", hint=_EXPORT, text=r"package:\s*\n\s*- (?:name|category|build|manager|dependencies):"),
    _Kind("a conda file", "conda_file", text=r"dependencies:\s*(?:#.*|\[.*)?$"),
    _Kind(
        "the description of a project",
        "pyproject",
        text=r"\[(?:project|build-system|dependency-groups|tool\.[^\]]+)\]\s*(?:#.*)?$",
    ),
    _Kind("a list of conda's builds", hint=_EXPORT, text=r"@EXPLICIT\s*$|\w[\w.-]*=[\w.!+]+=[\w.]+$"),
    _Kind("requirements", "requirements_file", name=r".*\.(?:txt|in)"),
)
"""The first that fits counts. What `text` matches, at the start of a line, is no part of any other kind."""


def mistaken(path: str, text: str, attribute: str, position: Position | None) -> LoadError | None:
    """The error for a file (workspace-relative, and its text) that `attribute` does not take; None where it may."""
    base = os.path.basename(path)
    kind = next((one for one in _KINDS if _fits(one, base, text)), None)
    if kind is None or kind.attribute == attribute:
        return None
    hint = kind.hint.format(folder=folder_from(position, path)) or f"name it in `{kind.attribute}`"
    return LoadError(f"{path!r} is {kind.what}, not {_WANTED[attribute]}", position=position, hint=hint)


def folder_from(position: Position | None, path: str) -> str:
    """The folder of a file (workspace-relative), as the file at `position` names it in requirements."""
    folder = os.path.relpath(os.path.dirname(path) or ".", os.path.dirname(position.path) or "." if position else ".")
    return "./" if folder == "." else f"./{folder}"


def _fits(kind: _Kind, base: str, text: str) -> bool:
    if kind.name and re.fullmatch(kind.name, base) is None:
        return False
    return not kind.text or re.search(rf"^(?:{kind.text})", text, re.MULTILINE) is not None
