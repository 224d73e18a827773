"""From a PEP 751 document to one file per package, chosen for the target's tags and markers."""

import os
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.pylock import (
    PackageArchive,
    PackageDirectory,
    PackageVcs,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from buildrules.actions.python.target import Target
from buildrules.credentials.redact import redact
from buildrules.errors import LockError
from buildrules.locking.python.locked import DIRECTORY, SDIST, WHEEL, LockedFile, LockedPackage, check_sha256
from buildrules.locking.python.requirement import inside_workspace

if TYPE_CHECKING:
    from packaging.pylock import PackageArchive, PackageSdist, PackageWheel
    from packaging.tags import Tag

LARGEST = 1 << 46
"""Bytes; a size of a file from there on is nonsense."""


def select(
    data: dict[str, Any], target: Target, root: str, folder: str, *, what: str, fresh: bool = False
) -> tuple[LockedPackage, ...]:
    """The packages of a pylock document, by name.

    `folder` is the absolute folder relative paths start from, `root` the absolute workspace root they
    may not leave. `fresh` says that uv has just written it. Raises LockError.
    """
    tags = target.tags()
    try:
        document = Pylock.from_dict(data)
        chosen = list(document.select(environment=target.environment(), tags=tags))
    except (PylockValidationError, PylockUnsupportedVersionError, PylockSelectError) as error:
        raise LockError(f"{what} cannot be used: {error}", hint="run 'buildrules lock'") from None
    found = []
    for package, source in chosen:
        version = str(package.version) if package.version else ""
        label = f"{package.name} {version}".strip()
        own = (package.tool or {}).get("buildrules") or {}
        if isinstance(source, PackageVcs):
            raise LockError(
                f"{label} comes from version control, which has no fixed content to lock",
                hint="build a wheel and give its path, or use a released version",
            )
        if isinstance(source, PackageDirectory):
            path = _inside(source.path, root, folder, label)
            known = LockedPackage(package.name, version, DIRECTORY, directory=path, direct=True)
            variables = own.get("variables")
            variables = variables if isinstance(variables, dict) else {}
            variables = {str(name): str(value) for name, value in variables.items()}
            found.append(replace(known, asks=str(own.get("asks", "")), variables=variables))
            continue
        direct = isinstance(source, PackageArchive)
        if isinstance(source, PackageArchive) and source.subdirectory:
            raise LockError(f"{label} is a subdirectory of an archive, which is not supported", hint="build a wheel")
        in_index = own.get("source") == "index"
        file = _file(source, label, root, folder, fresh=fresh, in_index=in_index)
        kind = WHEEL if file.filename.endswith(".whl") else SDIST
        if kind == WHEEL:
            _check_wheel(file.filename, package.name, target, tags)
        index = str(own.get("index", ""))
        found.append(LockedPackage(package.name, version, kind, file, direct=direct, index=index))
    return tuple(sorted(found, key=lambda package: package.name))


def _file(
    source: "PackageArchive | PackageWheel | PackageSdist",
    label: str,
    root: str,
    folder: str,
    *,
    fresh: bool,
    in_index: bool,
) -> LockedFile:
    url, path, name = source.url, source.path, getattr(source, "name", None)
    if url and not fresh and redact(url) != url:
        raise LockError(
            f"the url of {label} in the lock has credentials, a query or a fragment",
            hint="run 'buildrules lock', and change the credentials that stood there",
        )
    filename = name or (os.path.basename(path) if path else unquote(os.path.basename(urlsplit(url or "").path)))
    if not filename or "/" in filename or filename in (".", ".."):
        raise LockError(f"{label} has no usable file name: {filename!r}")
    sha256 = check_sha256(source.hashes.get("sha256", ""), f"{filename!r}")
    scheme = urlsplit(url).scheme if url else ""
    if scheme and scheme not in ("http", "https", "file"):
        raise LockError(f"{label} has a url that is neither http nor https: {redact(url or '')!r}")
    if source.size is not None and not 0 <= source.size < LARGEST:
        raise LockError(f"{label} has the size {source.size}, which no file has", hint="run 'buildrules lock'")
    # A file: url is a place of this machine (uv's find-links): the file is looked for again where it is needed.
    keep = redact(url) if url and scheme != "file" else None
    kept_path = _inside(path, root, folder, label) if path and not in_index else None
    return LockedFile(filename, sha256, source.size, keep, kept_path)


def _inside(path: str, root: str, folder: str, label: str) -> str:
    """Workspace-relative form of a path in a document. Raises LockError where it leaves the workspace."""
    found = inside_workspace(root, os.path.join(folder, path))
    if found is None:
        raise LockError(f"{label} lies outside the workspace", hint="copy it into the workspace, and name it by path")
    return found


def _check_wheel(filename: str, name: str, target: Target, fitting: "Collection[Tag]") -> None:
    try:
        found, _, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        raise LockError(f"{filename!r} is not named as a wheel must be") from None
    if found != name:
        raise LockError(f"{filename!r} is not a wheel of {name!r}")
    if tags.isdisjoint(fitting):
        raise LockError(
            f"{filename!r} does not fit {target.platform} with Python {target.python} and glibc {target.glibc}",
            hint="give a wheel for this platform",
        )
