"""conda.yaml as MLflow and Azure ML write it: a Python pin, conda packages, and a pip list.

Conda packages are taken as wheels, by the names in `conda_names.json`. What lies below Python packages, as
`conda env export` lists it, is left out with a word; other packages that are not Python are an error that names them:
nothing is dropped in silence. Specs follow conda's MatchSpec as far as it has a meaning for wheels:
`=1.2` is fuzzy, `==1.2` exact, a build string pins the version and is otherwise left out.
"""

import fnmatch
import functools
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildrules.actions.python.exclusion import is_excluded
from buildrules.actions.python.target import minor_of
from buildrules.errors import LoadError, Position, ResolutionError
from buildrules.locking.python.collector import PythonPin
from buildrules.locking.python.formats import CONDA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildrules.document.nodes import Node
    from buildrules.locking.python.collector import Collector

_MOST = 20_000  # values of a file: a hundred times as many as `conda env export` writes
_SPEC = re.compile(  # possessive: what does not fit is given up at once, however long it is
    r"(?:(?P<channel>[^\s:\[]++)::)?(?P<name>[A-Za-z0-9_.-]++)(?P<rest>[^\[]*+)(?:\[(?P<brackets>.*)\])?$"
)
_BRACKET = re.compile(r"\s*(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,'\"\s]+))\s*(?:,|$)")
_FREE_THREADED = re.compile(r"_cp3(\d+)t\b")  # in the build string of a Python
_WHOLE = re.compile(r"(?<![<>=!~])==(\d+(?:\.\d+)?)(?=,|$)")
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
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

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


SETUPTOOLS = "setuptools<81"
"""What conda's pip brings along: the last ones with pkg_resources."""


class Dependency(NamedTuple):
    """A conda package: its name in lower case and a PEP 440 specifier. Without a name: a line of the list for pip."""

    node: "Node"
    name: str = ""
    specifier: str = ""


class CondaFile:
    """What a conda file asks for, in file order, and in `errors` what of it cannot be read.

    `root` is its map, None where there is none. `packages` are without the Python, and without what means nothing
    outside of conda.
    """

    def __init__(self, root: "Node | None") -> None:
        self.root = root if root is not None and root.kind == "map" else None
        self.errors: list[LoadError] = []
        self.python: PythonPin | None = None
        self.packages: list[Dependency] = []
        self.pip: Node | None = None
        if self.root is None:
            return
        dependencies = self.root.entries.get("dependencies")
        if dependencies is None or dependencies.kind != "list":
            place = dependencies or self.root
            self.errors.append(place.error("'dependencies' of a conda file must be a list"))
            return
        for node in dependencies.items:
            try:
                self._take(node)
            except LoadError as error:
                self.errors.append(error)

    def _take(self, node: "Node") -> None:
        if node.kind == "map" and node.entries.keys() == {"pip"}:
            lines = node.entries["pip"]
            if not lines.is_null and (lines.kind != "list" or any(line.kind != "scalar" for line in lines.items)):
                raise lines.error("'pip' must hold a list of requirements")
            self.packages += [Dependency(line) for line in lines.items]
            return
        if node.kind != "scalar":
            raise node.error("a dependency must be a package or a list under 'pip'")
        text = node.text.strip()
        try:
            spec = conda_spec(text)
        except ValueError as error:
            raise node.error(f"conda package {text!r} {error}") from None
        if spec is None:
            raise node.error(f"{text!r} is not a conda package")
        name, specifier = spec
        if name == "python":
            # Conda's ==3.12, and 3.12 with a build, stand for the minor version: there are patches of it only.
            specifier, free = _WHOLE.sub(r"==\1.*", specifier), _FREE_THREADED.search(text)
            specifier = specifier or (f"==3.{free[1]}.*" if free else "")
            pin = PythonPin(specifier, text, node.position, free_threaded=free is not None)
            self.python = self.python or (pin if specifier else None)
        elif name == "pip" and self.pip is None:
            self.pip = node
        if name != "python" and not is_ignored(name):
            self.packages.append(Dependency(node, name, specifier))

    @property
    def unread(self) -> list[str]:
        """Keys that no conda file has."""
        keys = self.root.keys.items() if self.root is not None else ()
        return [
            f"{at.position}: {key!r} is not a key of a conda file, and not read" for key, at in keys if key not in CONDA
        ]

    @property
    def foreign(self) -> list[Dependency]:
        """The conda packages that are no Python packages."""
        return [one for one in self.packages if one.name and wheel_name(one.name) is None]


def read_conda(collector: "Collector", path: str, position: Position | None) -> None:
    """Add what the conda file `path` (workspace-relative) asks for to `collector`, with the errors that come up."""
    from buildrules.document.problems import Problems
    from buildrules.document.reader import parse

    text = collector.open(path, position)
    if text is None or collector.is_mistaken(path, text, "conda_file", position):
        return
    problems = Problems()
    file = CondaFile(parse(path, text.encode(), problems, aliases=True, most=_MOST))
    collector.errors += [*problems.errors, *file.errors]
    if file.root is None:
        if not problems.errors:
            collector.fail(f"{path!r} is not a conda file: it has no 'dependencies'", Position(path, 1))
        return
    found, folder = collector.found, os.path.dirname(path)
    found.python = found.python or file.python
    found.notes += file.unread
    if (variables := file.root.keys.get("variables")) is not None:
        place, way = variables.position, "packages set them, by `environment`"
        found.notes.append(f"variables of a conda file are no part of an environment: {way} ({place})")
    foreign: list[Dependency] = []
    brought: list[Dependency] = []
    for one in file.packages:
        node, name, specifier = one
        if not name:
            collector.line(node.text, folder, node.position)
        elif (wheel := wheel_name(name)) is not None:
            collector.add(wheel + specifier, folder, node.position, conda=name)
        elif any(is_excluded(spelt, collector.exclude) for spelt in (name, name.replace("_", "-"))):
            found.notes.append(f"conda package {name!r} is left out, as asked ({node.position})")
        else:
            (brought if is_brought(name) else foreign).append(one)
    if brought:
        names = ", ".join(one.name for one in brought)
        found.notes.append(f"{path}: left out, since wheels and the base's Python bring their own: {names}")
    named = {item.name for item in (*found.items, *found.constraints)}
    if file.pip is not None and "setuptools" not in named and not is_excluded("setuptools", collector.exclude):
        collector.add(SETUPTOOLS, folder, file.pip.position, conda="pip")
    if foreign:
        _refuse(collector, foreign)


def _refuse(collector: "Collector", foreign: "Sequence[Dependency]") -> None:
    """One error for all conda packages that are not Python."""
    first = foreign[0].node.position
    names = [one.name for one in foreign]
    if len(foreign) == 1:
        message = f"conda package {names[0]!r} is not a Python package, so there is no wheel of it"
    else:
        listed = ", ".join(f"{one.name!r} (line {one.node.position.line})" for one in foreign)
        message = f"{len(foreign)} conda packages are not Python packages, so there are no wheels of them: {listed}"
    it = "it" if len(foreign) == 1 else "them"
    collector.fail(
        message,
        first,
        f"make it a conda_env, which takes conda's own packages; or provide {it} in the base; or leave {it} out"
        f" on purpose with exclude: [{', '.join(names)}]",
    )


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
    """The specifier (PEP 440) that a `python` attribute stands for: itself, or that of a version ("3.11").

    Raises LoadError for what is neither.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    specifier = python if python.startswith(tuple("<>=!~")) else f"=={python}.*"
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
    from packaging.specifiers import SpecifierSet

    if override is not None:
        if not SpecifierSet(specifier_of(override)).contains(python):
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
