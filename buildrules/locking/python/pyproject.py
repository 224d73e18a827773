"""Requirements of a pyproject.toml: project.dependencies, chosen extras and dependency groups (PEP 621, PEP 735)."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from buildrules.document.plain_toml import read_toml
from buildrules.errors import Position
from buildrules.locking.python.collector import PythonPin
from buildrules.locking.python.formats import OTHER_TOOLS, PROJECT, PYPROJECT
from buildrules.locking.python.kinds import folder_from
from buildrules.locking.python.other_locks import read_other_lock
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.uv_table import UvTable, position_in

if TYPE_CHECKING:
    from buildrules.locking.python.collector import Collector


def read_pyproject(
    collector: "Collector", path: str, extras: Sequence[str], groups: Sequence[str], position: Position | None
) -> None:
    """Add what `path` (workspace-relative) asks for to `collector`, with the errors that come up."""
    if os.path.isdir(os.path.join(collector.root, path)):
        path = os.path.normpath(os.path.join(path, "pyproject.toml"))
    text = collector.open(path, position)
    if text is None or collector.is_mistaken(path, text, "pyproject", position):
        return
    try:
        data = read_toml(text)
    except ValueError as error:
        collector.fail(f"cannot read {path!r}: {error}", position)
        return
    reader = _Reader(collector, path, text, position)
    project = reader.table(data, "project")
    tools = reader.table(data, "tool")
    uv = reader.table(tools, "uv", "tool.")
    reader.uv = UvTable(collector, path, reader.position)
    limits = reader.table(uv, "dependency-groups", "tool.uv.")
    reader.python(
        [project.get("requires-python"), *(reader.table(limits, one).get("requires-python") for one in groups)]
    )
    if not project and not groups:
        reader.fail_without_project(tools)
        return
    reader.look_at_other_tools(tools, project)
    for table, known, prefix in ((data, PYPROJECT, ""), (project, PROJECT, "project.")):
        for key in [one for one in table if one not in known]:
            collector.found.notes.append(f"{reader.position(key)}: {prefix}{key} is not known, and not read")
    folder = os.path.dirname(path)
    read_other_lock(collector, [folder, *Projects(collector.root).roots(folder)])
    if extras or not groups:
        dynamic = project.get("dynamic", [])
        if not isinstance(dynamic, list):
            collector.fail("project.dynamic must be a list of strings", reader.position("dynamic"))
        elif "dependencies" in dynamic:
            collector.fail(
                "project.dependencies is dynamic, so only a build would tell",
                reader.position("dynamic"),
                reader.by_folder(),
            )
        reader.add_all(project.get("dependencies", []), "project.dependencies")
    elif project.get("dependencies"):
        place = reader.position("dependencies")
        collector.found.notes.append(f"{place}: project.dependencies are left out: groups are taken by themselves")
    optional = reader.table(project, "optional-dependencies", "project.")
    reader.add_extras(optional, str(project.get("name", "")), extras, position)
    table = reader.table(data, "dependency-groups")
    if isinstance(older := uv.get("dev-dependencies"), list):  # what uv had before PEP 735, and joins to the group
        table = {**table, "dev": [*table.get("dev", ()), *older]}
    reader.add_groups(table, groups, position)


class _Reader:
    uv: UvTable

    def __init__(self, collector: "Collector", path: str, text: str, asked: Position | None) -> None:
        self.collector = collector
        self.path = path
        self.asked = asked
        self.position = position_in(path, text)

    def table(self, data: dict[str, Any], name: str, prefix: str = "") -> dict[str, Any]:
        """The table `name` of `data`; empty where there is none, or, with the error noted, something else."""
        value = data.get(name, {})
        if isinstance(value, dict):
            return value
        self.collector.fail(f"{prefix}{name} must be a table", self.position(name))
        return {}

    def add_all(self, items: Any, what: str, part: tuple[str, str] = ("", "")) -> None:
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self.collector.fail(f"{what} must be a list of strings", self.position(what.rpartition(".")[2]))
            return
        for item in items:
            position = self.position(item)
            if not self.uv.add(item, position, part):
                self.collector.add(item, os.path.dirname(self.path), position)

    def python(self, limits: Sequence[Any]) -> None:
        """The pin on Python: PEP 621's `requires-python`, and those that uv has for groups."""
        given = [one for one in limits if one is not None]
        if not given:
            return
        wanted = ",".join(given) if all(isinstance(one, str) for one in given) else given[0]
        try:
            pin = PythonPin(str(SpecifierSet(wanted)), wanted, self.position("requires-python"), "the pyproject.toml")
        except (InvalidSpecifier, TypeError, AttributeError):
            self.collector.fail(f"requires-python {wanted!r} is no version specifier", self.position("requires-python"))
        else:
            self.collector.found.python = self.collector.found.python or pin

    def by_folder(self) -> str:
        """The way out where only a back end knows what a project needs."""
        return (
            "give the project itself, which is then built and installed, without pyproject:"
            f" requirements: [{folder_from(self.asked, self.path)}]; or list the requirements in the BUILD.yaml or in a"
            " requirements file"
        )

    def fail_without_project(self, tools: dict[str, Any]) -> None:
        """The error for a file without [project], which names what was found instead."""
        folder = os.path.join(self.collector.root, os.path.dirname(self.path))
        found = [f"[tool.{tool}.{table}]" for tool, table in self.of_other_tools(tools)]
        found += [name for name in ("setup.cfg", "setup.py") if os.path.isfile(os.path.join(folder, name))]
        said = f", and what is in {', '.join(found)} is for its build back end" if found else ""
        place = self.position(found[0]) if found else Position(self.path, 1)
        hint = self.by_folder() if found else "list what is needed as dependencies under [project]; or leave it out"
        self.collector.fail(f"{self.path!r} has no [project] table{said}", place, hint)

    @staticmethod
    def of_other_tools(tools: dict[str, Any]) -> list[tuple[str, str]]:
        """The tables [tool.X.Y] in which other tools say what is needed, or where it comes from."""
        return [
            (tool, table)
            for tool, tables in OTHER_TOOLS.items()
            for table in tables
            if isinstance(tools.get(tool), dict) and table in tools[tool]
        ]

    def look_at_other_tools(self, tools: dict[str, Any], project: dict[str, Any]) -> None:
        """An error for tables of other tools that say where the dependencies of [project] come from."""
        for tool, table in self.of_other_tools(tools):
            found = tools[tool][table]
            elsewhere = [
                name
                for name, entry in (found.items() if isinstance(found, dict) else ())
                for one in (entry if isinstance(entry, list) else [entry])
                if isinstance(one, dict) and {"path", "git", "url", "source", "file"} & one.keys()
            ]
            if elsewhere and tool in ("poetry", "pdm", "pixi"):
                self.collector.fail(
                    f"[tool.{tool}.{table}] says where {elsewhere[0]!r} comes from, which is not read",
                    self.position(f"{elsewhere[0]} ="),
                    "say it in [tool.uv.sources], or give the package in requirements by its path",
                )
            elif table in ("source", "sources", "resolution", "pypi-options") or (
                tool not in {"setuptools", "hatch"}
                and (not project.get("dependencies") or (isinstance(found, dict) and _says_more(tool, found)))
            ):
                self.collector.found.notes.append(f"{self.path}: [tool.{tool}.{table}] is not read")

    def add_extras(self, table: dict[str, Any], own: str, extras: Sequence[str], position: Position | None) -> None:
        known = {canonicalize_name(name): items for name, items in table.items()}
        wanted, done = [canonicalize_name(extra) for extra in extras], set[str]()
        while wanted:
            extra = wanted.pop(0)
            if extra in done:
                continue
            done.add(extra)
            if extra not in known:
                names = ", ".join(sorted(known)) or "none"
                self.collector.fail(f"{self.path!r} has no extra {extra!r}", position, f"it has: {names}")
                continue
            rest = []
            for item in known[extra] if isinstance(known[extra], list) else [known[extra]]:
                try:
                    parsed = Requirement(item)
                except (InvalidRequirement, TypeError):
                    rest.append(item)
                    continue
                if own and canonicalize_name(parsed.name) == canonicalize_name(own):  # "own[other]"
                    wanted.extend(canonicalize_name(name) for name in sorted(parsed.extras))
                else:
                    rest.append(item)
            self.add_all(rest, f"project.optional-dependencies.{extra}", ("extra", extra))

    def add_groups(self, table: dict[str, Any], groups: Sequence[str], position: Position | None) -> None:
        for group in groups:
            try:
                items = list(resolve_dependency_groups(table, group))
            except (LookupError, ValueError, TypeError, ExceptionGroup) as error:
                names = ", ".join(sorted(table)) or "none"
                self.collector.fail(
                    f"dependency group {group!r} of {self.path!r} cannot be read: {_first(error)}",
                    position,
                    f"it has: {names}",
                )
                continue
            self.add_all(items, f"dependency-groups.{group}", ("group", canonicalize_name(group)))


def _says_more(tool: str, table: dict[str, Any]) -> bool:
    """Whether a table beside [project] asks for more than it: pixi adds its packages, poetry limits their versions."""
    versions = [
        one.get("version", "*") if isinstance(one, dict) else one for name, one in table.items() if name != "python"
    ]
    return any(tool == "pixi" or version != "*" for version in versions)


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error.args[0] if error.args else error)
