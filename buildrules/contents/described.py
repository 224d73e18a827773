"""An image as others compare it: its layers with what they are called, its settings, and what each layer holds."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from buildrules.contents.listing import Listing, from_recipe, from_tar
from buildrules.document.plain_json import read_json
from buildrules.errors import IntegrityError
from buildrules.net.session import Fetching
from buildrules.oci.config import checked_config
from buildrules.oci.descriptor import Layer
from buildrules.oci.local import Local
from buildrules.sha256 import hex_digest
from buildrules.store.records import Records

_NOP = re.compile(r"(?:/bin/sh -c )?(?:#\(nop\) +)?(.*)", re.DOTALL)
_LONGEST = 60  # characters of a title that others gave


class TitledLayer(NamedTuple):
    """A layer, and what a person calls it."""

    layer: Layer
    title: str


class Described(NamedTuple):
    """An image: `name` as it was asked for, `size` in bytes of manifest, config and layers, its config document.

    `read` gives what a layer holds; it raises what getting its bytes raises.
    """

    name: str
    digest: str
    size: int
    layers: list[TitledLayer]
    document: Mapping[str, Any]
    read: Callable[[Layer], Listing]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the image."""
        return {str(name): str(value) for name, value in (self.config.get("Labels") or {}).items()}

    @property
    def config(self) -> Mapping[str, Any]:
        """What a container starts with."""
        return self.document.get("config") or {}


def describe(
    name: str, digest: str, manifest: bytes, config: bytes, layers: Iterable[Layer], read: Callable[[Layer], Listing]
) -> Described:
    """An image from its documents; `layers` are the manifest's, base first. Raises IntegrityError for others."""
    document = read_json(config)
    try:
        checked_config(document.get("config") or {})
    except ValueError as error:
        raise IntegrityError(f"the config of {name} is malformed: {error}") from None
    found = list(layers)
    size = len(manifest) + len(config) + sum(layer.size for layer in found)
    rows = document.get("history")
    history = (
        [row for row in rows if isinstance(row, dict) and not row.get("empty_layer")] if type(rows) is list else []
    )
    titles = [_title(str(row.get("created_by") or "")) for row in history]
    titles += [""] * (len(found) - len(titles))
    titled = [TitledLayer(layer, title or layer.digest[7:19]) for layer, title in zip(found, titles, strict=False)]
    return Described(name, digest, size, titled, document, read)


def _title(words: str) -> str:
    if words.startswith("buildrules "):
        return words.removeprefix("buildrules ")
    match = _NOP.match(words)
    line = " ".join((match[1] if match else words).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


class Listings:
    """Reads what layers hold: as noted in the store, as the recipe says, or from the bytes; and notes that."""

    def __init__(self, records: Records, context: Fetching) -> None:
        self._records = records
        self._context = context

    def read(self, layer: Layer, stream: Callable[[Layer], Iterable[bytes]]) -> Listing:
        """What a layer holds; `stream` gives its bytes, which it checks. Raises IntegrityError and what that raises."""
        key = hex_digest(f"buildrules-listing-1\0{layer.digest}".encode())
        kept = self._records.get(key)
        try:
            return Listing.from_dict(kept["listing"]) if kept else self._made(key, layer, stream)
        except (KeyError, TypeError, ValueError):  # of another form
            return self._made(key, layer, stream)

    def _made(self, key: str, layer: Layer, stream: Callable[[Layer], Iterable[bytes]]) -> Listing:
        found = from_recipe(layer, Local(self._context.blobs))
        if found is None:
            found = from_tar(layer, self._told(layer, stream(layer)))
        if layer.recipe or not any(file.content.startswith("layer ") for file in found.files.values()):
            self._records.put(key, {"listing": found.to_dict()})  # of one large file the bytes were not read
        return found

    def _told(self, layer: Layer, chunks: Iterable[bytes]) -> Iterable[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            self._context.progress(f"reading layer {layer.digest[7:19]}", done, layer.size)
            yield chunk
