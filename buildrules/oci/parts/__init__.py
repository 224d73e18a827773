"""What a recipe part expands to: by kind of part.

An expander is a module with `expand(part, local) -> Iterator[Entry]`. It is imported when the
first part of its kind is met, so an expander may import what it needs at its top.
"""

from collections.abc import Callable, Iterator

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import Chunks, Content, DeflateRange, Entry, FileRange
from buildrules.typed import Any

__all__ = ["EXPANDERS", "Chunks", "Content", "DeflateRange", "Entry", "Expander", "FileRange", "expander"]

Expander = Callable[[dict[str, Any], Local], Iterator[Entry]]
"""Yields the entries of one part, in the order they stand in the layer.

Paths are relative and normalised. Parent directories need not be yielded: the assembler adds what is missing with
mode 0755; one yielded explicitly keeps its own mode. The content of an entry is consumed before the next entry is asked
for, so `Chunks` may read on in an archive that is open in the generator. Hostile input raises IntegrityError.
"""

EXPANDERS: dict[str, str] = {
    "directory": "buildrules.oci.parts.plain",
    "symlink": "buildrules.oci.parts.plain",
    "inline": "buildrules.oci.parts.plain",
    "file": "buildrules.oci.parts.plain",
    "wheel": "buildrules.oci.parts.wheel",
    "deb": "buildrules.oci.parts.deb",
    "python": "buildrules.oci.parts.python",
    "conda": "buildrules.oci.parts.conda",
}
"""Module of the expander of each part kind."""

_loaded: dict[str, Expander] = {}


def expander(kind: str) -> Expander:
    """The expander of a part kind. Raises IntegrityError where there is none."""
    found = _loaded.get(kind)
    if found is None:
        if kind not in EXPANDERS:
            raise IntegrityError(f"unknown kind of recipe part: {kind!r}")
        found = _loaded[kind] = __import__(EXPANDERS[kind], fromlist=["expand"]).expand
    return found
