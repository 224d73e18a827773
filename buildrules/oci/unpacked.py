"""Layers, and compressed members of others' archives, as streams in bounded memory.

Format of layers: OCI image specification 1.1, layer.md.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, BinaryIO

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.chunks import XZ_MEMORY, chunk_file
from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, Layer

MOST_ENTRIES = 1_000_000
"""Entries that are read of an image: large ones have a third of that."""
_SUFFIXES = {LAYER_TAR: "", LAYER_GZIP: ".gz", LAYER_ZSTD: ".zst"}
_SMALL, _MOST_TIMES = 1 << 30, 100  # bytes every layer may unpack to, and times its size that a larger one may
_CHUNK = 1 << 20


def room_of(layer: Layer) -> int:
    """Bytes of files that a layer may unpack to."""
    return max(_SMALL, _MOST_TIMES * layer.size)


def layer_unpacked(layer: Layer, raw: IO[bytes]) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """The tar of a layer whose bytes are `raw`, and what reading it raises where it is damaged.

    Raises what `unpacked` raises.
    """
    import gzip
    import tarfile

    suffix = _SUFFIXES.get(layer.media_type, layer.media_type)
    stream, damage = unpacked(raw, suffix, f"layer {layer.digest[:19]}")
    return stream, (tarfile.TarError, ValueError, EOFError, OverflowError, gzip.BadGzipFile, damage)


def run_of(file: BinaryIO, size: int) -> IO[bytes]:
    """The next `size` bytes of a file, as a file."""
    return chunk_file(_run(file, size))


def unpacked(raw: IO[bytes], suffix: str, what: str) -> tuple[IO[bytes], type[Exception]]:
    """The content of `raw`, whose name ends with `suffix`, and what reading it raises where it is damaged.

    `what` names the archive in errors. Raises IntegrityError for a compression that is not known, UsageError for zstd
    where nothing here can read that.
    """
    if suffix == "":
        return raw, EOFError
    if suffix == ".gz":
        igzip: Any = import_module("isal.igzip")
        return igzip.IGzipFile(fileobj=raw), igzip.isal_zlib.error
    if suffix == ".bz2":
        import bz2

        return bz2.BZ2File(raw), EOFError
    if suffix in (".xz", ".lzma"):
        import lzma

        return chunk_file(_unxz(raw)), lzma.LZMAError
    if suffix == ".zst":
        try:
            zstandard: Any = import_module("zstandard")
        except ImportError:
            raise UsageError(
                f"{what} is compressed with zstd, which nothing here can read", hint="pip install zstandard"
            ) from None
        stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return stream, zstandard.ZstdError
    raise IntegrityError(f"{what} is compressed in an unknown way: {suffix!r}")


def _run(file: BinaryIO, size: int) -> Iterator[bytes]:
    while data := file.read(min(size, _CHUNK)):
        size -= len(data)
        yield data


def _unxz(raw: IO[bytes]) -> Iterator[bytes]:
    """What is in xz streams, one after the other, of which none may ask for a dictionary that fills the memory."""
    import lzma

    data = raw.read(_CHUNK)
    while data:
        stream = lzma.LZMADecompressor(memlimit=XZ_MEMORY)
        while not stream.eof:
            yield stream.decompress(data, _CHUNK)
            data = b""
            if stream.needs_input and not stream.eof:
                data = raw.read(_CHUNK)
                if not data:
                    raise EOFError("it ends too early")
        data = stream.unused_data.lstrip(b"\0") or raw.read(_CHUNK)
