"""Requirements of a pyproject.toml: project.dependencies, chosen extras and dependency groups (PEP 621, PEP 735)."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from buildrules.credentials.redact import scrub
from buildrules.errors import Position

if TYPE_CHECKING:
    from buildrules.locking.python.collector import Collector


def read_pyproject(
    collector: "Collector", path: str, extras: Sequence[str], groups: Sequence[str], position: Position | None
) -> None:
    """Add what `path` (workspace-relative) asks for to `collector`, with the errors that come up."""
    import tomllib

    text = collector.open(path, position)
    if text is None:
        return
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        collector.fail(f"cannot read {path!r}: {error}", position)
        return
    reader = _Reader(collector, path, text)
    project = reader.table(data, "project")
    if extras or not groups:
        dynamic = project.get("dynamic", [])
        if not isinstance(dynamic, list):
            collector.fail("project.dynamic must be a list of strings", reader.position("dynamic"))
        elif "dependencies" in dynamic:
            collector.fail(
                "project.dependencies is dynamic, so only a build would tell",
                reader.position("dynamic"),
                "list the requirements in the BUILD.yaml or in a requirements file",
            )
        reader.add_all(project.get("dependencies", []), "project.dependencies")
    optional = reader.table(project, "optional-dependencies", "project.")
    reader.add_extras(optional, str(project.get("name", "")), extras, position)
    reader.add_groups(reader.table(data, "dependency-groups"), groups, position)


class _Reader:
    def __init__(self, collector: "Collector", path: str, text: str) -> None:
        self.collector = collector
        self.path = path
        self.lines = text.splitlines()

    def position(self, needle: str) -> Position:
        """Where `needle` stands; tomllib keeps no positions."""
        for number, line in enumerate(self.lines, 1):
            column = line.find(needle)
            if column >= 0:
                return Position(self.path, number, column + 1, scrub(line))
        return Position(self.path, 1)

    def table(self, data: dict[str, Any], name: str, prefix: str = "") -> dict[str, Any]:
        """The table `name` of `data`; empty where there is none, or, with the error noted, something else."""
        value = data.get(name, {})
        if isinstance(value, dict):
            return value
        self.collector.fail(f"{prefix}{name} must be a table", self.position(name))
        return {}

    def add_all(self, items: Any, what: str) -> None:
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self.collector.fail(f"{what} must be a list of strings", self.position(what.rpartition(".")[2]))
            return
        for item in items:
            self.collector.add(item, os.path.dirname(self.path), self.position(item))

    def add_extras(self, table: dict[str, Any], own: str, extras: Sequence[str], position: Position | None) -> None:
        from packaging.requirements import InvalidRequirement, Requirement
        from packaging.utils import canonicalize_name

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
            self.add_all(rest, f"project.optional-dependencies.{extra}")

    def add_groups(self, table: dict[str, Any], groups: Sequence[str], position: Position | None) -> None:
        from packaging.dependency_groups import resolve_dependency_groups

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
            self.add_all(items, f"dependency-groups.{group}")


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error.args[0] if error.args else error)
