"""A CPython of python-build-standalone, as entries of a layer.

Format: the archives "install_only" and "install_only_stripped" of github.com/astral-sh/python-build-standalone
(docs/distributions.rst, "Install Only Archive"): a tar below `python/`, compressed by gzip. It runs wherever it lies.
The place it was built for, `/install`, stands in what `sysconfig` reads; there the real one is put.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from buildrules.oci.parts.tarred import Member, members
from buildrules.oci.paths import bad_link

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
_VERSION = re.compile(rb'^\s*#\s*define\s+PY_VERSION\s+"([^"+]+)\+?"', re.MULTILINE)
_NAMES_PLACE = re.compile(
    r"lib/python3\.[0-9]+t?/(_sysconfigdata_[^/]*\.py|_sysconfig_vars_[^/]*\.json|build-details\.json)"
)
_PLACE = re.compile(rb"(?:(?<=-L)|(?<=-I)|(?<![\w.-]))/install(?![\w.-])")


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
    with gzip.open(path) as stream:
        for member in members(cast(IO[bytes], stream), zlib.error, what, whole=True):
            total += max(member.size, 0)
            if total > _LARGEST:
                raise IntegrityError(f"{what} unpacks to more than {_LARGEST >> 30} GiB")
            name = _below_top(member, member.path)
            if member.kind == DIRECTORY or (pattern is not None and pattern.match(name)):
                continue
            if name in laid:
                raise member.wrong("stands there twice")
            entry = _entry(member, name, prefix, laid)
            if name == header:
                _check_version(entry.content, python, what)
            laid.add(name)
            yield entry
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


def _below_top(member: Member, path: str) -> str:
    """A path below `python/`, "" for that folder itself."""
    if path and path != _TOP[:-1] and not path.startswith(_TOP):
        raise member.wrong(f"is not below {_TOP!r}", path)
    return path.removeprefix(_TOP[:-1]).removeprefix("/")


def _entry(member: Member, name: str, prefix: str, laid: set[str]) -> Entry:
    path = f"{prefix}/{name}"
    if not name:
        raise member.wrong("is not a folder")
    if member.kind == SYMLINK:
        # Against the archive's own folder, so that no link leads out of it.
        problem = "is absolute" if member.link.startswith("/") else bad_link(name, member.link)
        if problem:
            raise member.wrong(problem, f"{name} -> {member.link}")
        return Entry(path, SYMLINK, 0o777, link=member.link)
    if member.kind == HARDLINK:
        target = _below_top(member, member.link)
        if target not in laid:
            raise member.wrong(f"is a link to {target!r}, which is not there")
        return Entry(path, HARDLINK, 0o644, link=f"{prefix}/{target}")
    entry = Entry(path, FILE, 0o755 if member.mode & 0o111 else 0o644, size=member.size, content=member.content)
    if isinstance(entry.content, bytes) and _NAMES_PLACE.fullmatch(name):
        entry.content = _PLACE.sub(b"/" + prefix.encode(), entry.content)
        entry.size = len(entry.content)
    return entry
