"""Layers from any tars, sound or not."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from typing import Any

from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR, Layer
from buildrules.serving.runner import Package
from tests.support.handmade import image_of

Row = tuple[str, str | bytes | None] | tarfile.TarInfo


class Tars:
    """Layers from rows: a path and its content, None for a folder, or a TarInfo."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def layer(self, *rows: Row, packed: bool = False) -> Layer:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for row in rows:
                if isinstance(row, tarfile.TarInfo):
                    archive.addfile(row)
                    continue
                path, content = row
                entry = tarfile.TarInfo(path)
                if content is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
                else:
                    data = content.encode() if isinstance(content, str) else content
                    entry.size, entry.mode = len(data), 0o755
                    archive.addfile(entry, io.BytesIO(data))
        tar = buffer.getvalue()
        return self.of(gzip.compress(tar) if packed else tar, LAYER_GZIP if packed else LAYER_TAR)

    def of(self, blob: bytes, media_type: str = LAYER_TAR) -> Layer:
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        self.data[digest] = blob
        return Layer(
            digest=digest,
            size=len(blob),
            diff_id=digest,
            media_type=media_type,
        )

    def package(self, *layers: Layer, **settings: Any) -> Package:
        """A package of an image with these layers, that has a busybox."""
        settings = {"entrypoint": ["/bin/busybox", "true"], **settings}
        return Package("//:app", "acme/app", image_of([*layers], **settings), self.stream, "linux/amd64", ())

    def stream(self, layer: Layer) -> Iterator[bytes]:
        data = self.data[layer.digest]
        for start in range(0, len(data), 700):
            yield data[start : start + 700]


def special(path: str, kind: bytes, target: str = "", **more: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = kind, target
    for name, value in more.items():
        setattr(entry, name, value)
    return entry


def link(path: str, target: str) -> tarfile.TarInfo:
    return special(path, tarfile.SYMTYPE, target)
