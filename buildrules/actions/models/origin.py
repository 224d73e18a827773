"""Where a model comes from when it is not in the workspace: uris, and what they resolve to.

A kind of origin is a module of this package with two functions:

    resolve(uri, access) -> Resolved     what the uri names now: a source and its files, with sizes and digests
    place(uri) -> dict                   the source of files that are known already and lie below it (`download_uri`)

Neither puts a credential into what it gives; both raise UsageError (without a position) for a uri that makes no sense,
and the errors of a fetch.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from buildrules.errors import UsageError
from buildrules.start.sources import safe_path

if TYPE_CHECKING:
    from buildrules.actions.models.access import Access
    from buildrules.credentials.connections import Connection

SCHEMES = {
    "https": "http",
    "http": "http",
    "oci": "registry",
    "s3": "s3",
    "models": "mlflow",
    "runs": "mlflow",
    "mlflow-artifacts": "mlflow",
}
"""Scheme of a uri -> module of this package."""

FORMS = (
    "https://HOST/FILE, oci://HOST/REPOSITORY:TAG, s3://BUCKET/PREFIX, "
    "models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/PATH"
)


OPTIONAL = ("key", "archive", "version", "etag")


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


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a uri names: the `source` (see `start.sources`; no credentials), its files, the archives some are in."""

    source: Mapping[str, Any]
    files: Sequence[File]
    archives: Sequence[File] = field(default_factory=tuple)


class Origin(Protocol):
    """What a module of a kind of origin is."""

    def resolve(self, uri: str, access: "Access") -> Resolved:
        """What `uri` names now."""

    def place(self, uri: str) -> dict[str, Any]:
        """The source of files below `uri`."""


def scheme_of(uri: str) -> str:
    """The scheme of a model's uri. Raises UsageError where it is none of those there are, or holds a password."""
    scheme = uri.partition(":")[0].lower()
    if scheme not in SCHEMES or not uri.isprintable() or " " in uri:
        raise UsageError(f"{_shown(uri)!r} does not say where a model is", hint=f"write {FORMS}")
    if "@" in urlsplit(uri).netloc:
        raise UsageError(
            f"{_shown(uri)!r} holds a user name or password",
            hint="take it out, and name a connection with `connection:`",
        )
    return scheme


def origin_of(uri: str) -> Origin:
    """The module that understands `uri`. Raises UsageError."""
    module: Any = importlib.import_module(f"{__package__}.{SCHEMES[scheme_of(uri)]}")
    found: Origin = module
    return found


def resolve(uri: str, access: "Access") -> Resolved:
    """What `uri` names now, its files by path. Raises UsageError, FetchError, IntegrityError, StoreError."""
    found = origin_of(uri).resolve(uri, access)
    files = sorted(found.files, key=lambda file: file.path)
    check_files(_shown(uri), files)
    return Resolved(found.source, files, sorted(found.archives, key=lambda file: file.sha256))


def place(uri: str) -> dict[str, Any]:
    """The source of files that lie below `uri`. Raises UsageError."""
    return origin_of(uri).place(uri)


def probe(uri: str, tracking_uri: str | None) -> dict[str, Any]:
    """What is known of the source of `uri` before it is resolved: enough to find its connection. Raises UsageError."""
    if SCHEMES[scheme_of(uri)] != "mlflow":
        return place(uri)
    address = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    return {"kind": "mlflow", **({"tracking_uri": address} if address else {})}


def completed(source: Mapping[str, Any], connection: "Connection | None") -> dict[str, Any]:
    """A place with what its connection says of it besides."""
    found = dict(source)
    if connection is not None and source["kind"] == "oci" and connection.plain_http:
        found["plain_http"] = True
    if connection is not None and source["kind"] == "s3":
        from buildrules.actions.models.s3 import endpoint_at

        found.update(endpoint_at(source["bucket"], connection.target))
    return found


def check_files(what: str, files: Sequence[File]) -> None:
    """Raise UsageError where the paths of a model's files cannot stand side by side below one directory."""
    if not files:
        raise UsageError(f"{what!r} has no files")
    seen: set[str] = set()
    folders: set[str] = set()
    for file in files:
        if not safe_path(file.path) or "/.wh." in f"/{file.path}":
            raise UsageError(f"{what!r} has a file named {file.path!r}, which cannot be laid in an image")
        if file.path in seen:
            raise UsageError(f"{what!r} has two files named {file.path!r}")
        seen.add(file.path)
        parts = file.path.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for path in sorted(seen & folders):
        raise UsageError(f"{what!r} has a file and a folder named {path!r}")


def _shown(uri: str) -> str:
    from buildrules.store.webclient import redact

    return redact(uri) if "://" in uri else uri
