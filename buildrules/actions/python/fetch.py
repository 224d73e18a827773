"""Brings locked files into the store: from the store, from their urls, from wherever an index has them now."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.credentials.address import path_of
from buildrules.engine.kind import Context, Row
from buildrules.errors import GoneError, IntegrityError
from buildrules.net.download import Download, fetch_all
from buildrules.store.blobs import Blobs


def fetch_files(files: Sequence[dict[str, Any]], places: Mapping[str, Any], context: Context) -> None:
    """Have every file (name, version, filename, sha256) in the store, with its digest checked.

    `places` is what `Lock.places` gives. A file in the store that is corrupt is fetched again. Raises GoneError where
    neither a url nor an index has a file, IntegrityError naming the file that is not what was locked, FetchError.
    """
    missing = [file for file in files if not context.blobs.right(file["sha256"])]
    if not missing:
        return
    # Files are looked for now and not while planning: somebody may have put one beside the lock since.
    urls = {name: [url for url in _list(value) if _may_be(url)] for name, value in (places.get("urls") or {}).items()}
    known = [file for file in missing if urls.get(file["filename"])]
    lost = [file for file in missing if not urls.get(file["filename"])]
    gone: GoneError | None = None
    try:
        _fetch(known, urls, places, context)
    except GoneError as error:
        gone = error
        lost = [file for file in missing if not context.blobs.has(file["sha256"])]
    if not lost:
        return
    if not places.get("index"):
        raise gone or GoneError(f"nothing says where {lost[0]['filename']!r} could be fetched from")
    from buildrules.actions.python.index import LockedFiles

    located = context.session.own(LockedFiles).locate(lost, places["index"], context.workspace)
    _fetch(lost, {name: [url] for name, url in located.items()}, places, context)


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _may_be(url: str) -> bool:
    """False for a file of this machine that is not there."""
    path = path_of(url)
    return path is None or os.path.isfile(path)


def _fetch(
    files: Sequence[dict[str, Any]], urls: dict[str, list[str]], places: Mapping[str, Any], context: Context
) -> None:
    if not files:
        return
    from buildrules.actions.python.credentials import IndexLogins

    authorize = context.session.own(IndexLogins).authorize
    items = []
    for file in files:
        filename = file["filename"]
        found = [authorize(url, context.workspace) for url in urls[filename]]
        items.append(Download(found, file["sha256"], (places.get("sizes") or {}).get(filename), filename))
    fetch_all(items, context)


def require_intact(blobs: Blobs, digest: str, filename: str) -> None:
    """Raise IntegrityError naming `filename` unless the store has the blob `digest` (bare hex or sha256:<hex>)."""
    there = blobs.has(digest)
    if not blobs.heal(digest):
        raise IntegrityError(
            f"{filename!r} in the store is {'corrupt and has been removed' if there else 'missing'}",
            hint="build again: it will be made or fetched anew",
        )


def locked_file(part: Row) -> dict[str, Any]:
    """A part as `fetch_files` takes it; name and version of a wheel stand in its file name (PEP 427)."""
    filename, sha256 = part["filename"], part["digest"].removeprefix("sha256:")
    name, _, rest = filename.partition("-")
    return {"name": name, "version": rest.partition("-")[0], **part, "filename": filename, "sha256": sha256}
