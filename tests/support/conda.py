"""A conda channel that tests write: packages in both formats, repodata, and a real Python made of the one here."""

import hashlib
import io
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

PLACEHOLDER = "/build/" + "placehold_" * 10 + "end"
MINOR = "{}.{}".format(*sys.version_info)
Content = bytes | str
"""Bytes of a file; a text is the target of a link."""


def conda_package(
    name: str,
    version: str,
    files: Mapping[str, Content],
    *,
    build: str = "0",
    depends: Sequence[str] = (),
    subdir: str = "linux-64",
    ending: str = ".conda",
    entry_points: Sequence[str] = (),
    python: bool = False,
    licence: str = "MIT",
    old: bool = False,
    link_json: Any = None,
    paths: Any = None,
    tar: Sequence[tarfile.TarInfo] = (),
    without: str = "",
) -> tuple[str, bytes, dict[str, Any]]:
    """(file name, bytes, row of repodata). `python`: it is noarch and Python's; `old`: as before paths.json.

    Files that hold PLACEHOLDER are listed with it, those with a NUL as binary. `paths` stands for what would be listed,
    `tar` are entries that are there as well, and the file `without` is not.
    """
    index: dict[str, Any] = {
        **{"name": name, "version": version, "build": build, "build_number": 0, "depends": list(depends)},
        **{"license": licence, "subdir": "noarch" if python else subdir, "timestamp": 1700000000000},
        **({"noarch": "python"} if python else {}),
    }
    info: dict[str, bytes] = {"info/index.json": json.dumps(index).encode()}
    if python or link_json:
        points = {"noarch": {"type": "python", "entry_points": list(entry_points)}, "package_metadata_version": 1}
        info["info/link.json"] = json.dumps(link_json or points).encode()
    if old:
        info["info/files"] = "".join(f"{path}\n" for path in files).encode()
        info["info/has_prefix"] = "".join(
            f"{PLACEHOLDER} {_mode(data)} {path}\n" for path, data in files.items() if _holds(data)
        ).encode()
    else:
        rows = paths if paths is not None else [_row(path, data) for path, data in files.items()]
        info["info/paths.json"] = json.dumps({"paths": rows, "paths_version": 1}).encode()
    files = {path: data for path, data in files.items() if path != without}
    stem = f"{name}-{version}-{build}"
    if ending == ".tar.bz2":
        data = _tar({**info, **files}, tar, "w:bz2")
    else:
        buffer = io.BytesIO()
        pack = zstandard.ZstdCompressor(level=1).compress
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for member, content in (
                ("metadata.json", b'{"conda_pkg_format_version": 2}'),
                (f"pkg-{stem}.tar.zst", pack(_tar(files, tar))),
                (f"info-{stem}.tar.zst", pack(_tar(info))),
            ):
                archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), content)
        data = buffer.getvalue()
    index |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return stem + ending, data, index


def _holds(data: Content) -> bool:
    return isinstance(data, bytes) and PLACEHOLDER.encode() in data


def _mode(data: Content) -> str:
    return "binary" if isinstance(data, bytes) and b"\0" in data else "text"


def _row(path: str, data: Content) -> dict[str, Any]:
    content = data if isinstance(data, bytes) else b""
    row = {"_path": path, "path_type": "hardlink" if isinstance(data, bytes) else "softlink"}
    row |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
    return row | ({"prefix_placeholder": PLACEHOLDER, "file_mode": _mode(data)} if _holds(data) else {})


def _tar(files: Mapping[str, Content], more: Sequence[tarfile.TarInfo] = (), mode: Any = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            program = path.startswith(("bin/", "python-scripts/")) or ".so" in path
            entry.mode, entry.uid, entry.mtime = 0o775 if program else 0o664, 1000, 1700000000
            if isinstance(data, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, data
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        for entry in more:
            archive.addfile(entry)
    return buffer.getvalue()


class Channel:
    """A channel in a folder; every `add` writes its repodata anew. With `keep` that of a folder is gone on with."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder
        self.rows: dict[str, dict[str, dict[str, Any]]] = {"linux-64": {}, "linux-aarch64": {}, "noarch": {}}
        for subdir, rows in self.rows.items() if keep else ():
            data = json.loads((folder / subdir / "repodata.json").read_text())
            rows.update({**data["packages"], **data["packages.conda"]})
        self.write()

    def add(self, name: str, version: str, files: Mapping[str, Content] | None = None, **more: Any) -> str:
        """Add a package; returns its file's name."""
        if files is None:
            files = {f"share/{name}.txt": f"{name} {version}\n".encode()}
        filename, data, row = conda_package(name, version, files, **more)
        (self.folder / row["subdir"] / filename).write_bytes(data)
        self.rows[row["subdir"]][filename] = row
        self.write()
        return filename

    def write(self) -> None:
        """Write `rows` as repodata."""
        for subdir, rows in self.rows.items():
            folder = self.folder / subdir
            folder.mkdir(parents=True, exist_ok=True)
            parted = {
                key: {name: row for name, row in rows.items() if name.endswith(ending)}
                for key, ending in (("packages", ".tar.bz2"), ("packages.conda", ".conda"))
            }
            text = json.dumps({"info": {"subdir": subdir}, **parted, "removed": [], "repodata_version": 1})
            (folder / "repodata.json").write_text(text)


LEFT_OUT = re.compile(
    r"test|idlelib|tkinter|ensurepip|turtledemo|lib2to3|config-.*|__pycache__|site-packages|dist-packages"
)


UNNEEDED = re.compile(r"_?(tkinter|sqlite3|ssl|hashlib|curses|g?dbm|lzma|bz2|ctypes|uuid|readline|nis|codecs_|.*test)")


def real_python() -> dict[str, bytes]:
    """The Python that runs the tests, as files of a conda package: bin/pythonX.Y, its library, and what it links to."""
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(sys.executable).resolve()
    files = {f"bin/python{MINOR}": program.read_bytes()}
    modules = [path for path in library.rglob("*") if path.suffix == ".py"]
    modules += [path for path in (library / "lib-dynload").iterdir() if not UNNEEDED.match(path.name)]
    for path in modules:
        below = path.relative_to(library)
        if path.is_file() and not LEFT_OUT.fullmatch(below.parts[0]):
            files[f"lib/python{MINOR}/{below}"] = path.read_bytes()
    # Debian's Python looks elsewhere than in site-packages
    files[f"lib/python{MINOR}/sitecustomize.py"] = (
        f"import site, sys\nsite.addsitedir(sys.prefix + '/lib/python{MINOR}/site-packages')\n".encode()
    )
    for path in libraries_of(program, *(path for path in modules if path.suffix == ".so")):
        if not is_libc(path):
            files[f"lib/{path.name}"] = path.read_bytes()
    return files


def libraries_of(*programs: Path) -> list[Path]:
    """The libraries that programs of this machine link to, the loader among them."""
    found = set()
    for program in programs:
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        found |= {Path(path) for path in re.findall(r"(/\S+\.so\S*)", said)}
    return sorted(found)


def is_libc(path: Path) -> bool:
    """Whether a library is one of the C library's, which the base has."""
    return bool(re.match(r"(ld-linux.*|lib(c|m|dl|pthread|rt|util))\.so", path.name))


def libc_files() -> dict[str, bytes]:
    """The C library of this machine, as files of a base: for programs of this machine."""
    found = {
        str(path).lstrip("/"): path.read_bytes()
        for path in libraries_of(Path(sys.executable).resolve())
        if is_libc(path)
    }
    extra = Path(next(path for path in ("/" + one for one in found) if "/libc.so" in path)).parent
    for name in ("libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"):
        if (extra / name).exists():
            found[str(extra / name).lstrip("/")] = (extra / name).read_bytes()
    return found
