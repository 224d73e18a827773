"""Models of OCI registries: artifacts as ORAS and its like push them, and images with files below /models.

Sources: OCI image specification 1.1 (manifest, layer), the annotations `org.opencontainers.image.title` and
`io.deis.oras.content.unpack`, CNCF ModelPack's `org.cncf.model.filepath`.
"""

import json
from typing import TYPE_CHECKING, Any

from buildrules.actions.models.file import LARGEST, File
from buildrules.errors import IntegrityError, RegistryError, UsageError
from buildrules.locking.models.origin import Resolved
from buildrules.oci.descriptor import is_digest
from buildrules.oci.reference import parse_reference
from buildrules.oci.registry import ACCEPT
from buildrules.sha256 import digest_of
from buildrules.start import registry as start

if TYPE_CHECKING:
    from buildrules.actions.models.access import Access

IMAGE_FOLDER = "models/"
"""Where images that carry a model have it."""
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_MODEL_PACK = "application/vnd.cncf.model."
_PACKED = ("tar", "tar+gzip", "tar.gzip", "tar.gz")


def resolve(uri: str, access: "Access") -> Resolved:
    """The files of the artifact or image `uri` names now. Layers that are archives are fetched, to look into them."""
    source = place(uri)
    source.update({"plain_http": True} if access.plain_http else {})
    reference = parse_reference(uri.partition("://")[2])
    source["digest"], manifest = _manifest(source, reference.digest or reference.tag or "latest", access)
    layers, config = manifest.get("layers"), manifest.get("config") or {}
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise RegistryError(f"{uri!r} is not an artifact: its manifest has no layers")
    if not isinstance(config, dict) or not all(isinstance(layer.get("annotations") or {}, dict) for layer in layers):
        raise RegistryError(f"{uri!r} is not an artifact: its manifest is malformed")
    is_image = config.get("mediaType") in _CONFIGS and not any(map(_title, layers))
    files: dict[str, File] = {}
    archives: dict[str, File] = {}
    for layer in layers:
        blob = _blob(layer, uri)
        if is_image:
            archives[blob.sha256] = blob
            access.take(source, blob.to_dict())
            _lay_over(files, access.unpacked(blob, _in_models))
        elif _is_packed(layer):
            archives[blob.sha256] = blob
            access.take(source, blob.to_dict())
            files.update({file.path: file for file in access.unpacked(blob)})
        else:
            files[blob.path] = blob
    if not files and is_image:
        raise UsageError(
            f"the image {uri!r} has no files below /{IMAGE_FOLDER}", hint="name an artifact, or another image"
        )
    used = {file.archive for file in files.values()}
    return Resolved(source, list(files.values()), [blob for blob in archives.values() if blob.sha256 in used])


def place(uri: str) -> dict[str, Any]:
    """The repository `uri` names: a file is the blob of its digest. Raises UsageError."""
    reference = parse_reference(uri.partition("://")[2])
    return {"kind": "oci", "registry": reference.host, "repository": reference.name}


def _manifest(source: dict[str, Any], reference: str, access: "Access", depth: int = 0) -> tuple[str, dict[str, Any]]:
    """(digest, manifest); of an index the first one that is no attestation, since models fit every platform."""

    def where(armed: dict[str, Any]) -> tuple[str, dict[str, str]]:
        url = f"{start.base(armed)}/v2/{armed['repository']}/manifests/{reference}"
        return url, {**start.headers(armed, access.environ, access.context.session.client), "Accept": ACCEPT}

    data = access.ask(source, where)
    digest = digest_of(data)
    if is_digest(reference) and digest != reference:
        raise IntegrityError(f"the registry {source['registry']} sent {digest} instead of {reference}")
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise TypeError("a manifest is a map")
        if "manifests" not in found:
            return digest, found
        rows = [row for row in found["manifests"] if (row.get("platform") or {}).get("os") != "unknown"]
        first = str(rows[0]["digest"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"the registry {source['registry']} did not answer with a manifest") from error
    if depth or not is_digest(first):
        raise RegistryError(f"{reference!r} is an index of indexes, which is not a model")
    return _manifest(source, first, access, depth + 1)


def _title(layer: dict[str, Any]) -> str | None:
    notes = layer.get("annotations") or {}
    return next((str(notes[name]) for name in _TITLES if notes.get(name)), None)


def _is_packed(layer: dict[str, Any]) -> bool:
    if str((layer.get("annotations") or {}).get("io.deis.oras.content.unpack")).lower() == "true":
        return True
    kind, notes = str(layer.get("mediaType", "")), layer.get("annotations") or {}
    if notes.get(_TITLES[0]) and not kind.startswith(_MODEL_PACK):
        return False  # a file of that name, as ORAS pulls it; it gives files the type of a tar if nobody says another
    return kind.endswith(_PACKED) and not str(_title(layer) or "").endswith((".tar", ".tar.gz", ".tgz"))


def _blob(layer: dict[str, Any], uri: str) -> File:
    digest, size, title = layer.get("digest"), layer.get("size"), _title(layer)
    if not is_digest(digest) or type(size) is not int or not 0 <= size < LARGEST:
        raise RegistryError(f"a layer of {uri!r} has no digest and size")
    if str(layer.get("mediaType", "")).endswith("zstd"):
        raise UsageError(f"a layer of {uri!r} is packed with zstd, which cannot be unpacked", hint="pack it with gzip")
    sha256 = digest.removeprefix("sha256:")
    return File(title or f"{sha256[:12]}.tar", size, sha256)


def _in_models(name: str) -> bool:
    return name.startswith(IMAGE_FOLDER) or name in (".wh.models", ".wh..wh..opq")


def _lay_over(files: dict[str, File], layer: list[File]) -> None:
    """Put a layer's files over those of the layers below; whiteouts take away (image specification, layer.md)."""
    for file in layer:
        folder, _, name = file.path.rpartition("/")
        if name.startswith(".wh."):
            gone = folder if name == ".wh..wh..opq" else f"{folder}/{name.removeprefix('.wh.')}".lstrip("/")
            for path in [path for path in files if f"{IMAGE_FOLDER}{path}/".startswith(f"{gone}/" if gone else "")]:
                del files[path]
    for file in layer:
        path = file.path.removeprefix(IMAGE_FOLDER)
        if not file.path.rpartition("/")[2].startswith(".wh."):
            files[path] = File(path, file.size, file.sha256, file.key or file.path, file.archive)
