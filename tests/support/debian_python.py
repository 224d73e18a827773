"""A Debian base whose Python is the one that runs the tests: it compiles without a network, and in no time.

Its loader is a script, which starts that Python with what the real one would have started its own with.
"""

import io
import os
import sys
import tarfile
from collections.abc import Mapping, Sequence

from buildrules.actions.debian.locked import LockedPackage
from buildrules.locking.debian.lock import Lock, write_lock
from buildrules.locking.debian.request import DebianRequest
from buildrules.store.blobs import Blobs
from tests.support.space import Space

VERSION = "3.11.2-6"
LOADER = f"""\
#!/bin/sh
test "$1 $2 $(basename "$4")" = "--inhibit-cache --library-path python3.11" || exit 9
test "$PYTHONHASHSEED" = 0 -a -z "$HOME$TZ$LC_ALL$PYTHONOPTIMIZE$LD_PRELOAD" || exit 8
shift 4
unset PYTHONHOME
exec {sys.executable} "$@"
"""

LIBRARY = {
    "usr/lib/python3.11/abc.py": "answer = 42\n",
    "usr/lib/python3.11/json/__init__.py": "def loads(text):\n    return {'a', 'b', 'c', text}\n",
    "usr/lib/python3.11/unittest/test/case.py": "raise SystemExit\n",
}


def packages(architecture: str, loader: str = LOADER) -> dict[str, bytes]:
    """Name -> bytes of the packages that are locked."""
    files: dict[str, Mapping[str, str]] = {
        "libc6": {"usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": loader},
        "libpython3.11-minimal": {**LIBRARY, f"usr/lib/{architecture}/libx.so": architecture},
        "python3.11-minimal": {"usr/bin/python3.11": "an interpreter\n"},
    }
    return {name: deb(name, content) for name, content in files.items()}


def deb(name: str, files: Mapping[str, str]) -> bytes:
    """A package, see deb(5). All its files can be run."""
    control = _tar({"./control": f"Package: {name}\nVersion: {VERSION}\n"})
    members = {"debian-binary": b"2.0\n", "control.tar": control, "data.tar": _tar(files)}
    parts = [b"!<arch>\n"]
    for member, data in members.items():
        head = f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
        parts += [head.encode(), data, b"\n" * (len(data) % 2)]
    return b"".join(parts)


def _tar(files: Mapping[str, str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    return sink.getvalue()


def on_debian(
    space: Space,
    *,
    architectures: Sequence[str] = ("amd64",),
    versions: Mapping[str, str] | None = None,
    loader: str = LOADER,
) -> Space:
    """Give a workspace such a base, locked for these architectures; the packages are in its store already."""
    space.edit("BUILD.yaml", "oci_base, layout: base", "debian_base, suite: bookworm")
    blobs = Blobs(str(space.store))
    for architecture in architectures:
        locked = [
            LockedPackage(
                name,
                (versions or {}).get(architecture, VERSION),
                "main",
                f"pool/{name}.deb",
                blobs.put(data).removeprefix("sha256:"),
                len(data),
            )
            for name, data in packages(architecture, loader).items()
        ]
        request = DebianRequest("base", "bookworm", architecture)
        lock = Lock("bookworm", architecture, request.digest(), (), tuple(locked))
        write_lock(os.path.join(space.root, f"debian.base-linux-{architecture}.lock"), lock)
    return space
