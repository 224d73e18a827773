"""Fetches locked conda packages from their channels."""

from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.engine.kind import Context, Row
from buildrules.errors import GoneError
from buildrules.net.download import HERE, Download, fetch_all


def fetch_packages(parts: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Bring packages (`filename`, `digest`) into the store, in parallel; `places` as of `actions.conda.layer`.

    Raises GoneError where a channel no longer has a locked package, IntegrityError for one that is not what was locked,
    FetchError.
    """
    missing = [part for part in parts if not context.blobs.right(part["digest"])]
    urls, sizes = places.get("urls") or {}, places.get("sizes") or {}
    items = []
    for part in missing:
        found = urls.get(part["filename"], [])
        source = HERE if all(url.startswith("file:") for url in found) else "channel"
        items.append(Download(found, part["digest"], sizes.get(part["filename"]), part["filename"], source))
    try:
        fetch_all(items, context)
    except GoneError as error:
        error.hint = error.hint or "run 'buildrules lock' to lock what the channel has today"
        raise
