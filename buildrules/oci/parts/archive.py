"""The directory of a zip archive, read with suspicion; contents are given as ranges of the archive.

Format: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 (local header) and 4.3.12 (central directory).
"""

import os
import struct
import zipfile

from buildrules.errors import IntegrityError
from buildrules.oci.gzip import inflate
from buildrules.oci.parts.entry import DeflateRange, FileRange
from buildrules.oci.paths import bad_path
from buildrules.oci.reader import Reader
from buildrules.typed import NamedTuple

LARGEST_TEXT = 64 << 20
_LOCAL = struct.Struct("<4s22xHH")


class Member(NamedTuple):
    """One file of an archive: its name, size in bytes, whether its mode has an execute bit, and its content."""

    name: str
    size: int
    executable: bool
    content: FileRange | DeflateRange

    def read(self, reader: Reader, most: int = LARGEST_TEXT) -> bytes:
        """All of it, for metadata and scripts. Raises IntegrityError where it is corrupt or above `most` bytes."""
        if self.size > most:
            raise IntegrityError(f"{self.name!r} has {self.size} bytes, more than such a file may have")
        if isinstance(self.content, DeflateRange):
            return b"".join(inflate(reader, self.content))
        return b"".join(map(bytes, reader.runs(self.content, bytearray(max(1, self.size)))))

    def starts_with(self, start: bytes, reader: Reader) -> bool:
        """Whether the content starts with a few bytes, without inflating the rest."""
        from zlib import decompressobj, error

        content = self.content
        piece = FileRange(content.path, content.offset, min(content.length, 4096))
        head = b"".join(map(bytes, reader.runs(piece, bytearray(4096))))
        if isinstance(content, DeflateRange):
            try:
                head = decompressobj(-15).decompress(head, len(start))
            except error:
                raise IntegrityError(f"corrupt compressed data of {self.name!r}") from None
        return head.startswith(start)


def members(path: str, label: str) -> list[Member]:
    """The files of the zip archive at `path`, in the archive's order; its directories do not count.

    `label` names the archive in errors. Raises IntegrityError for what is no zip, for names that are unsafe or stand
    there twice, members that overlap, are encrypted or compressed otherwise than by deflate, and a directory that
    contradicts the local headers; FileNotFoundError where there is no file.
    """
    try:
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
            found = [_member(info, file.fileno(), path, label) for info in infos if not info.filename.endswith("/")]
            size = os.fstat(file.fileno()).st_size
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error) as error:
        raise IntegrityError(f"{label!r} is not a readable zip archive: {str(error).lower()}") from None
    names: set[str] = set()
    for member in found:
        if member.name in names:
            raise IntegrityError(f"{label!r} holds {member.name!r} twice")
        names.add(member.name)
    end = 0
    for member in sorted(found, key=lambda item: item.content.offset):
        if member.content.offset < end:
            raise IntegrityError(f"members of {label!r} overlap at {member.name!r}")
        end = member.content.offset + member.content.length
    if end > size:
        raise IntegrityError(f"{label!r} ends before its last member does")
    return found


def _member(info: zipfile.ZipInfo, fd: int, path: str, label: str) -> Member:
    name = info.orig_filename
    problem = "holds a backslash" if "\\" in name else bad_path(name)
    if problem:
        raise IntegrityError(f"name {name!r} in {label!r} {problem}")
    if info.flag_bits & 0x2041:  # encrypted, strongly encrypted, masked directory
        raise IntegrityError(f"{name!r} in {label!r} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise IntegrityError(f"{name!r} in {label!r} is compressed by unknown method {info.compress_type}")
    if info.header_offset < 0:
        raise IntegrityError(f"the directory of {label!r} places {name!r} before the archive")
    raw = name.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
    head = os.pread(fd, _LOCAL.size + len(raw), info.header_offset)
    if len(head) != _LOCAL.size + len(raw):
        raise IntegrityError(f"{label!r} ends before its member {name!r}")
    magic, name_length, extra_length = _LOCAL.unpack_from(head)
    if magic != b"PK\3\4" or name_length != len(raw) or head[_LOCAL.size :] != raw:
        raise IntegrityError(f"the directory of {label!r} contradicts the header of {name!r}")
    offset = info.header_offset + _LOCAL.size + name_length + extra_length
    content: FileRange | DeflateRange
    if info.compress_type == zipfile.ZIP_DEFLATED:
        content = DeflateRange(path, offset, info.compress_size, info.CRC, info.file_size)
    elif info.compress_size == info.file_size:
        content = FileRange(path, offset, info.file_size)
    else:
        raise IntegrityError(f"{name!r} in {label!r} is stored, but has two sizes")
    mode = info.external_attr >> 16
    return Member(name, info.file_size, mode & 0o111 != 0, content)
