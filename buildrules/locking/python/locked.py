"""One locked package and its file, as a lock names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.errors import IntegrityError, LockError
from buildrules.store.blobs import hex_of

WHEEL, SDIST, DIRECTORY = "wheel", "sdist", "directory"


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A wheel or source archive. `path` is workspace-relative; with neither `url` nor `path` an index has it."""

    filename: str
    sha256: str  # 64 hex digits
    size: int | None = None  # bytes, where the index says
    url: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """`kind` is "wheel", "sdist" or "directory" (of the workspace: `directory`, then without `file`).

    `direct` says that the file was asked for by url or path, and not found in an index. `asks` is the digest of what a
    directory's project asked for when it was locked (`projects.Asking`); "" in locks of an older version. `index` names
    the one index that it comes from, where it is assigned to one (`feeds.Feeds.assigned`). `variables` are what
    BUILD.yaml gives the build back end of a directory; with a version declared there, the directory has that version.
    """

    name: str
    version: str
    kind: str
    file: LockedFile | None = None
    directory: str | None = None
    direct: bool = False
    asks: str = ""
    index: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def row(self) -> list[str]:
        """A wheel as `actions.params.WheelParams` has it: file name and sha256."""
        assert self.file
        return [self.file.filename, self.file.sha256]

    def params(self) -> dict[str, Any]:
        """What an action needs to know of the file: name, version, filename, sha256, size."""
        assert self.file
        return {
            "name": self.name,
            "version": self.version,
            "filename": self.file.filename,
            "sha256": self.file.sha256,
            "size": self.file.size,
        }


def check_sha256(value: object, what: str) -> str:
    """The 64 hex digits. Raises LockError on anything else."""
    try:
        return hex_of(str(value).lower())
    except IntegrityError:
        raise LockError(
            f"{what} has no sha256",
            hint="the package index does not say what it serves; use one that gives sha256 digests",
        ) from None
