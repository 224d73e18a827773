"""The [tool.uv] table of a pyproject.toml: where its dependencies come from, and what else changes their meaning.

Format: docs.astral.sh/uv, "Dependency sources" and "Settings". uv itself reads the settings of the workspace's root,
so there every key counts; elsewhere a key counts as `formats.UV` has it.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from buildrules.credentials.redact import redact, scrub
from buildrules.document.plain_toml import read_toml
from buildrules.errors import LoadError, Position
from buildrules.locking.python.formats import HARMLESS, HONOURED, INDEX, REFUSED, SOURCE, UV
from buildrules.locking.python.projects import Projects, uv_of
from buildrules.locking.python.requirement import local
from buildrules.rules.repository import released

if TYPE_CHECKING:
    from packaging.requirements import Requirement as Parsed

    from buildrules.locking.python.collector import Collector


def position_in(path: str, text: str) -> Callable[[str], Position]:
    """Tells where a text stands in the TOML file at `path`, of which the reader keeps no positions."""
    lines = text.splitlines()

    def position(needle: str) -> Position:
        for number, line in enumerate(lines, 1):
            column = line.find(needle)
            if column >= 0:
                return Position(path, number, column + 1, scrub(line))
        return Position(path, 1)

    return position


_WAY_OUT = "write it in a uv.toml at the workspace's root, which uv reads; or remove it"


class UvTable:
    """What [tool.uv] of the pyproject.toml at `path` (workspace-relative) says; errors go to the collector.

    `position` tells where a text of the file stands.
    """

    def __init__(self, collector: "Collector", path: str, position: Callable[[str], Position]) -> None:
        self._collector = collector
        self._folder = os.path.dirname(path)
        self._position = position
        self._projects = Projects(collector.root)
        self._sources = dict(self._projects.sources(self._folder))
        for above in dict.fromkeys((self._folder, *self._projects.roots(self._folder))):
            collector.watch(*(os.path.join(above, name) for name in ("pyproject.toml", "uv.toml")))
            if above:
                self._read_settings(above)

    def _read_settings(self, folder: str) -> None:
        """Those of a folder's uv.toml, which uv reads instead of [tool.uv], or else of its pyproject.toml."""
        collector, path = self._collector, os.path.join(folder, "uv.toml")
        whole = os.path.isfile(os.path.join(collector.root, path))
        path = path if whole else os.path.join(folder, "pyproject.toml")
        text = collector.open(path, Position(path, 1))
        try:
            table = read_toml(text or "")
        except ValueError as error:
            collector.fail(f"cannot read {path!r}: {error}", Position(path, 1))
        else:
            self._settings(folder, path, table if whole else uv_of(table), position_in(path, text or ""))

    def _settings(self, folder: str, path: str, table: dict[str, Any], position: Callable[[str], Position]) -> None:
        collector, of = self._collector, "" if path.endswith("uv.toml") else " of [tool.uv]"
        for key, value in table.items():
            verdict = UV.get(key)
            if verdict == HARMLESS:
                continue
            if verdict is None:
                collector.found.notes.append(f"{path}:{of.removeprefix(' of')} {key} is not known, and left out")
            elif key == "index" and all(isinstance(one, dict) and one.get("explicit") for one in value):
                continue  # what comes from there says so in its source
            elif verdict == REFUSED or key == "index":
                collector.fail(f"{path!r}: {key!r}{of} is not taken from here", position(key), _WAY_OUT)
            elif key == "prerelease":
                if value == "allow":
                    collector.found.prerelease = True
                elif value not in ("if-necessary-or-explicit", "if-necessary", "explicit"):
                    collector.fail(f"prerelease {value!r}{of} is not taken", position(key), _WAY_OUT)
            elif key == "constraint-dependencies" and isinstance(value, list):
                for item in value:
                    collector.line(str(item), folder, position(str(item)), constraint=True)
            elif key == "exclude-dependencies" and isinstance(value, list):
                collector.found.exclude += [str(name) for name in value]

    def add(self, text: str, position: Position, part: tuple[str, str] = ("", "")) -> bool:
        """Add a requirement from where the table says it comes from; False where the table does not say.

        `part` is ("extra", name) or ("group", name), normalised, where the requirement stands in one.
        """
        if not self._sources:
            return False
        try:
            parsed = Parsed(text)
        except InvalidRequirement:
            return False
        name = canonicalize_name(parsed.name)
        place = self._position(f"{parsed.name} =")
        place = place if place.line > 1 else position
        entries = [row for row in self._sources.get(name, ()) if self._holds(name, row[1], part, place)]
        for folder, entry in entries:
            try:
                self._entry(parsed, folder, entry, place)
            except LoadError as error:
                self._collector.errors.append(error)
        if entries and parsed.specifier:
            self._collector.add_constraint(f"{name}{parsed.specifier}", self._folder, position)
        return bool(entries)

    def _holds(self, name: str, entry: dict[str, Any], part: tuple[str, str], place: Position) -> bool:
        """Whether an entry is for the image's platform, and for the extra or group that asks; as uv takes them."""
        for kind in ("extra", "group"):
            if kind in entry and (kind, canonicalize_name(str(entry[kind]))) != part:
                return False
        try:
            return "marker" not in entry or Marker(str(entry["marker"])).evaluate(self._collector.environment)
        except InvalidMarker:
            self._collector.fail(f"the source of {name!r} has a marker that is none: {entry['marker']!r}", place)
            return True

    def _entry(self, parsed: "Parsed", folder: str, entry: dict[str, Any], place: Position) -> None:
        name = parsed.name
        if "git" in entry:
            revision = entry.get("rev") or entry.get("tag") or entry.get("branch") or ""
            part = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
            address = f"git+{entry['git']}" + (f"@{revision}" if revision else "") + part
            raise LoadError(
                f"the source of {name!r} is a repository, which has no fixed content to lock",
                position=place,
                hint=released(name, address),
            )
        for key in entry:
            if SOURCE.get(key) not in (HONOURED, HARMLESS):
                raise LoadError(
                    f"{key!r} in the source of {name!r} is not supported",
                    position=place,
                    hint="give the package by path, url, workspace or index",
                )
        if isinstance(entry.get("index"), str):
            index = self._index(entry["index"], place)
            self._collector.add(str(parsed), folder, place)
            self._collector.found.sources.append((canonicalize_name(name), entry["index"], index))
            return
        marker = str(parsed.marker or "")
        if isinstance(entry.get("url"), str):
            extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
            self._collector.add(f"{name}{extras} @ {entry['url']}" + (f" ; {marker}" if marker else ""), folder, place)
            return
        if isinstance(entry.get("path"), str):
            path, where = entry["path"], folder
        elif entry.get("workspace") is True:
            where = ""
            path = next(iter(self._projects.member(name, self._folder)), "")
            if not path:
                raise LoadError(
                    f"the source of {name!r} is the uv workspace, which has no such member",
                    position=place,
                    hint="name its folder in members of [tool.uv.workspace], or give it by path",
                )
        else:
            raise LoadError(f"the source of {name!r} says no path, url, workspace or index", position=place)
        self._collector.take(
            local(path, self._collector.root, where, place, name, tuple(sorted(parsed.extras)), marker)
        )

    def _index(self, name: str, place: Position) -> str:
        """The url of an index: one of the workspace's files, or a connection. Raises LoadError."""
        for table in self._projects.indexes(self._folder):
            if table.get("name") == name:
                for key, value in table.items():
                    if INDEX.get(key) == REFUSED or (key == "format" and value != "simple"):
                        raise LoadError(
                            f"{key!r} of the index {name!r} is not supported",
                            position=self._position(key),
                            hint="remove it; or give the package by its path or url",
                        )
                    if key not in INDEX:
                        self._collector.found.notes.append(f"{place}: {key!r} of the index {name!r} is not read")
                url = str(table.get("url", ""))
                if not url.startswith(("http://", "https://")) or redact(url) != url:
                    raise LoadError(
                        f"the address of the index {name!r} cannot be taken: {redact(url)!r}",
                        position=place,
                        hint="write it like https://HOST/simple; a login belongs to a connection with this address",
                    )
                return url
        for connection in self._collector.connections:
            if connection.name == name and connection.is_feed:
                return connection.target
        raise LoadError(
            f"there is no index {name!r}",
            position=place,
            hint=f"write it as [[tool.uv.index]] with `explicit = true`, or declare a python_feed {name!r} under"
            " workspace.connections",
        )
