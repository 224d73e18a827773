"""Conda files: read once, for wheels or for the solver that knows conda's packages.

Format: docs.conda.io, "Managing environments", "Creating an environment file manually". For wheels the packages are
requirements, by `conda`; for the solver specs are left as they are (MatchSpec), since only it knows what they mean. The
list for pip goes to the requirements either way.
"""

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildrules.actions.python.exclusion import is_excluded
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, Position
from buildrules.locking.python.collector import Asked, Collector, CondaAsked, PythonPin
from buildrules.locking.python.conda import conda_spec, is_brought, is_ignored, wheel_name
from buildrules.locking.python.formats import CONDA
from buildrules.workspace.suggest import nearest

SETUPTOOLS = "setuptools<81"
"""What conda's pip brings along: the last ones with pkg_resources."""

SOLVER = "`solver: conda` beside `conda_file` takes conda's own packages"
_MOST = 20_000  # values of a file: a hundred times as many as `conda env export` writes
_FREE_THREADED = re.compile(r"_cp3(\d+)t\b")  # in the build string of a Python
_WHOLE = re.compile(r"(?<![<>=!~])==(\d+(?:\.\d+)?)(?=,|$)")
_ALIKE = 0.75  # of two keys, one of which is a slip of the other


class Dependency(NamedTuple):
    """A conda package: its name in lower case and a PEP 440 specifier. Without a name: a line of the list for pip."""

    node: Node
    name: str = ""
    specifier: str = ""


class CondaFile:
    """What a conda file asks for, in file order, and in `errors` what of it cannot be read.

    `root` is its map, None where there is none. `specs` are the packages as they are written; `packages` are those for
    wheels, without the Python, and without what means nothing outside of conda, and the lines for pip. `foreign_specs`
    are those of `errors` that only wheels have.
    """

    def __init__(self, root: Node | None) -> None:
        self.root = root if root is not None and root.kind == "map" else None
        self.errors: list[LoadError] = []
        self.foreign_specs: list[LoadError] = []
        self.python: PythonPin | None = None
        self.specs: list[Asked] = []
        self.packages: list[Dependency] = []
        self.pip: Node | None = None
        if self.root is None:
            return
        dependencies = self.root.entries.get("dependencies")
        if dependencies is None or dependencies.kind != "list":
            place = self.root.keys.get("dependencies") or self.root
            odd = next((key for key in self.root.keys if key not in CONDA), None)
            hint = f"{odd!r} is no key of a conda file" if odd and dependencies is None else None
            self.errors.append(place.error("'dependencies' of a conda file must be a list", hint))
            return
        for node in dependencies.items:
            try:
                self._take(node)
            except LoadError as error:
                self.errors.append(error)

    def _take(self, node: Node) -> None:
        if node.kind == "map" and node.entries.keys() == {"pip"}:
            lines = node.entries["pip"]
            wrong = next((line for line in lines.items if line.kind != "scalar"), None)
            if not lines.is_null and (lines.kind != "list" or wrong is not None):
                raise (wrong or lines).error("'pip' must hold a list of requirements")
            self.packages += [Dependency(line) for line in lines.items]
            return
        if node.kind != "scalar":
            raise node.error("a dependency must be a package or a list under 'pip'")
        text = node.text.strip()
        self.specs.append(Asked(text, node.position))
        try:
            spec, why = conda_spec(text), f"{text!r} is not a conda package"
        except ValueError as error:
            spec, why = None, f"conda package {text!r} {error}"
        if spec is None:
            self.foreign_specs.append(node.error(why, SOLVER if "|" in text or "[" in text else None))
            raise self.foreign_specs[-1]
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
    def channels(self) -> list[Asked]:
        """Where its packages are taken from. Raises LoadError for what cannot be read."""
        listed = self.root.entries.get("channels") if self.root is not None else None
        if listed is None or listed.is_null:
            return []
        if listed.kind != "list":
            raise listed.error("'channels' of a conda file must be a list")
        return [Asked(node.string("a channel").strip(), node.position) for node in listed.items]

    @property
    def said(self) -> Any:
        """Its content, as JSON types."""
        return self.root.value(Problems()) if self.root is not None else None

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

    def check_keys(self) -> None:
        """Raise LoadError for a key that is a slip of another."""
        assert self.root is not None
        for key, node in self.root.keys.items():
            meant = nearest(key, CONDA, cutoff=_ALIKE) if key not in CONDA else None
            if meant is not None and meant not in self.root.entries:
                raise node.error(f"{key!r} is not a key of a conda file", hint=f"did you mean '{meant}'?")


def read_conda(collector: Collector, path: str, position: Position | None, *, solved: bool = False) -> None:
    """Add what the conda file `path` (workspace-relative) asks for to `collector`, with the errors that come up.

    With `solved` its packages are for conda's solver. Raises LoadError for slips in its keys and channels then.
    """
    text = collector.open(path, position)
    if text is None or collector.is_mistaken(path, text, "conda_file", position):
        return
    problems = Problems()
    file = CondaFile(parse(path, text.encode(), problems, aliases=True, most=_MOST))
    if solved and file.root is not None:
        file.check_keys()
    unread = file.foreign_specs if solved else []
    collector.errors += [*problems.errors, *(error for error in file.errors if error not in unread)]
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
    if solved:
        for one in file.packages:
            if not one.name:
                collector.line(one.node.text, folder, one.node.position)
        excluded = [one for one in file.specs if _is_out(one.name, collector)]
        found.notes += [f"conda package {one.name!r} is left out, as asked ({one.position})" for one in excluded]
        found.conda = CondaAsked([one for one in file.specs if one not in excluded], file.channels, folder)
    else:
        _wheels(collector, path, file)


def _is_out(name: str, collector: Collector) -> bool:
    return any(is_excluded(spelt, collector.exclude) for spelt in (name, name.replace("_", "-")))


def _wheels(collector: Collector, path: str, file: CondaFile) -> None:
    """Add the conda packages of a file as requirements of wheels."""
    found, folder = collector.found, os.path.dirname(path)
    foreign: list[Dependency] = []
    brought: list[Dependency] = []
    for one in file.packages:
        node, name, specifier = one
        if not name:
            collector.line(node.text, folder, node.position)
        elif (wheel := wheel_name(name)) is not None:
            collector.add(wheel + specifier, folder, node.position, conda=name)
        elif _is_out(name, collector):
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


def _refuse(collector: Collector, foreign: Sequence[Dependency]) -> None:
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
        f"{SOLVER}; or provide {it} in the base; or leave {it} out on purpose with exclude: [{', '.join(names)}]",
    )
