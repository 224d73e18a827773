"""An image of the local Docker Engine as a base.

It is pinned by its image ID. The engine gives bytes only as one archive of everything (`docker save`),
so one export, hashed while it passes, fills the store; as long as the store has the image the engine is
not asked again. Formats: the archive of Docker up to 24 (`<name>/layer.tar`, `<hex>.json`, image ID =
digest of the config, layers uncompressed, so that their digest is the diff_id), and the OCI layout
(`blobs/sha256/<hex>`) of later engines.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from buildrules.document.plain_json import read_json
from buildrules.errors import DockerError, FetchError, GoneError
from buildrules.oci import descriptor as media
from buildrules.oci.chunks import chunk_file
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine, Reply, message_of
from buildrules.oci.source import Resolved, Source, check_platform
from buildrules.store.blobs import CHUNK, Blobs

_EXPORT_SECONDS = 600  # the engine is silent while it prepares the archive of a large image
_LEGACY = re.compile(r"(?:[^/]+/layer\.tar|[0-9a-f]{64}\.json)")
_NAMED = re.compile(r"blobs/sha256/([0-9a-f]{64})")


class DaemonSource(Source):
    """An image in the Docker Engine that DOCKER_HOST or the default socket names."""

    def resolve(self, platform: str) -> Resolved:
        """As in Source. The manifest is made here: the engine keeps none for images it has unpacked."""
        image_id = self.reference.digest or self._inspect()
        if not self._complete(image_id):
            self._export(image_id)
        config = self.blobs.read(image_id)
        document = read_json(config)
        if "rootfs" not in document:  # the engine's containerd store: the ID is that of a manifest or index
            self.reference = self.reference.at(image_id)
            return super().resolve(platform)
        check_platform(config, platform, str(self.reference))
        layers = [self._descriptor(media.LAYER_TAR, digest) for digest in document["rootfs"]["diff_ids"]]
        manifest = {
            "schemaVersion": 2,
            "mediaType": media.MANIFEST,
            "config": self._descriptor(media.CONFIG, image_id),
            "layers": layers,
        }
        data = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        return Resolved(image_id, media.MANIFEST, data, config)

    def read_manifest(self, name: str | None) -> tuple[str, bytes]:
        """A manifest of an image in the engine's containerd store. Raises GoneError."""
        self.fetch(name or "")
        return "", self.blobs.read(name or "")

    def fetch(self, digest: str, size: int | None = None) -> None:
        """As in Source, by at most one export."""
        if not self.blobs.has(digest, size):
            self._export(self.reference.digest or self._inspect())
        if not self.blobs.has(digest, size):
            raise GoneError(
                f"{self.reference} in the Docker Engine has no {digest}",
                hint="load the image into the engine again, or run 'buildrules lock'",
            )

    def _complete(self, image_id: str) -> bool:
        """Whether the store has the config and every layer, so that the engine need not be asked."""
        if not self.blobs.has(image_id):
            return False
        diff_ids = read_json(self.blobs.read(image_id)).get("rootfs", {}).get("diff_ids", [])
        return all(self.blobs.has(digest) for digest in diff_ids)

    def _descriptor(self, media_type: str, digest: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest, "size": os.stat(self.blobs.path(digest)).st_size}

    def _inspect(self) -> str:
        """The ID of the image the reference names."""
        return str(self._found(self._engine(), f"{self.reference.name}:{self.reference.tag}")["Id"])

    def _export(self, image_id: str) -> None:
        """Bring the whole image into the store."""
        engine = self._engine()
        diff_ids = self._found(engine, image_id).get("RootFS", {}).get("Layers") or []
        with engine.open("GET", f"/images/{image_id}/get", timeout=_EXPORT_SECONDS) as reply:
            if reply.status != 200:
                raise DockerError(f"{engine.title} does not export {self.reference}: {message_of(reply.read())}")
            keep_archive(self._counted(reply), self.blobs, {image_id, *diff_ids})
        if not self.blobs.has(image_id):
            raise DockerError(f"the Docker Engine exported {self.reference} without {image_id}")

    def _engine(self) -> Engine:
        try:
            return connect()
        except DockerError as error:
            raise DockerError(
                f"the Docker Engine cannot be asked for {self.reference}: {error.message}", hint=error.hint
            ) from error

    def _found(self, engine: Engine, name: str) -> dict[str, Any]:
        """What the engine says of an image. Raises GoneError where it has none that was pinned, else DockerError."""
        found = engine.inspect_image(name)
        if found is not None:
            return found
        if self.reference.digest is not None:
            raise GoneError(
                f"the Docker Engine no longer has {self.reference}",
                hint="load the image into the engine again, or run 'buildrules lock'",
            )
        raise DockerError(f"the Docker Engine has no {self.reference}", hint="pull, load or build the image first")

    def _counted(self, reply: Reply) -> Iterator[bytes]:
        while chunk := reply.read(CHUNK):
            self.fetched(len(chunk))
            yield chunk


class _UnwantedError(Exception):
    """Nobody asked for this blob."""


def keep_archive(chunks: Iterable[bytes], blobs: Blobs, wanted: set[str]) -> None:
    """Put the blobs of an image archive into the store: those of `wanted`, and all an OCI layout names.

    Nothing is extracted by name, so no path in the archive matters. Raises IntegrityError for a blob that is
    not what its name says, FetchError for an archive that breaks off.
    """
    import tarfile

    from buildrules.oci.untar import entries

    try:
        for member, file in entries(chunk_file(chunks)):
            named = _NAMED.fullmatch(member.name)
            digest = f"sha256:{named[1]}" if named else None
            known = digest is not None and blobs.has(digest, member.size)
            if file is None or known or not (named or _LEGACY.fullmatch(member.name)):
                continue
            with contextlib.suppress(_UnwantedError), blobs.writer(digest, member.size) as blob:
                while chunk := file.read(CHUNK):
                    blob.write(chunk)
                if digest is None and blob.digest not in wanted:  # which is known only now
                    raise _UnwantedError
    except (tarfile.TarError, EOFError) as error:
        raise FetchError(f"the Docker Engine's image archive cannot be read: {error}") from error
