"""Models of web servers: one file, or an archive of files where the target says `unpack`."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from buildrules.actions.models.file import File
from buildrules.credentials.secret_names import secret_in_query
from buildrules.errors import BuildrulesError, CredentialsError, GoneError, IntegrityError, UsageError
from buildrules.locking.models.origin import Resolved
from buildrules.start.sources import safe_path

if TYPE_CHECKING:
    from buildrules.actions.models.access import Access


def resolve(uri: str, access: "Access") -> Resolved:
    """The file at `uri`, or the files of the archive there. It is fetched, since nothing else says its digest."""
    source = {"kind": "http", "url": _plain(uri)}
    name = unquote(urlsplit(uri).path.rpartition("/")[2])
    if not safe_path(name):
        raise UsageError(f"{source['url']!r} names no file", hint="write the address of one file, or of an archive")
    wanted: dict[str, Any] = {"path": name}
    if access.digest:
        wanted["sha256"] = access.digest.removeprefix("sha256:")
    try:
        size, sha256 = _asked(source, wanted, access)
    except IntegrityError as error:
        error.hint = "check that `digest` is what the file's owner says it is, or write the one it has now"
        raise
    if not access.unpack:
        return Resolved(source, [File(name, size, sha256)])
    archive = File(name, size, sha256)
    return Resolved(source, access.unpacked(archive), [archive])


def _asked(source: dict[str, Any], wanted: dict[str, Any], access: "Access") -> tuple[int, str]:
    """`access.take`, but the address is asked also for a file that is in the store: it may be another address's."""
    sha256 = wanted.get("sha256")
    blobs = access.context.blobs
    if sha256 is None or not blobs.has(f"sha256:{sha256}"):
        return access.take(source, wanted)
    size = os.stat(blobs.path(f"sha256:{sha256}")).st_size
    try:
        headers, _ = access.answer(source, partial(access.locate, file=wanted), "HEAD")
        same = headers.get("Content-Length") == str(size)
    except (GoneError, CredentialsError):
        raise
    except BuildrulesError:  # not every server knows HEAD
        same = False
    if same:
        return access.take(source, wanted)
    found = access.take(source, {"path": wanted["path"]})
    if found[1] != sha256:
        raise IntegrityError(
            f"{wanted['path']!r} of {access.name!r} has the digest sha256:{found[1]}, and sha256:{sha256} is expected"
        )
    return found


def place(uri: str) -> dict[str, Any]:
    """The folder `uri`, below which files lie under their paths."""
    return {"kind": "http", "url": _plain(uri).rstrip("/") + "/"}


def _plain(uri: str) -> str:
    parts = urlsplit(uri)
    if not parts.hostname:
        raise UsageError(f"{uri!r} names no host", hint="write https://HOST/PATH")
    name = secret_in_query(uri)
    if name:
        raise UsageError(
            f"the address has a credential in its query, {name!r}",
            hint="take it out, and name a connection with credentials of type sas",
        )
    return uri.partition("#")[0]
