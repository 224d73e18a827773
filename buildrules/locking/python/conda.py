"""Conda packages as requirements of wheels, and their Pythons as ours.

Conda packages are taken as wheels, by the names in `conda_names.json`. What lies below Python packages, as
`conda env export` lists it, is left out with a word; other packages that are not Python are an error that names them:
nothing is dropped in silence. Specs follow conda's MatchSpec as far as it has a meaning for wheels:
`=1.2` is fuzzy, `==1.2` exact, a build string pins the version and is otherwise left out.
"""

import fnmatch
import functools
import os
import re
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from buildrules.actions.python.target import minor_of, number_of
from buildrules.errors import LoadError, ResolutionError
from buildrules.locking.python.collector import PythonPin

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPEC = re.compile(  # possessive: what does not fit is given up at once, however long it is
    r"(?:(?P<channel>[^\s:\[]++)::)?(?P<name>[A-Za-z0-9_.-]++)(?P<rest>[^\[]*+)(?:\[(?P<brackets>.*)\])?$"
)
_BRACKET = re.compile(r"\s*(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,'\"\s]+))\s*(?:,|$)")
_CLAUSE = re.compile(r"(==|!=|<=|>=|~=|<|>|=)?\s*([A-Za-z0-9_.!+]*\*?)$")


@functools.cache
def _table() -> dict[str, Any]:
    import json

    with open(os.path.join(os.path.dirname(__file__), "conda_names.json"), encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data


def wheel_name(name: str) -> str | None:
    """The name of the wheel that holds the conda package `name`; None where it is no Python package."""
    table = _table()
    name = name.lower()
    if name in table["wheels"]:
        return str(table["wheels"][name])
    if name in table["not_python"] or is_brought(name) or _fits(name, table["not_python_patterns"]):
        return None
    return name


def distribution_name(name: str, version: str) -> str:
    """What pip calls the conda package `name`, which is Python's: "" for Python itself, and for a version that pip does
    not know how to read."""
    try:
        Version(version)
    except InvalidVersion:
        return ""
    return "" if name == "python" else canonicalize_name(_table()["wheels"].get(name, name))


def _fits(name: str, patterns: "Iterable[str]") -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_brought(name: str) -> bool:
    """Whether a conda package is one that wheels, or the base's Python, bring themselves as far as they need it: what
    `conda env export` lists of conda's own Python and of the libraries below Python packages.
    """
    return _fits(name, _table()["brought"])


def is_ignored(name: str) -> bool:
    """Whether a conda package means nothing outside of conda."""
    return name in _table()["ignored"]


def conda_spec(text: str) -> tuple[str, str] | None:
    """What a conda package is called, in lower case, and the PEP 440 specifier for it; None where it is no package.

    Raises ValueError with what is wrong, as the end of a sentence.
    """
    match = _SPEC.match(text)
    if match is None:
        return None
    return match["name"].lower(), python_specifier(_version_of(match["rest"], match["brackets"]))


def python_specifier(rest: str) -> str:
    """The PEP 440 specifier for what follows a conda package's name: "=2.3.1" -> "==2.3.1.*", "" -> "".

    Raises ValueError with what is wrong, as the end of a sentence.
    """
    rest = re.sub(r"([<>=!~,])\s+", r"\1", rest.strip())
    if "|" in rest:
        raise ValueError("has alternatives ('|'), which requirements of wheels do not know")
    build = ""
    if not any(mark in rest for mark in ("<", ">", "!", "~", ",")):
        # A version and perhaps a build string, parted by a space or a second "=".
        fields = re.split(r"\s+|(?<=[^=!<>~])=(?!=)", rest) if rest else []
        fields = [field for field in fields if field]
        if len(fields) > 2:
            raise ValueError("is not a version")
        if len(fields) == 2:
            rest, build = fields
            if build == "*":
                build = ""
    clauses = [_clause(part.strip(), bool(build)) for part in rest.split(",")] if rest else []
    for clause in clauses:
        _check(clause)
    return ",".join(clause for clause in clauses if clause)


def _check(clause: str) -> None:
    """Raise ValueError for what PEP 440 does not know, such as "~=3" and ">=1.0+local"."""
    try:
        SpecifierSet(clause)
    except InvalidSpecifier:
        more = f"; write {clause}.0" if clause.startswith("~=") and "." not in clause else ""
        raise ValueError(f"has the version {clause!r}, which no wheel can have{more}") from None


def _clause(text: str, exact: bool) -> str:
    match = _CLAUSE.match(text)
    if not match or (match[1] and not match[2]):
        raise ValueError("is not a version")
    operator, version = match[1] or "", match[2]
    if version in ("*", ""):
        return ""
    stem = version.removesuffix("*").removesuffix(".")
    try:
        released = Version(stem)
    except InvalidVersion:
        raise ValueError(f"has the version {version!r}, which no wheel can have") from None
    if operator == "!=":
        return f"!={stem}.*" if version.endswith("*") else f"!={stem}"
    if operator in ("<", ">", "<=", ">=", "~="):
        return f"{operator}{stem}"
    if version.endswith("*"):
        return f"=={stem}.*"
    # A bare "numpy 1.2" and "numpy==1.2" are exact, "numpy=1.2" is fuzzy; "1.0rc1" and its like have no successors.
    fuzzy = operator == "=" and not exact and released.public == released.base_version and not released.local
    return f"=={stem}.*" if fuzzy else f"=={stem}"


def _version_of(rest: str, brackets: str | None) -> str:
    """The version part, from "=1.2=build" or from [version='>=1.2', build=...]."""
    if not brackets:
        return rest
    fields: dict[str, str] = {}
    position = 0
    while position < len(brackets):
        match = _BRACKET.match(brackets, position)
        if not match:
            raise ValueError(f"cannot be read at [{brackets}]")
        fields[match[1]] = match[2] or match[3] or match[4] or ""
        position = match.end()
    unknown = set(fields) - {"version", "build", "build_number", "channel", "subdir"}
    if unknown:
        raise ValueError(f"has the field {min(unknown)!r}, which has no meaning for wheels")
    return fields.get("version", rest)


def specifier_of(python: str) -> str:
    """The specifier (PEP 440) that a `python` attribute stands for: itself, or that of a version ("3.11", "3.13t").

    Raises LoadError for what is neither.
    """
    specifier = python if python.startswith(tuple("<>=!~")) else f"=={number_of(python)[0]}.*"
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        raise LoadError(f"python: {python!r} is not a version of Python", hint="write it like '3.11'") from None
    return specifier


def check_python(
    pin: PythonPin | None, python: str, override: str | None = None, *, free_threaded: bool = False
) -> None:
    """Raise ResolutionError unless the base's `python` ("3.11.2"), which is `free_threaded` or not, is what the conda
    file and `override` ask for.

    An explicit `override` ("3.11") stands above the conda file's pin, and is held against the base alone.
    """
    if override is not None:
        fits = SpecifierSet(specifier_of(override)).contains(python)
        if not fits or (number_of(override)[1] and not free_threaded):
            raise ResolutionError(
                f"python {override!r} is asked for, and the base has Python {python}",
                hint=f"choose a base with Python {override}{_such(override)}, or set python: '{minor_of(python)}'",
            )
        return
    if pin is None or not pin.specifier:
        return
    if SpecifierSet(pin.specifier).contains(python) and (free_threaded or not pin.free_threaded):
        return
    override = f"python: '{minor_of(python)}'"
    raise ResolutionError(
        f"{pin.asker} asks for Python {pin.version}, and the base has Python {python}",
        hint=f"choose a base with Python {pin.version}{_such(pin.version)}, or write {override} on the python_env to"
        f" override {pin.asker}",
        position=pin.position,
    )


def _such(version: str) -> str:
    """The base that has a version, where there may be one: in a hint, after the words for it."""
    from buildrules.authoring.release import STANDALONE

    there = re.fullmatch(r"3\.\d+(\.\d+)?t?", version) is not None and minor_of(version).rstrip("t") in STANDALONE
    return f' ({{rule: python_standalone, version: "{version}"}})' if there else ""
