"""What the uri of a model names: a source and its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.errors import UsageError
from buildrules.oci.paths import bad_path, too_long
from buildrules.start.sources import safe_path

LARGEST = 1 << 62
"""So many bytes no file has."""

OPTIONAL = ("key", "archive", "version", "etag")
"""Fields of a file that it need not have."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: `path` below the model's directory, `size` in bytes, `sha256` in hex.

    `key` is what the source calls it, where that is not the path; with `archive`, the sha256 of an archive that is
    fetched instead, it is the name of the member. `version` is the one of several that the source keeps; `etag` is
    what the source said of it when it was locked, by which a later lock sees that it is the same still.
    """

    path: str
    size: int
    sha256: str
    key: str | None = None
    archive: str | None = None
    version: str | None = None
    etag: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what is not set is left out."""
        found: dict[str, Any] = {"path": self.path, "size": self.size, "sha256": self.sha256}
        return found | {name: value for name in OPTIONAL if (value := getattr(self, name)) is not None}


def check_files(what: str, files: Sequence[File]) -> None:
    """Raise UsageError where the paths of a model's files cannot stand side by side below one directory."""
    if not files:
        raise UsageError(f"{what!r} has no files")
    seen: set[str] = set()
    folders: set[str] = set()
    for file in files:
        if not safe_path(file.path) or bad_path(file.path) or too_long(file.path):
            raise UsageError(f"{what!r} has a file named {file.path!r:.300}, which cannot be laid in an image")
        if file.path in seen:
            raise UsageError(f"{what!r} has two files named {file.path!r}")
        seen.add(file.path)
        parts = file.path.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for path in sorted(seen & folders):
        raise UsageError(f"{what!r} has a file and a folder named {path!r}")
