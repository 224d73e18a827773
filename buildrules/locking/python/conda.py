"""conda.yaml as MLflow and Azure ML write it: a Python pin, conda packages, and a pip list.

Conda packages are taken as wheels, by the names in `conda_names.json`. What is no Python package is an error
that names it: nothing is dropped in silence. Specs follow conda's MatchSpec as far as it has a meaning for wheels:
`=1.2` is fuzzy, `==1.2` exact, a build string pins the version and is otherwise left out.
"""

import fnmatch
import functools
import os
import re
from typing import TYPE_CHECKING, Any

from buildrules.errors import LoadError, Position, ResolutionError
from buildrules.locking.python.collector import PythonPin

if TYPE_CHECKING:
    from buildrules.document.nodes import Node
    from buildrules.locking.python.collector import Collector

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
    if name in table["not_python"] or any(fnmatch.fnmatchcase(name, p) for p in table["not_python_patterns"]):
        return None
    return name


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
            raise ValueError("is no version")
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
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(clause)
    except InvalidSpecifier:
        more = f"; write {clause}.0" if clause.startswith("~=") and "." not in clause else ""
        raise ValueError(f"has the version {clause!r}, which no wheel can have{more}") from None


def _clause(text: str, exact: bool) -> str:
    from packaging.version import InvalidVersion, Version

    match = _CLAUSE.match(text)
    if not match or (match[1] and not match[2]):
        raise ValueError("is no version")
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


def read_conda(collector: "Collector", path: str, position: Position | None) -> None:
    """Add what the conda file `path` (workspace-relative) asks for to `collector`, with the errors that come up."""
    from buildrules.document.problems import Problems
    from buildrules.document.reader import parse

    text = collector.open(path, position)
    if text is None:
        return
    problems = Problems()
    root = parse(path, text.encode(), problems, aliases=True)
    collector.errors.extend(problems.errors)
    if root is not None or not problems.errors:
        _Reader(collector, path).document(root)


SETUPTOOLS = "setuptools<81"
"""What conda's pip brings along: the last ones with pkg_resources."""


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, collector: "Collector", path: str) -> None:
        self.collector = collector
        self.path = path
        self.unmapped: list[tuple[str, Position]] = []

    def document(self, root: "Node | None") -> None:
        if root is None or root.kind != "map":
            self.collector.fail(f"{self.path!r} is not a conda file: it has no 'dependencies'", Position(self.path, 1))
            return
        dependencies = root.entries.get("dependencies")
        if dependencies is None or dependencies.kind != "list":
            place = (dependencies or root).position
            self.collector.fail("'dependencies' of a conda file must be a list", place)
            return
        for node in dependencies.items:
            if node.kind == "scalar":
                self.package(node)
            elif node.kind == "map" and node.entries.keys() == {"pip"}:
                self.pip(node.entries["pip"])
            else:
                self.collector.fail("a dependency must be a package or a list under 'pip'", node.position)
        self.installer()
        for name, place in self.unmapped:
            self.collector.fail(
                f"conda package {name!r} is no Python package, so there is no wheel of it",
                place,
                f"provide it in the base, or leave it out on purpose with exclude: [{name}]",
            )

    def installer(self) -> None:
        """conda's pip brings setuptools along, and code that imports pkg_resources counts on it."""
        pip = next((item for item in self.collector.found.items if item.conda == "pip"), None)
        found = self.collector.found
        named = {item.name for item in (*found.items, *found.constraints)} | self.collector.exclude
        if pip is not None and pip.position is not None and "setuptools" not in named:
            self.collector.add(SETUPTOOLS, os.path.dirname(self.path), pip.position, conda="pip")

    def pip(self, node: "Node") -> None:
        if node.is_null:
            return
        if node.kind != "list" or any(item.kind != "scalar" for item in node.items):
            self.collector.fail("'pip' must hold a list of requirements", node.position)
            return
        for item in node.items:
            self.collector.line(item.text, os.path.dirname(self.path), item.position)

    def package(self, node: "Node") -> None:
        text, place = node.text.strip(), node.position
        try:
            spec = conda_spec(text)
        except ValueError as error:
            self.collector.fail(f"conda package {text!r} {error}", place)
            return
        if spec is None:
            self.collector.fail(f"{text!r} is not a conda package", place)
            return
        name, specifier = spec
        if name == "python":
            if self.collector.found.python is None:
                self.collector.found.python = PythonPin(specifier, place)
            return
        if is_ignored(name):
            return
        wheel = wheel_name(name)
        if wheel is None:
            if name.replace("_", "-") in self.collector.exclude or name in self.collector.exclude:
                self.collector.found.notes.append(f"conda package {name!r} is left out, as asked ({place})")
            else:
                self.unmapped.append((name, place))
            return
        self.collector.add(wheel + specifier, os.path.dirname(self.path), place, conda=name)


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


def check_python(pin: PythonPin | None, python: str, override: str | None = None) -> None:
    """Raise ResolutionError unless the base's `python` ("3.11.2") is what the conda file and `override` ask for.

    An explicit `override` ("3.11") stands above the conda file's pin, and is held against the base alone.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if override is not None:
        wanted = override if override[:1] in "<>=!~" else f"=={override}.*"
        try:
            fits = SpecifierSet(wanted).contains(python)
        except InvalidSpecifier:
            raise LoadError(f"python: {override!r} is no version of Python", hint="write it like '3.11'") from None
        if not fits:
            raise ResolutionError(
                f"python {override!r} is asked for, and the base has Python {python}",
                hint=f"choose a base with Python {override}, or set python: '{'.'.join(python.split('.')[:2])}'",
            )
        return
    if pin is None or not pin.specifier or SpecifierSet(pin.specifier).contains(python):
        return
    wanted = pin.specifier.removeprefix("==").removesuffix(".*")
    override = f"python: '{'.'.join(python.split('.')[:2])}'"
    raise ResolutionError(
        f"the conda file asks for Python {wanted}, and the base has Python {python}",
        hint=f"choose a base with Python {wanted}, or write {override} on the python_env to override the conda file",
        position=pin.position,
    )
