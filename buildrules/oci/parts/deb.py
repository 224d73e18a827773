"""The files of a Debian binary package, as entries of a layer.

Formats: deb(5) (an `ar` archive of debian-binary, control.tar and data.tar), POSIX.1-2001 ustar and pax, and GNU tar's
long names. Merged /usr: what a package puts below /bin, /sbin, /lib* goes below /usr; the links at the root are
the base's. Maintainer scripts are never looked at. Set-uid and set-gid bits are taken off: the
owners they are meant for do not exist in a layer that is all root's.
"""

import os
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Chunks, Entry
from buildrules.oci.recipe import bad_link, bad_path

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
DROP = ["usr/share/doc", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man"]
"""What a server does without. Copyright files stay, whatever is dropped."""

IN_MEMORY = 8 << 20  # a larger file is handed on in chunks
_CHUNK = 1 << 20
_LONGEST_NAME = 1 << 20
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"1": HARDLINK, b"2": SYMLINK, b"5": DIRECTORY}
_SPECIAL = {b"3": "character device", b"4": "block device", b"6": "named pipe"}
_COPYRIGHT = re.compile(r"usr/share/doc/[^/]+/copyright(\.gz)?")
_DOC = re.compile(r"usr/share/doc/[^/]+")


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The entries of a "deb" part in the order of its archive; see `read`. `drop` are globs of layer paths: what one
    matches is left out with all below it, but for copyright files."""
    return read(local.path(part["digest"]), part["drop"])


def read(path: str, drop: list[str], name: str = "") -> Iterator[Entry]:
    """The files of the package at `path` (absolute), called `name` in errors.

    Raises IntegrityError where the package is malformed or cut short, or holds a path outside the root, a device or
    pipe, or a link out of the root; UsageError where it is zstd-compressed and nothing here can read that.
    """
    name = name or os.path.basename(path)
    pattern = re.compile("|".join(_translate(glob) for glob in drop)) if drop else None
    with open(path, "rb") as file:
        suffix, offset, size = _member(file, "data.tar", name)
        for entry in untar(_Stream(file, offset, size, suffix, name), name):
            merged = _merge(entry)
            if merged is None or (pattern and pattern.match(merged.path) and not _kept(merged)):
                continue
            yield merged


def read_control(path: str, name: str = "") -> str:
    """The text of the package's control file. Raises as `read`, and IntegrityError where there is none."""
    name = name or os.path.basename(path)
    with open(path, "rb") as file:
        suffix, offset, size = _member(file, "control.tar", name)
        for entry in untar(_Stream(file, offset, size, suffix, name), name):
            if entry.path == "control" and isinstance(entry.content, bytes):
                return entry.content.decode("utf-8", "replace")
    raise IntegrityError(f"debian package {name!r} has no control file")


def _translate(glob: str) -> str:
    """A glob as a regular expression for a path or a folder above it; `*` and `?` do not cross a slash."""
    steps = (re.escape(glob.strip("/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), "(?:/|$)")
    return "".join(steps)


def _kept(entry: Entry) -> bool:
    # Packages built from one source link their documentation folder to that of one of them.
    return bool(_COPYRIGHT.fullmatch(entry.path) or (entry.kind == SYMLINK and _DOC.fullmatch(entry.path)))


def _merge(entry: Entry) -> Entry | None:
    """The entry at its place below /usr; None for the links at the root that make a system merged."""
    entry.path = _merged(entry.path)
    if entry.kind == HARDLINK:
        entry.link = _merged(entry.link)
    elif entry.kind == SYMLINK:
        folder, _, base = entry.path.rpartition("/")
        if folder == "usr" and base in MERGED and entry.link.strip("/") == entry.path:
            return None
    return entry


def _merged(path: str) -> str:
    return f"usr/{path}" if path.split("/", 1)[0] in MERGED else path


def _member(file: BinaryIO, wanted: str, name: str) -> tuple[str, int, int]:
    """(compression suffix, offset, size) of the `ar` member `wanted`. Raises IntegrityError where there is none."""
    end = os.fstat(file.fileno()).st_size
    if file.read(8) != b"!<arch>\n":
        raise IntegrityError(f"{name!r} is not a Debian package")
    offset = 8
    while offset + 60 <= end:
        file.seek(offset)
        header = file.read(60)
        label = header[:16].decode("ascii", "replace").rstrip().rstrip("/")
        size = _decimal(header[48:58])
        if header[58:] != b"`\n" or size < 0 or offset + 60 + size > end:
            raise IntegrityError(f"debian package {name!r} is cut short or malformed")
        if offset == 8 and (label != "debian-binary" or not file.read(min(size, 16)).startswith(b"2.")):
            raise IntegrityError(f"{name!r} is not a Debian package of format 2")
        if label == wanted or label.startswith(wanted + "."):
            return label[len(wanted) :], offset + 60, size
        offset += 60 + size + size % 2
    raise IntegrityError(f"debian package {name!r} has no {wanted}")


def _decimal(field: bytes) -> int:
    text = field.strip()
    return int(text) if text.isdigit() else -1


class _Stream:
    """A decompressed `ar` member, read in bounded memory."""

    def __init__(self, file: BinaryIO, offset: int, size: int, suffix: str, name: str) -> None:
        file.seek(offset)
        self._file = file
        self._left = size
        self._name = name
        self._decode = _decoder(suffix, name)
        self._held = bytearray()
        self._at = 0

    def take(self, size: int, short: bool = False) -> bytes:
        """Exactly `size` bytes. At the end of the stream: b"" with `short`, else IntegrityError."""
        while len(self._held) - self._at < size:
            if not self._fill():
                if short and self._at == len(self._held):
                    return b""
                raise IntegrityError(f"debian package {self._name!r} is cut short")
        data = bytes(memoryview(self._held)[self._at : self._at + size])
        self._at += size
        return data

    def _fill(self) -> bool:
        raw = self._file.read(min(self._left, 256 << 10))
        self._left -= len(raw)
        try:
            data, more = self._decode(raw)
        except (OSError, ValueError, EOFError) as error:
            raise IntegrityError(f"debian package {self._name!r} cannot be unpacked: {error}") from None
        del self._held[: self._at]
        self._at = 0
        self._held += data
        return bool(data) or bool(raw) or more


def _decoder(suffix: str, name: str) -> Callable[[bytes], tuple[bytes, bool]]:
    """A function from compressed bytes to (decompressed bytes, whether more can come without input)."""
    if suffix == "":
        return lambda data: (data, False)
    if suffix == ".gz":
        import zlib

        inflate = zlib.decompressobj(31)

        def unzip(data: bytes) -> tuple[bytes, bool]:
            try:
                result = inflate.decompress(inflate.unconsumed_tail + data, _CHUNK)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            return result, bool(inflate.unconsumed_tail)

        return unzip
    if suffix in (".xz", ".lzma"):
        import lzma

        unxz = lzma.LZMADecompressor()

        def decompress(data: bytes) -> tuple[bytes, bool]:
            if unxz.eof:
                return b"", False
            try:
                result = unxz.decompress(data, _CHUNK)
            except lzma.LZMAError as error:
                raise ValueError(str(error)) from None
            return result, not unxz.needs_input

        return decompress
    if suffix == ".zst":
        try:
            zstandard = import_module("zstandard")
        except ImportError:
            raise UsageError(
                f"debian package {name!r} is compressed with zstd, which nothing here can read",
                hint="pip install zstandard",
            ) from None
        unzstd = zstandard.ZstdDecompressor().decompressobj()

        def expand_zstd(data: bytes) -> tuple[bytes, bool]:
            try:
                return (b"" if unzstd.eof else unzstd.decompress(data)), False
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None

        return expand_zstd
    raise IntegrityError(f"debian package {name!r} is compressed in an unknown way: {suffix!r}")


def untar(stream: _Stream, name: str) -> Iterator[Entry]:
    """The entries of a tar archive but its root, validated. Raises IntegrityError that quotes the path."""
    long: dict[str, str] = {}
    while (header := stream.take(512, short=True)) and header.strip(b"\0"):
        _checksum(header, name)
        kind, size = header[156:157], _number(header[124:136], name)
        if kind in (b"L", b"K", b"x", b"g"):
            if size > _LONGEST_NAME:
                raise IntegrityError(f"a header of debian package {name!r} is {size} bytes long")
            data = _padded(stream, size)
            if kind == b"x":
                long |= _pax(data, name)
            elif kind != b"g":
                long["path" if kind == b"L" else "linkpath"] = _utf8(data.split(b"\0", 1)[0], name)
            continue
        if "size" in long:
            size = int(long["size"]) if long["size"].isdigit() else -1
        path = long.get("path", _path(header, name))
        link = long.get("linkpath", _utf8(header[157:257].split(b"\0", 1)[0], name))
        long = {}
        mode = _number(header[100:108], name)
        entry = _entry(name, _clean(path), kind, mode & 0o7777, link)
        if entry.kind != FILE:
            yield from (entry,) if entry.path else ()
            continue
        if size < 0:
            raise IntegrityError(f"{path!r} in debian package {name!r} has no size")
        entry.size = size
        if size <= IN_MEMORY:
            entry.content = _padded(stream, size)
            yield entry
        else:
            yield from _large(stream, entry)


def _large(stream: _Stream, entry: Entry) -> Iterator[Entry]:
    left = entry.size

    def chunks() -> Iterator[bytes]:
        nonlocal left
        while left:
            data = stream.take(min(left, _CHUNK))
            left -= len(data)
            yield data

    entry.content = Chunks(chunks)
    yield entry
    for _ in chunks():  # nobody wanted it, or not all of it
        pass
    stream.take(-entry.size % 512)


def _padded(stream: _Stream, size: int) -> bytes:
    data = stream.take(size)
    stream.take(-size % 512)
    return data


def _entry(name: str, path: str, kind: bytes, mode: int, link: str) -> Entry:
    """A validated entry without content; an empty path is the root."""
    if kind in _SPECIAL:
        raise IntegrityError(f"{path!r} in debian package {name!r} is a {_SPECIAL[kind]}")
    if kind not in _KINDS:
        raise IntegrityError(f"{path!r} in debian package {name!r} is of unknown type {kind!r}")
    if path or _KINDS[kind] != DIRECTORY:
        _check(name, path, bad_path(path))
    if _KINDS[kind] == DIRECTORY:
        return Entry(path, DIRECTORY, mode & 0o1777)
    if _KINDS[kind] == HARDLINK:
        _check(name, link, bad_path(_clean(link)))
        return Entry(path, HARDLINK, mode & 0o777, link=_clean(link))
    if _KINDS[kind] == SYMLINK:
        _check(name, f"{path} -> {link}", bad_link(path, link))
        return Entry(path, SYMLINK, 0o777, link=link)
    return Entry(path, FILE, mode & 0o777)


def _check(name: str, what: str, problem: str | None) -> None:
    if problem:
        raise IntegrityError(f"{what!r} in debian package {name!r} {problem}")


def _clean(path: str) -> str:
    """Without the leading `./` and the slash after a folder; anything else is left for the check."""
    path = path.removeprefix("./").removesuffix("/")
    return "" if path == "." else path


def _path(header: bytes, name: str) -> str:
    base = _utf8(header[:100].split(b"\0", 1)[0], name)
    # Only POSIX ustar has a prefix; old GNU tar keeps times in these bytes.
    prefix = _utf8(header[345:500].split(b"\0", 1)[0], name) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{base}" if prefix else base


def _checksum(header: bytes, name: str) -> None:
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if _number(header[148:156], name) != total:
        raise IntegrityError(f"debian package {name!r} is malformed: a checksum is wrong")


def _number(field: bytes, name: str) -> int:
    """Octal digits, or GNU's base 256."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    text = field.split(b"\0", 1)[0].strip()
    if text.strip(b"01234567"):
        raise IntegrityError(f"debian package {name!r} is malformed: {text!r} is not a number")
    return int(text or b"0", 8)


def _pax(data: bytes, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        end = int(length) if space and length.isdigit() else 0
        key, equals, value = data[len(length) + 1 : end - 1].partition(b"=")
        if not equals or data[end - 1 : end] != b"\n":
            raise IntegrityError(f"debian package {name!r} is malformed: an extended header is wrong")
        if key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = _utf8(value, name)
        elif key.startswith(b"GNU.sparse"):
            raise IntegrityError(f"debian package {name!r} holds a sparse file, which Debian's own tools do not make")
        data = data[end:]
    return found


def _utf8(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise IntegrityError(f"debian package {name!r} has a path that is not UTF-8: {data!r}") from None
