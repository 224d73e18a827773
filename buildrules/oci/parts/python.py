"""A CPython of python-build-standalone, as entries of a layer.

Format: the archives "install_only" and "install_only_stripped" of github.com/astral-sh/python-build-standalone
(docs/distributions.rst, "Install Only Archive"): a tar below `python/`, compressed by gzip. It runs wherever it lies.
The place it was built for, `/install`, stands in what `sysconfig` reads; there the real one is put.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, Any, cast

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import FILE, HARDLINK, SYMLINK, Chunks, Entry
from buildrules.oci.paths import bad_link, bad_path
from buildrules.oci.untar import entries

PREFIX = "opt/python"
"""Where it lies: not /usr/local, since images of others may have a Python there, and two would share a folder."""

DROP = [
    "__pycache__", "*.a", "*.pyc", "*.pyo",
    "bin/2to3*", "bin/easy_install*", "bin/idle3*", "bin/pip*", "bin/pydoc3*", "bin/python*-config",
    "lib/Tix*", "lib/itcl*", "lib/libtcl*", "lib/libtk*", "lib/pkgconfig", "lib/tcl*", "lib/tdbc*", "lib/thread*",
    "lib/tk*", "share/doc", "share/man",
    "lib/python3.*/config-3*", "lib/python3.*/ensurepip", "lib/python3.*/idlelib", "lib/python3.*/site-packages",
    "lib/python3.*/test", "lib/python3.*/*/test", "lib/python3.*/*/tests", "lib/python3.*/tkinter",
    "lib/python3.*/turtledemo", "lib/python3.*/turtle.py",
    "lib/python3.*/lib-dynload/_ctypes_test.*", "lib/python3.*/lib-dynload/_test*",
    "lib/python3.*/lib-dynload/_tkinter.*", "lib/python3.*/lib-dynload/_xxtestfuzz.*",
    "lib/python3.*/lib-dynload/xx*",
]  # fmt: skip
"""What a server does without, as globs of paths in the archive; one without a slash counts in every folder. What one
matches is left out with all below it. pip, setuptools and the like are an environment's."""

_TOP = "python/"
_LARGEST = 4 << 30  # bytes that an archive may unpack to
_IN_MEMORY = 8 << 20  # a larger file is handed on in chunks
_CHUNK = 1 << 20
_VERSION = re.compile(rb'^\s*#\s*define\s+PY_VERSION\s+"([^"+]+)\+?"', re.MULTILINE)
_NAMES_PLACE = re.compile(
    r"lib/python3\.[0-9]+t?/(_sysconfigdata_[^/]*\.py|_sysconfig_vars_[^/]*\.json|build-details\.json)"
)
_PLACE = re.compile(rb"(?:(?<=-L)|(?<=-I)|(?<![\w.-]))/install(?![\w.-])")
_DAMAGE = (tarfile.TarError, OSError, ValueError, EOFError, zlib.error)


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The entries of a "python" part, in the order of its archive; see `read`."""
    return read(local.checked(part["digest"]), part["python"], part["prefix"], part["drop"])


def read(path: str, python: str, prefix: str, drop: list[str]) -> Iterator[Entry]:
    """The files of the archive at `path` (absolute) that holds CPython `python`, below `prefix`, but for `drop`.

    Raises IntegrityError where it is damaged or cut off, holds another version or none, or no standard library, or a
    path or link that leads out of `python/`, a device or pipe, a path twice, or more than an interpreter can have.
    """
    what = f"the archive of Python {python}"
    pattern = re.compile("|".join(map(_translate, drop))) if drop else None
    short, header = interpreter_of(python), f"include/{interpreter_of(python)}/patchlevel.h"
    laid: set[str] = set()
    total = 0
    try:
        with gzip.open(path) as stream:
            for member, content in entries(cast(IO[bytes], stream), whole=True):
                total += max(member.size, 0)
                if total > _LARGEST:
                    raise IntegrityError(f"{what} unpacks to more than {_LARGEST >> 30} GiB")
                name = _below_top(member.name, what)
                if member.isdir() or (pattern is not None and pattern.match(name)):
                    continue
                if name in laid:
                    raise IntegrityError(f"{what} holds {member.name!r} twice")
                entry = _entry(member, name, prefix, laid, content, what)
                if name == header:
                    _check_version(entry.content, python, what)
                laid.add(name)
                yield entry
    except _DAMAGE as error:
        raise IntegrityError(f"{what} cannot be unpacked: {error}") from None
    for name in (f"bin/{short}", f"lib/{short}/os.py"):
        if name not in laid:
            raise IntegrityError(f"{what} has no {_TOP + name!r}")


def interpreter_of(python: str) -> str:
    """The file name of the interpreter: "python3.12" of "3.12.15", "python3.13t" of "3.13.17t"."""
    major, minor, rest = python.split(".")
    return f"python{major}.{minor}{'t' if rest.endswith('t') else ''}"


def version_in(header: bytes) -> str | None:
    """The version that `patchlevel.h` names, like "3.12.15" or "3.15.0b1"."""
    found = _VERSION.search(header)
    return found[1].decode("ascii", "replace") if found else None


def _check_version(header: object, python: str, what: str) -> None:
    found = version_in(header) if isinstance(header, bytes) else None
    if found is not None and found != python.removesuffix("t"):
        raise IntegrityError(f"{what} holds Python {found}")


def _translate(glob: str) -> str:
    """A glob as a regular expression for a path or a folder above it; `*` does not cross a slash."""
    anywhere = "" if "/" in glob else "(?:.*/)?"
    return anywhere + re.escape(glob).replace(r"\*", "[^/]*") + "(?:/|$)"


def _below_top(name: str, what: str) -> str:
    """A member's path below `python/`, "" for that folder itself."""
    clean = name.removeprefix("./").removesuffix("/")
    if clean in ("", ".", _TOP[:-1]):
        return ""
    problem = bad_path(clean) or (None if clean.startswith(_TOP) else f"is not below {_TOP!r}")
    if problem:
        raise IntegrityError(f"{name!r} in {what} {problem}")
    return clean.removeprefix(_TOP)


def _entry(
    member: tarfile.TarInfo, name: str, prefix: str, laid: set[str], content: IO[bytes] | None, what: str
) -> Entry:
    path = f"{prefix}/{name}"
    if name and member.issym():
        # Against the archive's own folder, so that no link leads out of it.
        problem = "is absolute" if member.linkname.startswith("/") else bad_link(name, member.linkname)
        if problem:
            raise IntegrityError(f"{f'{name} -> {member.linkname}'!r} in {what} {problem}")
        return Entry(path, SYMLINK, 0o777, link=member.linkname)
    if name and member.islnk():
        target = _below_top(member.linkname, what)
        if target not in laid:
            raise IntegrityError(f"{name!r} in {what} is a link to {target!r}, which is not there")
        return Entry(path, HARDLINK, 0o644, link=f"{prefix}/{target}")
    if content is None or not name:
        raise IntegrityError(f"{member.name!r} in {what} is neither file, folder nor link")
    entry = Entry(path, FILE, 0o755 if member.mode & 0o111 else 0o644, size=member.size)
    if _NAMES_PLACE.fullmatch(name) and member.size <= _IN_MEMORY:
        entry.content = _PLACE.sub(b"/" + prefix.encode(), content.read())
        entry.size = len(entry.content)
    elif member.size <= _IN_MEMORY:
        entry.content = content.read()
    else:
        entry.content = Chunks(partial(_chunks, content, what))
    return entry


def _chunks(content: IO[bytes], what: str) -> Iterator[bytes]:
    try:
        while data := content.read(_CHUNK):
            yield data
    except _DAMAGE as error:
        raise IntegrityError(f"{what} cannot be unpacked: {error}") from None
