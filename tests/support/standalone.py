"""Archives in the form of python-build-standalone's, with files that only look like a Python."""

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ELF = {"x86_64": b"\x7fELF" + bytes(14) + b"\x3e\0", "aarch64": b"\x7fELF" + bytes(14) + b"\xb7\0"}


def filename(python: str, *, build: str = "20200101", machine: str = "x86_64") -> str:
    """The name of a build: `python` is like "3.12.1" or "3.13.0t"."""
    threads = "freethreaded-" if python.endswith("t") else ""
    return (
        f"cpython-{python.removesuffix('t')}+{build}-{machine}-unknown-linux-gnu-{threads}install_only_stripped.tar.gz"
    )


def program(needs: Sequence[str], folders: str) -> bytes:
    """A program that needs libraries, and says where to look for them: the head and dynamic section of one."""
    strings, places = b"\0", {}
    for text in (*needs, folders):
        places[text] = len(strings)
        strings += text.encode() + b"\0"
    rows = [(1, places[text]) for text in needs] + [(29, places[folders]), (5, 0x1000 + 64 + 2 * 56)]
    dynamic = b"".join(struct.pack("<QQ", *row) for row in (*rows, (0, 0)))
    at = 64 + 2 * 56 + len(strings)
    head = ELF["x86_64"] + struct.pack("<IQQQIHHHHHH", 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, at + len(dynamic), at + len(dynamic), 0x1000)
    section = struct.pack("<IIQQQQQQ", 2, 6, at, 0x1000 + at, 0x1000 + at, len(dynamic), len(dynamic), 8)
    return head + load + section + strings + dynamic


def archive(
    python: str = "3.12.1",
    files: Mapping[str, bytes] | None = None,
    extra: Sequence[tarfile.TarInfo] = (),
    *,
    machine: str = "x86_64",
) -> bytes:
    """A small archive: an interpreter that is none, the links to it, what names its version, and `files`, by path."""
    major, minor, _ = python.split(".")
    short = f"python{major}.{minor}{'t' if python.endswith('t') else ''}"
    content = {
        f"bin/{short}": ELF[machine] + bytes(64),
        f"include/{short}/patchlevel.h": f'#define PY_VERSION "{python.removesuffix("t")}"\n'.encode(),
        f"lib/{short}/os.py": b"# the system\n",
        **(files or {}),
    }
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, buffer, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in content.items():
            info = tarfile.TarInfo(f"python/{path}")
            info.size, info.mode = len(data), 0o775 if path.startswith("bin/") else 0o664
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, short
        for info in (link, *extra):
            tar.addfile(info)
    return buffer.getvalue()


def mirror(folder: Path, *pythons: str, machine: str = "x86_64", sums: bool = True) -> dict[str, bytes]:
    """Put archives of `pythons` into a folder, with a SHA256SUMS of all that is there; gives them by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {filename(one, machine=machine): archive(one, machine=machine) for one in pythons}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    if sums:
        found = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar.gz"))}
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in found.items()]
        (folder / "SHA256SUMS").write_text("".join(lines))
    return made
