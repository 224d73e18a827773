"""Parts that hold their entry themselves: directories, symbolic links and short texts."""

from collections.abc import Iterator
from typing import Any

from buildrules.oci.local import Local
from buildrules.oci.parts.entry import DIRECTORY, FILE, SYMLINK, Entry


def expand(part: dict[str, Any], _local: Local) -> Iterator[Entry]:
    """The one entry of a "directory", "symlink" or "inline" part."""
    kind = part["kind"]
    if kind == "directory":
        yield Entry(part["path"], DIRECTORY, part["mode"])
    elif kind == "symlink":
        yield Entry(part["path"], SYMLINK, 0o777, link=part["target"])
    else:
        content = part["text"].encode()
        yield Entry(part["path"], FILE, part["mode"], size=len(content), content=content)
