"""The list of a bundle, and of what a place has: digests that one side writes and the other side checks.

    {"version": 1, "images": [{"name": n, "digest": d, "mediaType": t, "size": bytes}, ...],
     "blobs": {digest: bytes, ...}, "expected": {digest: bytes, ...}}

It stands in a bundle as `bundle.json`, before all else. `blobs` is what the bundle holds besides, manifests among them;
`expected` is what its images need and the receiving side has. The list of what a place has is written like that of a
bundle that holds all of it: either can be given to whoever makes the next bundle.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from buildrules.document.plain_json import read_json
from buildrules.errors import UsageError
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.store.records import canonical

NAME = "bundle.json"
_VERSION = 1


class Named(NamedTuple):
    """An image: its name with registry, where it has one, and tag; the descriptor of its manifest or index."""

    name: str
    digest: str
    media_type: str
    size: int

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a list."""
        return {"name": self.name, "digest": self.digest, "mediaType": self.media_type, "size": self.size}


class Listing(NamedTuple):
    """What a list says."""

    images: tuple[Named, ...] = ()
    blobs: Mapping[str, int] = {}
    expected: Mapping[str, int] = {}

    @property
    def there(self) -> dict[str, int]:
        """What a place has that has the bundle of this list: sizes by digest."""
        return {**self.expected, **self.blobs}

    def to_bytes(self) -> bytes:
        """The same bytes for the same list."""
        images = [image.to_dict() for image in self.images]
        lists = {"blobs": dict(self.blobs), "expected": dict(self.expected)}
        return canonical({"version": _VERSION, "images": images, **lists})


def read_listing(data: bytes, what: str) -> Listing:
    """Read what `Listing.to_bytes` wrote; `what` is what errors call it. Raises UsageError for anything else."""
    try:
        value = read_json(data)
        if value["version"] != _VERSION:
            raise UsageError(
                f"{what} is a list of version {value['version']!r:.20}, this program reads version {_VERSION}",
                hint="update buildrules",
            )
        images = tuple(_image(item) for item in value["images"])
        return Listing(images, _sizes(value["blobs"]), _sizes(value["expected"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{what} is not the list of a bundle: {error!r:.200}", hint="'buildrules unbundle --have-list' writes one"
        ) from error


def _image(item: dict[str, Any]) -> Named:
    found = Named(item["name"], item["digest"], item["mediaType"], item["size"])
    if not is_digest(found.digest) or not isinstance(found.name, str) or not isinstance(found.media_type, str):
        raise ValueError("an image without a digest or a name")
    return found._replace(size=_size(found.size))


def _sizes(value: dict[str, Any]) -> dict[str, int]:
    wrong = next((name for name in value if not is_digest(name)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r:.80} is not a digest")
    return {digest: _size(size) for digest, size in value.items()}


def _size(value: Any) -> int:
    if not is_size(value):
        raise ValueError(f"{value!r:.40} is not a number of bytes")
    return value
