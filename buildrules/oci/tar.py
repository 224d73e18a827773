"""Tar as this project writes it: POSIX.1-2001 ustar headers, PAX records only where ustar has no room.

Format: POSIX.1-2001 `pax`, sections "ustar Interchange Format" and "pax Extended Header"; OCI image specification 1.1,
layer.md. Owner 0:0 (or a user of root's group) without names, time 0, no device numbers, and 1024 zero bytes at the
end.
"""

from collections.abc import Iterable, Iterator

from buildrules.errors import IntegrityError
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Chunks, DeflateRange, Entry, FileRange
from buildrules.oci.paths import bad_link, bad_path

BLOCK = 512
END = bytes(1024)

Piece = bytes | FileRange | DeflateRange
"""A run of bytes of the tar stream, given or to be read."""

_LARGEST = 0o77777777777  # 11 octal digits: 8 GiB - 1
_TYPES = {FILE: b"0", HARDLINK: b"1", SYMLINK: b"2", DIRECTORY: b"5"}
_ROOT = b"0000000\0"
_TIME = b"0" * 11 + b"\0"
_NO_LINK = bytes(100)
_MAGIC = b"ustar\x0000" + bytes(80)  # magic, version, uname, gname, devmajor, devminor
_NO_PREFIX = bytes(167)  # prefix and padding
_FIXED_SUM = 2 * sum(_ROOT) + sum(_TIME) + sum(_MAGIC) + 8 * 32  # the checksum counts itself as eight spaces


def header(entry: Entry) -> bytes:
    """The header block of an entry, after a PAX header where a name is long or not ASCII or the size 8 GiB or more."""
    name = entry.path.encode()
    if entry.kind == DIRECTORY:
        name += b"/"
    link = entry.link.encode() if entry.link else b""
    size = entry.size if entry.kind == FILE else 0
    kind = _TYPES[entry.kind]
    if len(name) <= 100 and len(link) <= 100 and size <= _LARGEST and name.isascii() and link.isascii():
        return _block(name, b"", kind, mode=entry.mode, size=size, link=link, owner=entry.owner)
    records = b""
    prefix = b""
    if name.isascii():
        prefix, short = _split(name)
    else:
        short = b""
    if not short:
        records += _record(b"path", name)
        short = _ascii(name)
    if len(link) > 100 or not link.isascii():
        records += _record(b"linkpath", link)
        link = _ascii(link)
    if size > _LARGEST:
        records += _record(b"size", b"%d" % size)
        size = 0
    block = _block(short, prefix, kind, mode=entry.mode, size=size, link=link, owner=entry.owner)
    if not records:
        return block
    extended = _block(_ascii(b"PaxHeaders/" + name.rstrip(b"/")), b"", b"x", mode=0o644, size=len(records), link=b"")
    return extended + records + bytes(-len(records) % BLOCK) + block


def _block(name: bytes, prefix: bytes, kind: bytes, *, mode: int, size: int, link: bytes, owner: int = 0) -> bytes:
    numbers = b"%07o\0" % mode
    length = b"%011o\0" % size
    total = _FIXED_SUM + sum(name) + sum(numbers) + sum(length) + kind[0]
    user = _ROOT
    if owner:
        user = b"%07o\0" % owner
        total += sum(user) - sum(_ROOT)
    if link or prefix:
        total += sum(link) + sum(prefix)
    return b"".join(
        (
            name.ljust(100, b"\0"),
            numbers,
            user,
            _ROOT,
            length,
            _TIME,
            b"%06o\0 " % total,
            kind,
            link.ljust(100, b"\0") if link else _NO_LINK,
            _MAGIC,
            prefix.ljust(167, b"\0") if prefix else _NO_PREFIX,
        )
    )


def _split(name: bytes) -> tuple[bytes, bytes]:
    """(prefix, name) of at most 155 and 100 bytes, or two empty strings where no slash allows it."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101, len(name) - 1)
    if 0 < cut <= 155:
        return name[:cut], name[cut + 1 :]
    return b"", b""


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _ascii(name: bytes) -> bytes:
    """What a reader without PAX shows: at most 100 ASCII bytes."""
    return name.decode().encode("ascii", "replace")[:100]


def pieces(entries: Iterable[Entry]) -> Iterator[Piece]:
    """The tar stream of `entries`: headers, contents, padding, missing parent directories, the end.

    Raises IntegrityError for an entry that does not stay inside the layer: bad paths, links out of the root, something
    below a link or a file, a hardlink to what the layer does not hold, a directory replaced by something else, or a
    content that is not as long as it says.
    """
    kinds: dict[str, str] = {}
    directories: dict[str, int] = {"": 0o755}
    padding = b""
    for entry in entries:
        path = entry.path
        problem = bad_path(path)
        if problem:
            raise IntegrityError(f"path {path!r} in a layer {problem}")
        parent = path.rpartition("/")[0]
        if parent not in directories:
            for missing in _missing(parent, directories, kinds):
                yield padding + header(Entry(missing, DIRECTORY, 0o755))
                padding = b""
        if entry.kind == DIRECTORY:
            if path in kinds:
                raise IntegrityError(f"{path!r} is a directory and a {kinds[path]} in one layer")
            if directories.get(path) != entry.mode:
                directories[path] = entry.mode
                yield padding + header(entry)
                padding = b""
            continue
        _check(entry, kinds, directories)
        kinds[path] = entry.kind
        if entry.kind != FILE or not entry.size:
            yield padding + header(entry)
            padding = b""
            continue
        yield padding + header(entry)
        yield from _content(entry)
        padding = bytes(-entry.size % BLOCK)
    yield padding + END


def _missing(parent: str, directories: dict[str, int], kinds: dict[str, str]) -> list[str]:
    """The directories from the top down to `parent` that no entry has made, noted as made."""
    found = []
    while parent not in directories:
        if parent in kinds:
            raise IntegrityError(f"{parent!r} is a {kinds[parent]} of the layer, nothing can be below it")
        found.append(parent)
        parent = parent.rpartition("/")[0]
    found.reverse()
    directories.update(dict.fromkeys(found, 0o755))
    return found


def _check(entry: Entry, kinds: dict[str, str], directories: dict[str, int]) -> None:
    path, kind = entry.path, entry.kind
    if path in directories:
        raise IntegrityError(f"{path!r} is a directory and a {kind} in one layer")
    if not 0 <= entry.mode <= 0o7777:
        raise IntegrityError(f"mode {entry.mode:o} of {path!r} is not one of permissions")
    if kind == SYMLINK:
        problem = bad_link(path, entry.link)
        if problem:
            raise IntegrityError(f"target {entry.link!r} of the symlink {path!r} {problem}")
    elif kind == HARDLINK:
        if kinds.get(entry.link) not in (FILE, HARDLINK) or entry.link == path:
            raise IntegrityError(f"hardlink {path!r} to {entry.link!r}, which is not a file before it in the layer")
    elif kind != FILE:
        raise IntegrityError(f"unknown kind of entry: {kind!r}")


def _content(entry: Entry) -> Iterator[Piece]:
    content = entry.content
    if isinstance(content, Chunks):
        done = 0
        for chunk in content.make():
            done += len(chunk)
            yield chunk
    else:
        if isinstance(content, bytes):
            done = len(content)
        else:
            done = content.length if isinstance(content, FileRange) else content.size
        yield content
    if done != entry.size:
        raise IntegrityError(f"{entry.path!r} has {done} bytes instead of {entry.size}")
