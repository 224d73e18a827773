"""The list of a bundle, in words and for a program."""

from typing import Any

from buildrules.cli.report import size_text
from buildrules.oci.copying.listing import Listing


def told(listing: Listing) -> str:
    """What a list says, in lines."""
    lines = [f"  {image.name}  {image.digest}\n" for image in listing.images]
    lines.append(f"{len(listing.blobs)} blobs, {size_text(sum(listing.blobs.values()))}")
    if listing.expected:
        size = size_text(sum(listing.expected.values()))
        lines.append(f"; {len(listing.expected)} more, {size}, have to be on the other side")
    return "".join(lines) + "\n"


def as_json(listing: Listing, checksum: str) -> dict[str, Any]:
    """The same for a program."""
    return {
        "list": checksum,
        "images": [image.to_dict() for image in listing.images],
        "blobs": dict(listing.blobs),
        "expected": dict(listing.expected),
    }
