"""Parts that are one file of the workspace or one blob of the store."""

from collections.abc import Iterator
from typing import Any

from buildrules.oci.parts.entry import FILE, Entry, FileRange
from buildrules.oci.parts.sources import Sources


def expand(part: dict[str, Any], sources: Sources) -> Iterator[Entry]:
    """The one entry of a "file" part. It is read later, and must then have the part's size, and a blob its digest."""
    size, source = part["size"], part["source"]
    content = FileRange(sources.path(source), 0, size, whole=True, digest=source.get("blob"))
    yield Entry(part["path"], FILE, part["mode"], size=size, content=content)
