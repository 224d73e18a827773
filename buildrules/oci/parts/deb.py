"""The files of a Debian binary package, as entries of a layer.

Formats: deb(5) (an `ar` archive of debian-binary, control.tar and data.tar), POSIX.1-2001 ustar and pax, and GNU tar's
long names. Merged /usr: what a package puts below /bin, /sbin, /lib* goes below /usr; the links at the root are
the base's. Maintainer scripts are never looked at. Set-uid and set-gid bits are taken off: the
owners they are meant for do not exist in a layer that is all root's.
"""

import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from buildrules.oci.parts.tarred import members
from buildrules.oci.paths import bad_link
from buildrules.oci.unpacked import run_of, unpacked

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
DROP = ["usr/share/doc", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man"]
"""What a server does without. Copyright files stay, whatever is dropped."""

_COPYRIGHT = re.compile(r"usr/share/doc/[^/]+/copyright(\.gz)?")
_DOC = re.compile(r"usr/share/doc/[^/]+")


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The entries of a "deb" part in the order of its archive; see `read`. `drop` are globs of layer paths: what one
    matches is left out with all below it, but for copyright files."""
    return read(local.checked(part["digest"]), part["drop"])


def read(path: str, drop: list[str], name: str = "") -> Iterator[Entry]:
    """The files of the package at `path` (absolute), called `name` in errors.

    Raises IntegrityError where the package is malformed or cut short, or holds a path outside the root, a device or
    pipe, or a link out of the root; UsageError where it is zstd-compressed and nothing here can read that.
    """
    name = name or os.path.basename(path)
    pattern = re.compile("|".join(_translate(glob) for glob in drop)) if drop else None
    with open(path, "rb") as file:
        for entry in _entries(file, "data.tar", name):
            merged = _merge(entry)
            if merged is None or (pattern and pattern.match(merged.path) and not _kept(merged)):
                continue
            yield merged


def read_control(path: str, name: str = "") -> str:
    """The text of the package's control file. Raises as `read`, and IntegrityError where there is none."""
    name = name or os.path.basename(path)
    with open(path, "rb") as file:
        for entry in _entries(file, "control.tar", name):
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


def _entries(file: BinaryIO, wanted: str, name: str) -> Iterator[Entry]:
    """The entries of the tar archive `wanted` but its root, validated. Raises IntegrityError that quotes the path."""
    suffix, offset, size = _member(file, wanted, name)
    file.seek(offset)
    what = f"debian package {name!r}"
    stream, damage = unpacked(run_of(file, size), suffix, what)
    for member in members(stream, damage, what):
        if not member.path:
            continue
        entry = Entry(member.path, member.kind, member.mode & (0o1777 if member.kind == DIRECTORY else 0o777))
        if member.kind == FILE:
            entry.size, entry.content = member.size, member.content
        elif member.kind != DIRECTORY:
            entry.link = member.link
        if member.kind == SYMLINK:
            entry.mode = 0o777
            if problem := bad_link(member.path, member.link):
                raise member.wrong(problem, f"{member.path} -> {member.link}")
        yield entry
