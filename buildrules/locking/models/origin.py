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
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildrules.actions.models.file import File, check_files
from buildrules.errors import FetchError, UsageError
from buildrules.start.secret import repeats

if TYPE_CHECKING:
    from buildrules.actions.models.access import Access

SCHEMES = {
    "https": "http",
    "http": "http",
    "oci": "registry",
    "s3": "s3",
    "models": "mlflow",
    "runs": "mlflow",
    "mlflow-artifacts": "mlflow",
    "hf": "huggingface",
}
"""Scheme of a uri -> module of this package."""

FORMS = (
    "https://HOST/FILE, oci://HOST/REPOSITORY:TAG, s3://BUCKET/PREFIX, "
    "models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/PATH, hf://ORG/NAME@REVISION"
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a uri names: the `source` (see `start.sources`; no credentials), its files, the archives some are in."""

    source: Mapping[str, Any]
    files: Sequence[File]
    archives: Sequence[File] = field(default_factory=tuple)


def scheme_of(uri: str) -> str:
    """The scheme of a model's uri. Raises UsageError where it is none of those there are, or holds a password."""
    scheme = uri.partition(":")[0].lower()
    if scheme not in SCHEMES or not uri.isprintable() or " " in uri:
        raise UsageError(f"{_redacted(uri)!r} does not say where a model is", hint=f"write {FORMS}")
    try:
        netloc = urlsplit(uri).netloc
    except ValueError as error:
        raise UsageError(f"the model's address cannot be read: {str(error).lower()}", hint=f"write {FORMS}") from None
    if "@" in netloc and scheme != "hf":
        raise UsageError(
            f"{_redacted(uri)!r} holds a user name or password",
            hint="take it out, and name a connection with `connection:`",
        )
    return scheme


def _module(uri: str) -> Any:
    return importlib.import_module(f"{__package__}.{SCHEMES[scheme_of(uri)]}")


def resolve(uri: str, access: "Access") -> Resolved:
    """What `uri` names now, its files by path. Raises UsageError, FetchError, IntegrityError, StoreError."""
    found: Resolved = _module(uri).resolve(uri, access)
    files = sorted(found.files, key=lambda file: file.path)
    check_files(_redacted(uri), files)
    said = [*found.source.values(), *(value for file in (*files, *found.archives) for value in file.to_dict().values())]
    if any(isinstance(value, str) and repeats(value) for value in said):
        raise FetchError(
            f"what a server says of {_redacted(uri)!r} repeats a credential, which would stand in the lock",
            hint="ask who runs the server",
        )
    return Resolved(found.source, files, sorted(found.archives, key=lambda file: file.sha256))


def place(uri: str) -> dict[str, Any]:
    """The source of files that lie below `uri`. Raises UsageError."""
    found: dict[str, Any] = _module(uri).place(uri)
    return found


def probe(uri: str, tracking_uri: str | None) -> dict[str, Any]:
    """What is known of the source of `uri` before it is resolved: enough to find its connection. Raises UsageError."""
    if SCHEMES[scheme_of(uri)] != "mlflow":
        return place(uri)
    address = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    return {"kind": "mlflow", **({"tracking_uri": address} if address else {})}


def _redacted(uri: str) -> str:
    from buildrules.credentials.redact import redact

    return redact(uri) if "://" in uri and not uri.startswith("hf:") else uri
