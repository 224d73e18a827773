"""One entry of a layer, and the ways its content can be given without holding it in memory."""

from collections.abc import Callable, Iterator

from buildrules.typed import NamedTuple

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symlink"
HARDLINK = "hardlink"


class FileRange(NamedTuple):
    """`length` bytes of the file `path` (absolute) from `offset`.

    With `whole` the file must be exactly offset + length bytes long when it is read, else the build fails: the file has
    changed since it was measured. With `digest` (`sha256:<hex>`) the bytes that are read must have it.
    """

    path: str
    offset: int
    length: int
    whole: bool = False
    digest: str | None = None


class DeflateRange(NamedTuple):
    """A raw deflate stream (RFC 1951): `length` compressed bytes of the file `path` from `offset`.

    It inflates to `size` bytes with the CRC-32 `crc32`. gzip layers copy it as it is.
    """

    path: str
    offset: int
    length: int
    crc32: int
    size: int


class Chunks(NamedTuple):
    """Content from a factory of chunk iterators. The chunks together must be exactly the entry's size."""

    make: Callable[[], Iterator[bytes]]


Content = bytes | FileRange | DeflateRange | Chunks


class Entry:
    """One tar entry.

    `path` is relative and normalised, `kind` one of FILE, DIRECTORY, SYMLINK, HARDLINK, `mode` the permission bits
    (at most 0o7777), `link` the target of a symlink as it stands, or the layer path of a hardlink's first name,
    `size` the bytes of a file's content, `owner` the number of the user it belongs to; its group is always root's.
    """

    __slots__ = ("content", "kind", "link", "mode", "owner", "path", "size")

    def __init__(
        self,
        path: str,
        kind: str = FILE,
        mode: int = 0o644,
        *,
        link: str = "",
        size: int = 0,
        content: Content = b"",
        owner: int = 0,
    ) -> None:
        self.path = path
        self.kind = kind
        self.mode = mode
        self.link = link
        self.size = size
        self.content = content
        self.owner = owner

    def __repr__(self) -> str:
        return f"Entry({self.path!r}, {self.kind}, {self.mode:o}, {self.size} bytes)"
