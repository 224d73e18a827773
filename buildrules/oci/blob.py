"""A blob that is to be written somewhere."""

from collections.abc import Callable, Iterable, Iterator

from buildrules.errors import IntegrityError
from buildrules.sha256 import new_hash
from buildrules.typed import NamedTuple


class BlobSource(NamedTuple):
    """`digest` is `sha256:<hex>`, `size` in bytes; `open` gives its bytes, read anew at every call."""

    digest: str
    size: int
    open: Callable[[], Iterable[bytes]]


def small(digest: str, data: bytes) -> BlobSource:
    """A blob that is in memory."""
    return BlobSource(digest, len(data), lambda: (data,))


def checked(blob: BlobSource, chunks: Iterable[bytes], place: str) -> Iterator[bytes]:
    """Pass the blob's bytes on. Raises IntegrityError, which names `place`, where they do not have its digest and size.

    As `sound` does it.
    """
    return sound(blob.digest, blob.size, chunks, lambda why: IntegrityError(f"blob {blob.digest} of {place} {why}"))


def sound(digest: str, size: int, chunks: Iterable[bytes], wrong: Callable[[str], IntegrityError]) -> Iterator[bytes]:
    """Pass bytes on. Raises what `wrong` makes of the reason where they do not have the digest and size.

    The last chunk is held back until all is known to be right: of a wrong blob nobody ever gets the whole.
    """
    sha256 = new_hash(size)
    done = 0
    held = b""
    for chunk in chunks:
        done += len(chunk)
        if done > size:
            break
        sha256.update(chunk)
        if held:
            yield held
        held = chunk
    if done != size:
        raise wrong(f"has {'more' if done > size else done} bytes instead of {size}")
    if (found := "sha256:" + sha256.hexdigest()) != digest:
        raise wrong(f"is damaged: its bytes have the digest {found}")
    if held:
        yield held
