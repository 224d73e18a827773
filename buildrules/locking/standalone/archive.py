"""Looks into an archive of somebody's own: which CPython it holds, and for which machine."""

import gzip
import tarfile
import zlib
from typing import IO, cast

from buildrules.errors import IntegrityError
from buildrules.locking.standalone.builds import Build, Request
from buildrules.oci.parts.python import interpreter_of, version_in
from buildrules.oci.untar import entries

_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of elf(5)


def build_in(file: IO[bytes], request: Request, filename: str) -> Build:
    """The build in the open archive `file`, which should be what is asked for. Raises IntegrityError for none."""
    short = interpreter_of(f"{request.minor[0]}.{request.minor[1]}.0{'t' if request.free_threaded else ''}")
    header, program = f"python/include/{short}/patchlevel.h", f"python/bin/{short}"
    version = machine = None
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            for member, content in entries(cast(IO[bytes], stream)):
                name = member.name.removeprefix("./")
                if content is not None and name == program:
                    head = content.read(20)
                    machine = _MACHINES.get(int.from_bytes(head[18:20], "little")) if head[:4] == b"\x7fELF" else None
                elif content is not None and name == header:
                    version = version_in(content.read(1 << 16))
                if version and machine:
                    break
    except (tarfile.TarError, OSError, ValueError, EOFError, zlib.error) as error:
        raise IntegrityError(f"{filename!r} cannot be unpacked: {error}") from None
    numbers = version.split(".") if version else []
    if machine is None or len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        missing = header if machine else program
        raise IntegrityError(
            f"{filename!r} holds no such Python: it has no proper {missing!r}",
            hint="it must be a .tar.gz of the form that python-build-standalone calls install_only",
        )
    major, minor, patch = map(int, numbers)
    return Build((major, minor, patch), request.free_threaded, machine, "", "", filename, None)
