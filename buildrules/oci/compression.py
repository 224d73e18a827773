"""How a layer's blob is made of its tar stream: the compressions that a recipe can name. A new one is a line here."""

from collections.abc import Callable, Iterable, Iterator

from buildrules.oci import gzip
from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR
from buildrules.oci.reader import Reader
from buildrules.oci.tar import Piece
from buildrules.typed import Any, NamedTuple

Tap = Callable[[gzip.Buffer], None]
Encode = Callable[[Iterable[Piece], dict[str, int], Reader, Tap | None], Iterator[gzip.Buffer]]
"""The blob of a tar stream. What it yields is valid until the next is asked for; the tap is given the tar stream."""


class Compression(NamedTuple):
    """What a recipe of this compression says besides its parts, and what follows from it."""

    media_type: str
    settings: dict[str, int]  # numbers that decide about the bytes, with the largest of each; the smallest is 0
    encode: Encode | None  # None: the blob is the tar stream


def _gzip(pieces: Iterable[Piece], recipe: dict[str, Any], reader: Reader, tap: Tap | None) -> Iterator[gzip.Buffer]:
    return gzip.encode(pieces, recipe["level"], reader, tap)


COMPRESSIONS = {
    "none": Compression(LAYER_TAR, {}, None),
    "gzip": Compression(LAYER_GZIP, {"level": 12}, _gzip),
}
