"""The Python that a task brings along: an interpreter with all it loads, its library, and buildrules.

    bin/python3      this machine's interpreter
    lib/             its loader, and the shared libraries of all that is here
    library.zip      the standard library, as bytecode
    modules/         extension modules, and packages that have some
    program.zip      buildrules, and packages in pure Python

So a worker needs nothing of its own, not even a C library. Each file is the same wherever it is made of the same files:
bytecode names no time and no folder of this machine, and is made as an image's is (`actions.python.compiler`). The two
parts are laid once, among the interpreters of the store; a name holds a hash of what its part was made of.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from struct import pack_into, unpack_from

from buildrules.actions.python.compiler import compiler
from buildrules.actions.python.interpreter import FOLDER, Interpreter, kept
from buildrules.engine.kind import BuildContext
from buildrules.executors.reapi.tree import Leaf
from buildrules.remote.backend import Blob
from buildrules.sha256 import hex_digest
from buildrules.typed import NamedTuple

PACKAGES = ("deflate", "isal", "packaging", "zstandard")
"""What kinds of actions import besides the standard library; a test runs each kind that is sent."""
_WITHOUT = {
    "buildrules": "cli guest deploy hosts revisions prepared plan azureml locking analysis rules authoring report "
    "plugins workspace docker_plugin",  # floors above this one, which it cannot import
    "zstandard": "_cffi backend_cffi",  # for interpreters that are not CPython
    "": "test idlelib tkinter turtle turtledemo lib2to3 ensurepip pydoc_data unittest venv distutils site-packages",
}
"""What is left out of packages, and of the standard library, by the names without endings."""
_NEVER_LOADED = ("_test", "xx", "_tkinter", "_curses", "_ctypes_test", "_dbm", "_gdbm", "readline", "nis")
_FORM = 2  # of what is laid: raised with what would lay it in another way
_PROGRAM, _LIBRARY = "program", "library"


class Tool(NamedTuple):
    """`leaves` by their paths below the tool's folder, and the files on this machine that have their bytes."""

    leaves: Mapping[str, Leaf]
    files: Mapping[Blob, str]

    def command(self, folder: str) -> list[str]:
        """What runs a task where the tool lies in `folder`, relative to that of the task."""
        loader = next(path for path in self.leaves if path.startswith("lib/ld-"))
        libraries = ["--inhibit-cache", "--library-path", f"{folder}/lib"]
        python = [f"{folder}/bin/python3", "-s", "-S", "-B", "-P", "-m", "buildrules.executors"]
        return [f"{folder}/{loader}", *libraries, *python]

    def variables(self, folder: str) -> dict[str, str]:
        """The environment of that command."""
        parts = ("library.zip", "program.zip", "modules")
        return {
            "PYTHONHOME": folder,
            "PYTHONPATH": ":".join(f"{folder}/{part}" for part in parts),
            "PYTHONUTF8": "1",
            "PYTHONHASHSEED": "0",
        }


class _Source(NamedTuple):
    """A file of a package: where it goes, and where it is here."""

    name: str
    path: str


def tool(context: BuildContext) -> Tool:
    """The tool of this Python and this buildrules. Raises ActionError where it cannot be made, OSError."""
    leaves, files = {}, {}
    for name, sources, lay in ((_LIBRARY, _library(), _lay_library), (_PROGRAM, _program(), _lay_program)):
        made = [_FORM, sys.version, platform.machine(), _rows([_Source("", _python()), *sources])]
        place = os.path.join(context.blobs.store, FOLDER, f"{name}-{hex_digest(repr(made).encode())[:32]}")
        root, listed = kept(place, context, partial(lay, sources, context))
        for path, (mode, size, digest) in listed.items():
            blob = Blob(f"sha256:{digest}", size)
            leaves[path] = Leaf(blob, executable=bool(mode & 0o100))
            files[blob] = os.path.join(root, path)
    return Tool(leaves, files)


def _python() -> str:
    return os.path.realpath(os.path.join(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}"))


def _rows(sources: Sequence[_Source]) -> list[tuple[str, int, int]]:
    rows = []
    for source in sources:
        stat = os.stat(source.path)
        rows.append((source.name, stat.st_size, stat.st_mtime_ns))
    return rows


def _library() -> list[_Source]:
    folder = sysconfig.get_path("stdlib")
    found = [one for one in _below(folder, "", _WITHOUT[""]) if one.name.endswith(".py")]
    dynamic = os.path.join(folder, "lib-dynload")
    modules = (
        [one for one in _below(dynamic, "") if not one.name.startswith(_NEVER_LOADED)] if os.path.isdir(dynamic) else []
    )
    return [*found, *modules]


def _program() -> list[_Source]:
    found: list[_Source] = []
    for package in ("buildrules", *PACKAGES):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found += _below(folder, f"{package}/", _WITHOUT.get(package, ""))
    return found


def _below(folder: str, prefix: str, without: str = "") -> Iterator[_Source]:
    """The modules below a folder, in the order of their paths, but what is named `without` at its top."""
    skipped = {*without.split(), "__pycache__", "tests"}
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.name.partition(".")[0] in skipped:
            continue
        if entry.is_dir():
            yield from _below(entry.path, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".so")):
            yield _Source(prefix + entry.name, entry.path)


def _lay_library(sources: Sequence[_Source], context: BuildContext, root: str) -> None:
    python = os.path.join(root, "bin", "python3")
    _copy(_python(), python, 0o755)
    modules = [one for one in sources if one.name.endswith(".so")]
    for one in modules:
        _copy(one.path, os.path.join(root, "modules", one.name), 0o644)
    _lay_shared(root, [python, *(one.path for one in modules)])
    _zip(os.path.join(root, "library.zip"), _compiled([one for one in sources if one.name.endswith(".py")], context))


def _lay_program(sources: Sequence[_Source], context: BuildContext, root: str) -> None:
    extended = {one.name.partition("/")[0] for one in sources if one.name.endswith(".so")}
    pure = [one for one in sources if one.name.partition("/")[0] not in extended]
    zipped = list(_compiled(pure, context))
    for one in pure:
        if one.name.startswith("buildrules/start/"):  # images get them as they are
            with open(one.path, "rb") as file:
                zipped.append((one.name, file.read()))
    _zip(os.path.join(root, "program.zip"), zipped)
    others = [one for one in sources if one not in pure]
    for name, data in _compiled([one for one in others if one.name.endswith(".py")], context):
        _write(os.path.join(root, "modules", name), data)
    modules = [one for one in others if one.name.endswith(".so")]
    for one in modules:
        _copy(one.path, os.path.join(root, "modules", one.name), 0o644)
    _lay_shared(root, [one.path for one in modules])


def _compiled(sources: Sequence[_Source], context: BuildContext) -> Iterator[tuple[str, bytes]]:
    """Bytecode by its name; of what is no Python of this version there is none."""
    here = Interpreter(sys.base_prefix, [_python()], sys.base_prefix)
    done, total = 0, sum(os.path.getsize(one.path) for one in sources)
    with compiler(here, context) as process:
        for one in sources:
            with open(one.path, "rb") as file:
                text = file.read()
            if data := process.compile(f"/buildrules-tool/{one.name}", text):
                yield f"{one.name}c", data
            done += len(text)
            context.progress("this Python for workers", min(done, total), total)


def _zip(path: str, files: "Iterator[tuple[str, bytes]] | Sequence[tuple[str, bytes]]") -> None:
    """An archive of files as they are: what is compressed cannot be read before zlib is there."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            row = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            row.create_system = 3
            archive.writestr(row, data)


def _lay_shared(root: str, programs: Sequence[str]) -> None:
    """The shared libraries that these load, by the names that they ask for, as ldd says where they are."""
    if not programs:
        return
    said = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, text=True, check=False, env={"LC_ALL": "C"})
    for line in said.stdout.splitlines():
        words = line.split()
        path = next((word for word in words if word.startswith("/") and not word.endswith(":")), None)
        if path is not None and line.startswith("\t"):
            name = os.path.basename(words[0])
            _copy(path, os.path.join(root, "lib", name), 0o755 if name.startswith("ld-") else 0o644)


def _copy(source: str, target: str, mode: int) -> None:
    with open(source, "rb") as file:
        _write(target, _loaded(file.read()), mode)


def _loaded(program: bytes) -> bytes:
    """A program or shared library without what nobody loads, such as names for debuggers, which may be most of it: a
    server may copy all of it for each action. Of other forms than this machine's usual one nothing is left out.

    Source: System V ABI, chapters 4 and 5, ELF-64. Sections stand behind the segments, and loaders read segments only.
    """
    if program[:6] != b"\x7fELF\2\1":  # 64 bits, little-endian
        return program
    at, size, count = unpack_from("<Q", program, 32)[0], *unpack_from("<HH", program, 54)
    segments = [unpack_from("<Q16xQ", program, row + 8) for row in range(at, at + size * count, size)]
    end = max((offset + length for offset, length in segments), default=len(program))
    header = bytearray(program[:64])
    pack_into("<Q", header, 40, 0)  # no table of sections
    pack_into("<HHH", header, 58, 0, 0, 0)
    return bytes(header) + program[64:end]


def _write(path: str, data: bytes, mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        with open(path, "xb") as file:
            file.write(data)
        os.chmod(path, mode)
