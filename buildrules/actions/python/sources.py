"""Packages that belong to one index, said to uv: a project beside the requirements that names each with its source.

Format: docs.astral.sh/uv, "Package indexes" (explicit indexes) and "Dependency sources". uv takes a source for what a
project asks for itself, and from then on for everybody who asks for the package.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from buildrules.credentials.connections import Connection

PROJECT = "packages-of-connections"
"""The name of that project, which uv says in errors."""


class Source(NamedTuple):
    """The one index that a package comes from: its name and url, and the connection that opens it, if there is one."""

    name: str
    url: str
    connection: Connection | None = None

    def named(self) -> str:
        """For people."""
        return f"connection {self.name!r}" if self._is_connection() else f"the index {self.name!r} ({self.url})"

    def said_in(self) -> str:
        """Where a user says so."""
        return f"workspace.connections.{self.name}.packages" if self._is_connection() else "[tool.uv.sources]"

    def _is_connection(self) -> bool:
        return self.connection is not None and self.connection.name == self.name


def write_sources(folder: str, sources: Mapping[str, Source]) -> str:
    """Write the project, which asks for the packages of `sources` (by normalised name); returns its path, for uv."""
    import tomli_w

    indexes = {source.name: source.url for source in sources.values()}
    uv = {
        "workspace": {},  # it belongs to no other
        "index": [{"name": name, "url": url, "explicit": True} for name, url in sorted(indexes.items())],
        "sources": {name: {"index": source.name} for name, source in sorted(sources.items())},
    }
    project = {"name": PROJECT, "version": "0", "dependencies": sorted(sources)}
    path = os.path.join(folder, "sources", "pyproject.toml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(tomli_w.dumps({"project": project, "tool": {"uv": uv}}))
    return path
