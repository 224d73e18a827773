"""One requirement: what is asked for, who asks, and where it is written."""

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from buildrules.actions.models.pointers import LONGEST, pointer_of
from buildrules.credentials.redact import scrub
from buildrules.document.plain_toml import read_toml
from buildrules.errors import LoadError, Position
from buildrules.rules.repair import ADDRESS, VARIABLE, repair, without_variable
from buildrules.rules.repository import repository_error
from buildrules.workspace.root import Tree, is_inside, read_inside

PROJECT_FILES = ("pyproject.toml", "setup.py")
"""One of these makes a folder a project."""
DESCRIBING_FILES = (*PROJECT_FILES, "setup.cfg")
_LISTS = (".txt", ".in", ".toml", ".yml", ".yaml")
_FILE = re.compile(r"[^@;]*(?:\.whl|\.tar\.gz|\.zip)(?:\[[^\]]*\])?(?:\s+;.*)?$|\.{1,2}\[|[^@;\[]*/")
_FILE_ADDRESS = re.compile(r"(?P<name>[^@;]*@\s*)?file:(?://(?:localhost)?(?=/))?(?P<rest>[^;]*?)(?P<marker>\s*;.*)?$")
_PATH = re.compile(r"(?P<path>[^;\[]+)(?:\[(?P<extras>[^\]]*)\])?(?:\s*;(?P<marker>.*))?$")
_NAMED_PATH = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?\s*@\s*+"
    r"(?P<path>(?![A-Za-z][A-Za-z0-9+.-]*:)[^;$]+?)(?:\s+;(?P<marker>.*))?$"
)
_FORBIDDEN = re.compile(r"[\0\r\n]")
_ENDLESS = re.compile(r"\d{1001}")  # Python refuses to read numbers of some thousands, in many places


@dataclass(frozen=True, slots=True)
class Requirement:
    """`text` is PEP 508, or for a file or folder of the workspace its workspace-relative path.

    `name` is the normalised distribution name ("" for a folder whose pyproject.toml does not say it). `hashes`
    (sha256:<hex>) are what the locked file must be one of, where any are given. `asker` says who asks:
    "the environment //a:b", "the server azureml_online".
    """

    text: str
    name: str
    position: Position | None = None
    asker: str = ""
    hashes: tuple[str, ...] = ()
    local: bool = False
    conda: str = ""  # the conda package it was made from, where its name may be a guess
    extras: tuple[str, ...] = ()  # of a local project or file, sorted; others have them in the text
    marker: str = ""  # likewise

    def line(self, root: str) -> str:
        """As a line of a requirements file for uv; `root` is the absolute folder that local paths lie below.

        A path is written as an address, since blanks, `#`, `%` and `$` in a path mean something to uv. Raises LoadError
        where there is a `#` in that of a project without a name, for which uv has no spelling.
        """
        if not self.local:
            return self.text
        path = os.path.join(root, self.text)
        if not self.name and "#" in path:
            shown = self.text if "#" in self.text else path
            raise LoadError(
                f"the project in {shown!r} has no name, and '#' in its path",
                hint="say its name in pyproject.toml, under [project]; or rename the folder",
                position=self.position,
            )
        extras, marker = _more(self)
        return f"{self.name}{extras} @ file://{quote(path)}{marker}" if self.name else f"file://{quote(path)}"

    def asked(self) -> str:
        """The whole of what is asked for, for digests."""
        return self.text + "".join(_more(self))

    def describing_files(self, root: str) -> list[str]:
        """Workspace-relative files that name its dependencies; those of a folder may be missing. None if not local."""
        if not self.local:
            return []
        if os.path.isdir(os.path.join(root, self.text)):
            return [os.path.normpath(os.path.join(self.text, name)) for name in DESCRIBING_FILES]
        return [self.text]

    def where(self) -> str:
        """Who asks and where, for an error: "the environment //a:b (a/conda.yaml:7:5)"."""
        place = f"{self.position}" if self.position else ""
        return f"{self.asker} ({place})" if self.asker and place else self.asker or place or "the requirements"


def _path_in(text: str) -> tuple[str, tuple[str, ...], str, str] | None:
    """(name, extras, path, marker) of a requirement that is given by a path; None for any other."""
    match = _NAMED_PATH.match(text)
    if (
        match is None
        and not ADDRESS.match(text)
        and (text.startswith(("./", "../", "/")) or text in (".", "..") or _FILE.match(text))
    ):
        match = _PATH.match(text)
        if match is None:
            return "", (), text, ""
    if match is None:
        return None
    found = match.groupdict()
    extras = tuple(sorted(one.strip() for one in (found["extras"] or "").split(",") if one.strip()))
    return found.get("name") or "", extras, found["path"].strip(), (found["marker"] or "").strip()


def _as_path(text: str, root: str, folder: str) -> str:
    """`text` with a path in place of a file: address, as a file in `folder` would name it."""
    match = _FILE_ADDRESS.match(text)
    path = unquote(match["rest"].strip()) if match is not None else ""
    if match is None or _FORBIDDEN.search(path):
        return text
    return f"{match['name'] or ''}{_from_folder(path, root, folder)}{match['marker'] or ''}"


def _from_folder(path: str, root: str, folder: str) -> str:
    """An absolute path in the workspace as one that starts from `folder`; any other as it is, with a dot in front."""
    found = inside_workspace(root, path) if os.path.isabs(path) else None
    if found is not None:
        path = os.path.relpath(found, folder or ".")
    return path if path.startswith(("./", "../", "/")) else f"./{path}"


def _without_fragment(name: str, path: str, place: str) -> tuple[str, str]:
    """(name, path) with what pip reads behind a `#`, unless there is something at `place`, where all of it leads to."""
    path_part, sign, fragment = path.partition("#")
    if not sign or os.path.lexists(place):
        return name, path
    fields = dict(parse_qsl(fragment))
    return name or fields.get("egg", "").partition("[")[0], os.path.join(path_part, fields.get("subdirectory", ""))


def _more(item: Requirement) -> tuple[str, str]:
    """The extras and the marker of a local requirement, as PEP 508 has them."""
    return f"[{','.join(item.extras)}]" if item.extras else "", f" ; {item.marker}" if item.marker else ""


def parse(text: str, root: str, folder: str, position: Position | None = None) -> Requirement:
    """One requirement, written in `folder` of the workspace at `root` (absolute).

    A wheel, source archive or project folder of the workspace is given by its path: `./wheels/a-1.0-py3-none-any.whl`.
    Raises LoadError with the position on anything that is not PEP 508 or that cannot be locked.
    """
    text = text.strip()
    if _FORBIDDEN.search(text):
        raise LoadError(f"requirement {scrub(text)!r} holds a line break or NUL", position=position)
    if _ENDLESS.search(text):
        raise LoadError(
            f"requirement {text[:60] + '...'!r} holds a number of more than 1000 digits",
            position=position,
            hint="write a version that the index has",
        )
    if (error := repository_error(text, position)) is not None:
        raise error
    text = _as_path(text, root, folder)
    if (found := _path_in(text)) is not None:
        name, extras, path, marker = found
        name, path = _without_fragment(name, path, os.path.join(root, folder, path))
        if not name and os.path.lexists(os.path.join(root, folder, text)):  # brackets may be part of a path
            return _local(text, root, folder, position)
        return local(path, root, folder, position, name, extras, marker)
    if text.endswith(_LISTS) and os.path.isfile(os.path.join(root, folder, text)):
        raise LoadError(
            f"{text!r} is a file of requirements, not one of them",
            position=position,
            hint="name it in `requirements_file` (or `conda_file`, `pyproject`); in another file, write -r before it",
        )
    try:
        parsed = Parsed(text)
    except InvalidRequirement as error:
        reason = scrub(str(error).partition("\n")[0])
        raise LoadError(
            f"{scrub(text)!r} is not a requirement: {reason}", position=position, hint=repair(text)
        ) from None
    if parsed.url:
        _check_url(parsed.name, parsed.url, position)
    return Requirement(str(parsed), canonicalize_name(parsed.name), position)


def _check_url(name: str, url: str, position: Position | None) -> None:
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise LoadError(
            f"requirement {name!r} is fetched by {scheme!r}, and not by http or https",
            position=position,
            hint="copy the file into the workspace, and name it by path",
        )
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise LoadError(
            f"requirement {name!r} has credentials in its url",
            position=position,
            hint="take them out of the url and put them in ~/.netrc",
        )
    if (variable := VARIABLE.search(url)) is not None:
        raise LoadError(
            f"requirement {name!r} has a variable in its url", position=position, hint=without_variable(variable)
        )


def local(
    text: str,
    root: str,
    folder: str,
    position: Position | None = None,
    name: str = "",
    extras: tuple[str, ...] = (),
    marker: str = "",
) -> Requirement:
    """A wheel, source archive or project folder of the workspace by its path, as `parse` takes it; `name` is what it
    must be called, where somebody says. Raises LoadError.
    """
    found = _local(text, root, folder, position)
    wanted = canonicalize_name(name)
    if wanted and found.name and wanted != found.name:
        raise LoadError(f"{name!r} is asked for, and {found.text!r} is {found.name!r}", position=position)
    if (extras or marker) and not (found.name or wanted):
        raise LoadError(
            f"the project in {found.text!r} has no name, so nothing more can be said of it",
            hint="say its name in pyproject.toml, under [project]",
            position=position,
        )
    return replace(found, name=found.name or wanted, extras=extras, marker=marker)


def _local(text: str, root: str, folder: str, position: Position | None) -> Requirement:
    path = workspace_path(text, root, folder, position)
    place = os.path.join(root, path)
    if os.path.isdir(place):
        if not any(os.path.exists(os.path.join(place, name)) for name in PROJECT_FILES):
            raise LoadError(f"folder {path!r} has neither a pyproject.toml nor a setup.py", position=position)
        return Requirement(path, _project_name(root, path), position, local=True)
    if not os.path.isfile(place):
        raise LoadError(f"requirement {text!r}: there is no {path!r}", position=position, hint=repair(text))
    filename = os.path.basename(path)
    try:
        name = parse_wheel_filename(filename)[0] if path.endswith(".whl") else parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        raise LoadError(f"{path!r} is not named as a wheel or source archive must be", position=position) from None
    with open(place, "rb") as file:
        pointer = pointer_of(path, file.read(LONGEST))
    if pointer is not None:
        wrong = f"{path!r} is a pointer of {pointer.tool}, not the file itself"
        raise LoadError(wrong, position=position, hint=f"run `{pointer.command}`")
    return Requirement(path, name, position, local=True)


def _project_name(root: str, folder: str) -> str:
    """The normalised name that the pyproject.toml in a folder of the workspace says; "" where it says none."""
    try:
        table = read_toml(read_inside(root, os.path.join(folder, "pyproject.toml")))
        return canonicalize_name(table["project"]["name"], validate=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidName):
        return ""


def workspace_path(text: str, root: str, folder: str, position: Position | None) -> str:
    """The workspace-relative path of `text`, which is written in `folder`. Raises LoadError where it leaves."""
    if "\0" in text:
        raise LoadError(f"{text!r} is not a path: it holds NUL", position=position)
    place = inside_workspace(root, os.path.join(os.path.realpath(root), folder, text))
    if place is not None and os.path.isabs(text):
        raise LoadError(
            f"{text!r} is a path of this machine",
            position=position,
            hint=f"write it from the folder of the file: {_from_folder(text, root, folder)}",
        )
    if place is None:
        raise LoadError(
            f"{text!r} leaves the workspace", position=position, hint="copy it into the workspace, and name it by path"
        )
    return place


def inside_workspace(root: str, path: str) -> str | None:
    """The workspace-relative form of an absolute path, links resolved; None for one outside."""
    base, place = os.path.realpath(root), os.path.realpath(path)
    if not is_inside(root if isinstance(root, Tree) else base, place):
        return None
    if place != base and not place.startswith(base + os.sep):  # where the user lets links lead
        place = os.path.normpath(path)
    return os.path.relpath(place, base).replace(os.sep, "/")
