"""Small images made by hand: layers from tar streams held in memory or made on demand."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator

from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR, Layer
from buildrules.oci.image import Image, build_image


def tar_of(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """A tar with these files and their parent folders, dated 1970, owned by root."""
    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Shelf:
    """Layers made of bytes, and the stream that gives them back. `asked` lists the digests streamed."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.names: dict[str, str] = {}

    def layer(self, files: dict[str, bytes], name: str = "files", *, mode: int = 0o644, packed: bool = False) -> Layer:
        tar = tar_of(files, mode)
        blob = gzip.compress(tar, mtime=0) if packed else tar
        self.data[sha256(blob)] = blob
        self.names[sha256(blob)] = name
        return Layer(
            digest=sha256(blob),
            size=len(blob),
            diff_id=sha256(tar),
            media_type=LAYER_GZIP if packed else LAYER_TAR,
        )

    def names_of(self, layers: Iterable[Layer]) -> list[str]:
        return [self.names[layer.digest] for layer in layers]

    def stream(self, layer: Layer) -> Iterator[bytes]:
        self.asked.append(layer.digest)
        data = self.data[layer.digest]
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]


def image_of(layers: list[Layer], platform: str = "linux/amd64", **settings: object) -> Image:
    return build_image(layers, ImageConfig.from_dict(settings), platform)
