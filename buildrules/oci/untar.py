"""Tar archives that others made, read from front to back in bounded memory, whatever stands in them.

The standard library's reader ends quietly at a header that is damaged, and holds names, attributes and maps of holes in
memory. Here the first is an error, and the rest is bounded.
"""

import tarfile
from collections.abc import Iterator
from typing import IO, Any, Self

_BUFFER = 32 << 10  # bytes, of which what is left is copied at every read
_LONGEST_HEADER = 1 << 20  # bytes of a name or of other attributes
_ATTRIBUTES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_MOST_HEADERS = 8  # of attributes before an entry, which the library reads one inside of the other
_SPARSE = "a sparse file, which is not read here"


def entries(stream: IO[bytes], *, whole: bool = False) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The entries with their contents, None for what is no file. A content is read before the next entry is asked for.

    Names that are not UTF-8 have surrogates in them. Raises tarfile.TarError for an archive that is damaged or holds a
    sparse file, ValueError and EOFError, and what reading `stream` raises. With `whole` an archive without the block of
    zeros that ends it is damaged: cut off between two entries it looks like a smaller one.
    """
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER, tarinfo=_Member, encoding="utf-8") as archive:
        archive.whole = whole  # type: ignore[attr-defined]
        while (member := archive.next()) is not None:
            if member.issparse():
                raise tarfile.ReadError(_SPARSE)
            yield member, archive.extractfile(member) if member.isreg() else None
            archive.members.clear()  # type: ignore[attr-defined] # else it keeps all
            for name in archive.pax_headers.keys() - tarfile.PAX_FIELDS:
                del archive.pax_headers[name]  # type: ignore[attr-defined]


def members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar that is a file, whose contents are passed over. Raises what `entries` raises."""
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member, encoding="utf-8") as archive:
        while (member := archive.next()) is not None:
            if member.issparse():
                raise tarfile.ReadError(_SPARSE)
            yield member
            archive.members.clear()  # type: ignore[attr-defined] # else it keeps all


class _Member(tarfile.TarInfo):
    """An entry of a tar, of which nothing is held in memory that grows with the tar."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """As `tarfile.TarInfo.fromtarfile`, but what is damaged is an error wherever it stands."""
        depth = getattr(archive, "depth", 0)
        if depth > _MOST_HEADERS:
            raise tarfile.ReadError(f"an entry with more than {_MOST_HEADERS} headers")
        archive.depth = depth + 1  # type: ignore[attr-defined]
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise  # the end
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            if getattr(archive, "whole", False):
                raise tarfile.ReadError("it is cut off: it has no end") from None
            raise  # an end that many take for one
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None
        finally:
            archive.depth = depth  # type: ignore[attr-defined]

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As `tarfile.TarInfo.frombuf`."""
        found = super().frombuf(buf, encoding, errors)
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(_SPARSE)
        if found.type in _ATTRIBUTES and not 0 <= found.size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a name or attribute of {found.size} bytes")
        return found

    def _proc_gnusparse_10(self, *_: Any) -> None:
        """Reads a list without a limit."""
        raise tarfile.ReadError(_SPARSE)
