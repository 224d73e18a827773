"""Where a base image comes from: an OCI layout directory here, a registry (`registry_source`), or the local Docker
Engine (`daemon`).

One interface: `resolve` gives the manifest and config for a platform, `fetch` has a blob in the store. What is read by
digest is looked for in the store first and kept there, so that a pinned image needs its source once. Formats: OCI image
specification 1.1, manifest.md, image-index.md, image-layout.md, and Docker's image manifest version 2, schema 2.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from buildrules.document.plain_json import MOST, read_json
from buildrules.errors import GoneError, IntegrityError, Interrupted, UsageError
from buildrules.net.session import Fetching
from buildrules.oci import descriptor as media
from buildrules.oci.layout import IMAGE_NAME, REF_NAME, read_entries
from buildrules.oci.reference import Reference
from buildrules.sha256 import digest_of
from buildrules.state.rows import open_regular
from buildrules.store.blobs import CHUNK, hex_of

INDEXES = (media.INDEX, media.DOCKER_MANIFEST_LIST)
MANIFESTS = (media.MANIFEST, media.DOCKER_MANIFEST)
_DEPTH = 3  # an index may name an index; real ones do it once at most
_VARIANTS = {"arm64": "v8", "arm": "v7"}  # what the architecture means where no variant is given


@dataclass(frozen=True, slots=True)
class Resolved:
    """One image for one platform. `digest` pins it: that of the manifest, or a Docker Engine's image ID."""

    digest: str
    media_type: str
    manifest: bytes
    config: bytes


class Source:
    """A place an image is read from. `reference` says which one; what is moved is counted in `context`."""

    def __init__(self, reference: Reference, context: Fetching) -> None:
        self.reference = reference
        self.blobs = context.blobs
        self.context = context

    def fetched(self, count: int) -> None:
        """Count bytes that were moved."""
        self.context.count(fetched=count, source="registry")

    def read_manifest(self, name: str | None) -> tuple[str, bytes]:
        """Media type ("" where nobody says) and bytes of the manifest or index at a digest, tag or by default."""
        raise NotImplementedError

    def fetch(self, digest: str, size: int | None = None) -> None:
        """Have a blob in the store. Raises FetchError, GoneError, RegistryError, DockerError, IntegrityError at wrong
        bytes, Interrupted."""
        raise NotImplementedError

    def resolve(self, platform: str) -> Resolved:
        """Manifest and config for `platform` (`os/architecture[/variant]`); no layer is moved.

        Raises UsageError where the image has no such platform or is of a kind that cannot be a base,
        IntegrityError, FetchError, GoneError where a pinned digest no longer exists.
        """
        name = self.reference.digest or self.reference.tag
        for _ in range(_DEPTH):
            media_type, data = self._manifest(name)
            document = read_document(data, media_type, str(self.reference))
            if "manifests" in document:
                name = choose_platform(document["manifests"], platform, str(self.reference))
                continue
            config = self._config(document)
            check_platform(config, platform, str(self.reference))
            kept = document.get("mediaType") or media_type or media.MANIFEST
            return Resolved(digest_of(data), kept, data, config)
        raise UsageError(f"the index of {self.reference} names an index that names an index")

    def _manifest(self, name: str | None) -> tuple[str, bytes]:
        if not media.is_digest(name):
            media_type, data = self.read_manifest(name)
        else:
            kept = self._kept(name)
            if kept is not None:
                return "", kept
            media_type, data = self.read_manifest(name)
            found = digest_of(data)
            if found != name:
                raise IntegrityError(f"{self.reference} sent {found} instead of manifest {name}")
        self.fetched(len(data))
        self.blobs.put(data)
        return media_type, data

    def _config(self, manifest: dict[str, Any]) -> bytes:
        try:
            digest, size = str(manifest["config"]["digest"]), int(manifest["config"]["size"])
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"the manifest of {self.reference} names no config") from None
        if not 0 <= size <= MOST or not media.is_digest(digest):
            raise UsageError(f"the manifest of {self.reference} has a config of {size} bytes at {digest!r}")
        kept = self._kept(digest)
        if kept is None:
            self.fetch(digest, size)
            kept = self.blobs.read(digest)
        return kept

    def _kept(self, digest: str) -> bytes | None:
        """The blob as the store has it; a corrupt one is a miss."""
        try:
            return self.blobs.read(digest)
        except (FileNotFoundError, IntegrityError):
            return None


class LayoutSource(Source):
    """An image in an OCI layout directory. `root` is what a relative path starts from."""

    def __init__(self, reference: Reference, context: Fetching, *, root: str = "") -> None:
        super().__init__(reference, context)
        self.directory = os.path.join(root, reference.name)

    def read_manifest(self, name: str | None) -> tuple[str, bytes]:
        """The blob at a digest; otherwise the entries of index.json with the reference name `name`, as an index."""
        if media.is_digest(name):
            with self._open(name) as file:
                data = file.read(MOST + 1)
            if len(data) > MOST:
                raise IntegrityError(f"{name} in layout {self.reference.name!r} is too large for a manifest")
            return "", data
        entries = read_entries(self.directory)
        labels = [entry.get("annotations") or {} for entry in entries]
        found = [entry for entry, label in zip(entries, labels, strict=True) if name is None or is_named(name, label)]
        if not found:
            known = sorted({str(label.get(REF_NAME)) for label in labels})
            raise UsageError(
                f"layout {self.reference.name!r} has no image" + (f" named {name!r}" if name else ""),
                hint=f"it has {', '.join(known)}" if entries else "the directory is empty or does not exist",
            )
        return media.INDEX, json.dumps({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": found}).encode()

    def fetch(self, digest: str, size: int | None = None) -> None:
        """As in Source."""
        with self._open(digest) as file, self.blobs.writer(digest, size) as blob:
            while chunk := file.read(CHUNK):
                if self.context.cancelled:
                    raise Interrupted("interrupted while fetching a base image")
                blob.write(chunk)
                self.fetched(len(chunk))
                self.context.progress(f"reading base layer {digest[7:19]}", blob.size, size)

    def _open(self, digest: str) -> BinaryIO:
        try:
            return open(open_regular(os.path.join(self.directory, "blobs", "sha256", hex_of(digest))), "rb")
        except OSError as error:
            raise GoneError(
                f"layout {self.reference.name!r} has no blob {digest} ({error.strerror})",
                hint="copy the image into the layout again, or run 'buildrules lock'",
            ) from error


def is_named(name: str, annotations: dict[str, Any]) -> bool:
    """Whether an entry of index.json is called `name`: its reference name, its full name, or the tag of the first."""
    reference = str(annotations.get(REF_NAME) or "")
    return name in (reference, annotations.get(IMAGE_NAME)) or reference.rpartition(":")[2] == name


def read_document(data: bytes, media_type: str, what: str) -> dict[str, Any]:
    """Parse a manifest or index (told apart by `manifests`). Raises UsageError for anything a base cannot be.

    A document that can be read both ways, or as another type than it was served as, is refused (the
    specification's answer to confusing clients with one digest and two meanings).
    """
    try:
        document = read_json(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"what {what} names is not an image manifest (media type {media_type!r})")
    if document.get("schemaVersion") == 1:
        raise UsageError(
            f"{what} is an image of the old 'schema 1' format",
            hint="push it again with a current tool, or copy it: skopeo copy --format oci",
        )
    own = str(document.get("mediaType") or "")
    known = (*INDEXES, *MANIFESTS)
    if own and own not in known:
        raise UsageError(f"{what} is not an image: its media type is {own!r}")
    served_as_other = own and media_type in known and media_type != own
    is_index, is_image = "manifests" in document, "layers" in document or "config" in document
    if served_as_other or is_index == is_image or (own in INDEXES) > is_index or (own in MANIFESTS) > is_image:
        raise UsageError(
            f"the manifest of {what} contradicts itself about what it is (media type {own or media_type!r})"
        )
    if not isinstance(document.get("manifests" if is_index else "layers"), list):
        raise UsageError(f"the manifest of {what} is malformed")
    return document


def choose_platform(entries: list[Any], platform: str, what: str) -> str:
    """The digest of the entry of an index that runs on `platform`. Raises UsageError naming those there are.

    Attestations (`unknown/unknown`) are passed over; an entry without a platform is taken if it is alone.
    """
    wanted = _normal(platform)
    silent: list[str] = []
    offered: list[str] = []
    for entry in entries:
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if not media.is_digest(digest):
            raise UsageError(f"the index of {what} is malformed: {str(digest)[:80]!r} is not a sha256 digest")
        place = entry.get("platform")
        if not isinstance(place, dict):
            silent.append(digest)
            continue
        name = "/".join(str(place[key]) for key in ("os", "architecture", "variant") if place.get(key))
        if _normal(name) == wanted:
            return digest
        offered.append(name)
    if len(set(silent)) == 1:
        return silent[0]
    if silent and not offered:
        raise UsageError(f"{what} may be any of {len(set(silent))} images", hint="name one, by ':REF' or '@sha256:…'")
    there = ", ".join(sorted({name for name in offered if not name.startswith("unknown")}))
    raise UsageError(f"{what} has no image for {platform}", hint=f"it has {there or 'none at all'}")


def check_platform(config: bytes, platform: str, what: str) -> dict[str, Any]:
    """Parse an image's config and see that it is one for `platform`. Raises UsageError."""
    try:
        document = read_json(config)
        name = "/".join(str(document[key]) for key in ("os", "architecture", "variant") if document.get(key))
    except (ValueError, TypeError, AttributeError, KeyError):
        raise UsageError(f"{what} is not an image: its config cannot be read") from None
    if _normal(name) != _normal(platform):
        raise UsageError(f"{what} is an image for {name or 'no platform'}, not for {platform}")
    found: dict[str, Any] = document
    return found


def _normal(platform: str) -> str:
    """`platform` with the variant its architecture implies."""
    parts = platform.split("/")
    if len(parts) == 2 and parts[1] in _VARIANTS:
        parts.append(_VARIANTS[parts[1]])
    if len(parts) == 3 and parts[1] == "amd64" and parts[2] == "v1":
        parts.pop()
    return "/".join(parts)
