"""Parts that are one entry: directories, symbolic links, short texts, and files known by their digest."""

from collections.abc import Iterator

from buildrules.oci.local import Local, name_of
from buildrules.oci.parts.entry import DIRECTORY, FILE, SYMLINK, Entry, FileRange
from buildrules.typed import Any


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The one entry of a part. A file is read later, and must then have the part's size, and a blob its digest."""
    kind, path = part["kind"], part["path"]
    if kind == "directory":
        yield Entry(path, DIRECTORY, part["mode"], owner=part.get("owner", 0))
    elif kind == "symlink":
        yield Entry(path, SYMLINK, 0o777, link=part["target"])
    elif kind == "inline":
        text = part["text"].encode()
        yield Entry(path, FILE, part["mode"], size=len(text), content=text)
    else:
        name, size = name_of(part), part["size"]
        check = None if name in local.files else name  # of a workspace file the whole layer's digest is the judge
        content = FileRange(local.path(name), 0, size, whole=True, digest=check)
        yield Entry(path, FILE, part["mode"], size=size, content=content)
