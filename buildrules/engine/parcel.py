"""A record as it is sent: with the sizes of the blobs it names, and the small ones of them.

    {"record": Record.to_dict(), "sizes": {digest: bytes}, "content": {digest: base64}}

Each blob of the outputs is in one of the two. What would be longer than a record may be is a blob by itself, JSON
compressed by zlib (RFC 1950), and a short body names that:

    {"packed": {"digest": "sha256:<hex>", "size": bytes}}
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping

from buildrules.engine.action import Outputs
from buildrules.engine.cache import Record
from buildrules.errors import BuildrulesError
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.remote.backend import Blob
from buildrules.sha256 import digest_of
from buildrules.store.blobs import Blobs
from buildrules.store.records import canonical
from buildrules.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import NoReturn

SMALL = 16 << 10
"""Bytes of a blob that travels with its record, if it is no layer: manifests and configs, that is."""

LARGEST = 64 << 20
"""Bytes of what is packed, as JSON."""

_LEVEL = 3  # of zlib: recipes repeat themselves, and are read more often than written


class RecordParcel(NamedTuple):
    """A record, the sizes of the blobs that stay where they are, and the content of the others, by digest."""

    record: Record
    sizes: Mapping[str, int]
    content: Mapping[str, bytes]

    @property
    def blobs(self) -> list[Blob]:
        """The blobs that stay where they are."""
        return [Blob(digest, size) for digest, size in self.sizes.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        content = {digest: base64.b64encode(data).decode() for digest, data in self.content.items()}
        return {"record": self.record.to_dict(), "sizes": dict(self.sizes), "content": content}

    @classmethod
    def from_dict(cls, value: Any, fits: Callable[[str, Outputs], bool]) -> "RecordParcel":
        """Read what `to_dict` wrote. `fits` as of `engine.cache.StoreCache`. Raises ValueError for anything else."""
        try:
            if set(value) != {"record", "sizes", "content"}:
                raise ValueError("a record has other fields")
            record = Record.from_dict(value["record"])
            content = {digest: _content(digest, text) for digest, text in value["content"].items()}
            sizes = dict(value["sizes"])
        except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise ValueError("not a record") from error
        if not is_digest(record.listing) or not fits(record.kind.partition("/")[0], record.outputs):
            raise ValueError("the outputs of a record have another form")
        if not all(is_digest(digest) and is_size(size) for digest, size in sizes.items()):
            raise ValueError("a size of a record is none")
        if {*sizes, *content} != {*record.outputs.blobs.values()}:
            raise ValueError("a record names other blobs than it has the sizes of")
        return cls(record, sizes, content)


def _content(digest: str, text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if digest_of(data) != digest:
        raise ValueError("content of a record is not what its digest says")
    return data


def parcel_of(
    record: Record, blobs: Blobs, size_of: Callable[[str], int | None] = lambda _: None
) -> RecordParcel | None:
    """The parcel of a record; None where a blob is not in the store, and `size_of` does not know of one elsewhere."""
    sizes: dict[str, int] = {}
    content: dict[str, bytes] = {}
    layers = {layer.digest for layer in record.outputs.layers}
    try:
        for digest in {*record.outputs.blobs.values()}:
            if not blobs.has(digest):
                known = size_of(digest)
                if known is None:
                    return None
                sizes[digest] = known
                continue
            size = blobs.size(digest)
            if size <= SMALL and digest not in layers:
                content[digest] = blobs.read(digest)
            else:
                sizes[digest] = size
    except (OSError, BuildrulesError):
        return None
    return RecordParcel(record, sizes, content)


def packed(value: Any) -> tuple[Blob, bytes]:
    """What is too long for a record, as a blob: its digest and size, and its bytes."""
    data = zlib.compress(canonical(value), _LEVEL)
    return Blob(digest_of(data), len(data)), data


def naming(blob: Blob) -> dict[str, Any]:
    """The body of a record that names a blob of `packed`."""
    return {"packed": {"digest": blob.digest, "size": blob.size}}


def named(body: Mapping[str, Any]) -> Blob | None:
    """The blob that a body of `naming` names; None where it is another body. Raises ValueError."""
    if set(body) != {"packed"}:
        return None
    row = body["packed"]
    if not isinstance(row, dict) or set(row) != {"digest", "size"} or not is_digest(row["digest"]):
        raise ValueError("not the name of a blob")
    if type(row["size"]) is not int or not 0 < row["size"] <= LARGEST:
        raise ValueError("a blob of records is too large")
    return Blob(row["digest"], row["size"])


def unpacked(data: bytes) -> Any:
    """The value in a blob of `packed`. Raises ValueError for what is none, or longer than LARGEST."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, LARGEST)
        if not reader.eof or reader.unused_data:
            raise ValueError("what is packed has no end, or no end in time")
        return json.loads(text, parse_constant=_refuse)
    except (zlib.error, RecursionError) as error:
        raise ValueError("not what is packed") from error


def _refuse(text: str) -> "NoReturn":
    raise ValueError(f"{text} is no number of JSON")
