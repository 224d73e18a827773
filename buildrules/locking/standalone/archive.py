"""Looks into an archive of somebody's own: which CPython it holds, for which machine, and whether that can start."""

import gzip
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from buildrules.errors import IntegrityError
from buildrules.locking.standalone.builds import Build, Request
from buildrules.locking.standalone.elf import needed
from buildrules.oci.parts.python import PREFIX, interpreter_of, version_in
from buildrules.oci.untar import entries

_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of elf(5)
_PROGRAM = re.compile(r"python/bin/(python3\.\d+t?)", re.ASCII)
_HEADER = re.compile(r"python/include/(python3\.\d+t?)/patchlevel\.h", re.ASCII)
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)
_LARGEST = 256 << 20  # bytes of a program that are read
FORM = "it must be a whole .tar.gz of the form that python-build-standalone calls install_only"


def build_in(file: IO[bytes], request: Request, filename: str) -> Build:
    """The build in the open archive `file`: what is asked for, else another that it holds. Raises IntegrityError where
    there is none, or one that cannot start.
    """
    asked = interpreter_of(f"{request.minor[0]}.{request.minor[1]}.0{'t' if request.free_threaded else ''}")
    programs: dict[str, bytes] = {}
    versions: dict[str, str | None] = {}
    for name, content in _files(file, filename):
        if content is None:
            continue
        if (found := _PROGRAM.fullmatch(name)) is not None:
            programs[found[1]] = content.read(_LARGEST)
        elif (found := _HEADER.fullmatch(name)) is not None:
            versions[found[1]] = version_in(content.read(1 << 16))
        if asked in programs and asked in versions:
            break
    there = [short for short in programs if _machine(programs[short]) and _numbers(versions.get(short))]
    if not there:
        program, header = f"python/bin/{asked}", f"python/include/{asked}/patchlevel.h"
        missing = header if _machine(programs.get(asked, b"")) else program
        raise IntegrityError(f"{filename!r} holds no such Python: it has no proper {missing!r}", hint=FORM)
    short = asked if asked in there else there[0]
    _check_library(file, programs[short], filename)
    major, minor, patch = _numbers(versions[short]) or (0, 0, 0)
    machine = _machine(programs[short]) or ""
    return Build((major, minor, patch), short.endswith("t"), machine, "", "", filename, None)


def _files(file: IO[bytes], filename: str) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Names, without a ./ before them, and what is in the files. Raises IntegrityError for a damaged archive."""
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            for member, content in entries(cast(IO[bytes], stream)):
                yield member.name.removeprefix("./"), content
    except (tarfile.TarError, OSError, ValueError, EOFError, zlib.error) as error:
        raise IntegrityError(f"{filename!r} cannot be unpacked: {error}", hint=FORM) from None


def _machine(program: bytes) -> str | None:
    return _MACHINES.get(int.from_bytes(program[18:20], "little")) if program[:4] == b"\x7fELF" else None


def _numbers(version: str | None) -> tuple[int, int, int] | None:
    numbers = _VERSION.fullmatch(version or "")
    if numbers is None:
        return None
    major, minor, patch = map(int, numbers.groups())
    return major, minor, patch


def _check_library(file: IO[bytes], program: bytes, filename: str) -> None:
    """Raise IntegrityError where the program's own library, libpython, is not where it looks for it."""
    libraries, folders = needed(program)
    for library in libraries:
        base = posixpath.basename(library)
        if not base.startswith("libpython3."):
            continue
        places = [library] if "/" in library else [f"{folder}/{base}" for folder in folders]
        wanted = {_in_archive(place) for place in places}
        if not any(name in wanted for name, _ in _files(file, filename)):
            raise IntegrityError(
                f"the Python in {filename!r} could not start: it needs {base!r}, which is not where it looks for it",
                hint=f"put it into 'python/lib', and build with -Wl,-rpath,'$ORIGIN/../lib', or /{PREFIX}/lib,"
                " where the image has it; or build without --enable-shared",
            )


def _in_archive(place: str) -> str:
    """The path in the archive of a path that a program in its `bin` says, as it is in the image."""
    where = place.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", f"/{PREFIX}/bin")
    return f"python/{posixpath.relpath(posixpath.normpath(where), f'/{PREFIX}')}" if where[:1] == "/" else ""
