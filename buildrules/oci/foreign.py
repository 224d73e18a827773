"""Layers of somebody else's image: described by their manifest, fetched by digest when somebody lacks them.

They have no recipe. Where the bytes may come from are the places of the action that made the layer, which are never
hashed: `reference` (any spelling of `oci.reference`), `digest` (the image's: a Docker Engine finds layers only by their
image), `layout` (an OCI layout directory, tried first), `default_registry`, and `plain_http` (true: the registry is
asked without TLS).
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from buildrules.document.plain_json import read_json
from buildrules.errors import BuildrulesError, FetchError, UsageError
from buildrules.net.session import Fetching
from buildrules.oci import descriptor as media
from buildrules.oci.descriptor import Layer
from buildrules.oci.reference import LAYOUT, REGISTRY, Reference, parse_reference
from buildrules.oci.source import LayoutSource, Source

T = TypeVar("T")


def open_source(reference: Reference, context: Fetching, *, root: str = "", plain_http: bool | None = None) -> Source:
    """The source of `reference`. `root` is where relative layout paths start, usually the workspace."""
    if reference.transport == REGISTRY:
        from buildrules.oci.registry_source import RegistrySource

        return RegistrySource(reference, context, plain_http=plain_http)
    if reference.transport == LAYOUT:
        return LayoutSource(reference, context, root=root)
    from buildrules.oci.daemon import DaemonSource

    return DaemonSource(reference, context)


def foreign_layers(manifest: bytes, config: bytes, origin: str) -> list[Layer]:
    """The layers of an image, base first, as its manifest and config describe them; nothing is fetched.

    Docker's media types become the OCI ones for the same bytes. `origin` is what errors call the image. Raises
    UsageError for layers that may not be distributed, are encrypted or of an unknown type, and where manifest and
    config disagree.
    """
    entries, diff_ids = _lists(manifest, config, origin)
    if len(entries) != len(diff_ids):
        raise UsageError(f"{origin} has {len(entries)} layers in its manifest and {len(diff_ids)} in its config")
    layers = []
    for number, (entry, diff_id) in enumerate(zip(entries, diff_ids, strict=True), 1):
        digest, size, media_type = str(entry.get("digest")), entry.get("size"), entry.get("mediaType")
        if not media.is_digest(digest) or not media.is_digest(diff_id):
            raise UsageError(f"layer {number} of {origin} has no sha256 digest: {digest[:80]!r}, {str(diff_id)[:80]!r}")
        if not media.is_size(size):
            raise UsageError(f"layer {number} of {origin} has the size {size!r}")
        kind = _layer_type(str(media_type), f"layer {number} of {origin}")
        if kind == media.LAYER_TAR and digest != diff_id:
            raise UsageError(f"layer {number} of {origin} is uncompressed, but its diff_id is not its digest")
        layers.append(Layer(digest=digest, size=size, diff_id=diff_id, media_type=kind))
    return layers


def first_of(places: Mapping[str, Any], context: Fetching, pin: str | None, ask: Callable[[Source], T]) -> T:
    """What `ask` gets from the first source that has it, of those the places name; `pin` is the image's digest.

    Raises UsageError for a malformed reference, FetchError where no source is named, and the last source's error.
    """
    found: list[Reference] = []
    if places.get("layout"):
        found.append(Reference(LAYOUT, str(places["layout"])))
    if places.get("reference"):
        found.append(parse_reference(str(places["reference"]), places.get("default_registry")))
    if not found:
        raise FetchError("nothing says where the base image comes from", hint="give the target's 'image'")
    plain = True if places.get("plain_http") else None
    *others, last = (
        open_source(one.at(pin) if pin else one, context, root=context.workspace, plain_http=plain) for one in found
    )
    for source in others:
        with contextlib.suppress(BuildrulesError):
            return ask(source)
    return ask(last)


def _lists(manifest: bytes, config: bytes, origin: str) -> tuple[list[dict[str, Any]], list[Any]]:
    try:
        entries, diff_ids = read_json(manifest)["layers"], read_json(config)["rootfs"]["diff_ids"]
    except (ValueError, KeyError, TypeError):
        entries = diff_ids = None
    if not isinstance(entries, list) or not isinstance(diff_ids, list):
        raise UsageError(f"{origin} is not a container image: it has no layers or no list of diff_ids")
    if not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"the manifest of {origin} is malformed")
    return entries, diff_ids


def _layer_type(media_type: str, what: str) -> str:
    if media_type in media.OCI_LAYER_TYPES:
        return media.OCI_LAYER_TYPES[media_type]
    if "nondistributable" in media_type or "rootfs.foreign" in media_type:
        raise UsageError(f"{what} may not be distributed ({media_type!r})", hint="use a base image without such layers")
    if media_type.endswith("+encrypted"):
        raise UsageError(f"{what} is encrypted ({media_type!r})", hint="decrypt the image first: skopeo copy")
    raise UsageError(
        f"{what} has the unknown media type {media_type!r}", hint="only tar, gzip and zstd layers are read"
    )
