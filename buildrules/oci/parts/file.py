"""Parts that are one file, known by its digest."""

from collections.abc import Iterator
from typing import Any

from buildrules.oci.local import Local, name_of
from buildrules.oci.parts.entry import FILE, Entry, FileRange


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The one entry of a "file" part. It is read later, and must then have the part's size, and a blob its digest."""
    name, size = name_of(part), part["size"]
    check = None if name in local.files else name  # of a workspace file's content the whole layer's digest is the judge
    content = FileRange(local.path(name), 0, size, whole=True, digest=check)
    yield Entry(part["path"], FILE, part["mode"], size=size, content=content)
