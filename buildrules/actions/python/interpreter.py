"""The interpreter of an image, unpacked where it can run on this host: by its own loader, with its own libraries.

Where no loader came with it (a standalone one on an image of others) the host's runs it; the C library has no part in
bytecode. Else nothing of the host has a part in what it makes. It is unpacked once, into the
store, and imports nothing that images hold. Beside it lies a list of its files, with their digests: what is not as
listed any more is unpacked again.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from stat import S_ISDIR
from typing import Any, NamedTuple

from buildrules.engine.kind import Context
from buildrules.errors import ActionError, IntegrityError
from buildrules.net.session import Session
from buildrules.oci import recipe
from buildrules.oci.content import content_of
from buildrules.oci.descriptor import Layer
from buildrules.oci.local import Local
from buildrules.oci.parts import expander
from buildrules.oci.parts.entry import DIRECTORY, HARDLINK, SYMLINK, Entry
from buildrules.oci.reader import Reader
from buildrules.serving.rootfs.paths import directory
from buildrules.serving.rootfs.unpack import unpack
from buildrules.sha256 import hex_digest
from buildrules.store.blobs import CHUNK, remove

FOLDER = "interpreters"
_FORM = 2  # of how it is laid: raised with what would lay it in another way
_ROOT, _LIST = "root", "files.json"
_OPENED = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in the place of a file is empty, and not waited for
LAYER = "layer"
"""The kind of parts that are layers of an image of others, base first; they have what `Layer.to_dict` gives."""
_WANTED = re.compile(
    r"(?:[^/]+/){0,3}(?:lib(?:32|64)?/(?:[^/]+-linux-gnu/)?(?:ld-[^/]+|lib[^/]+\.so[^/]*)|bin/python3?(?:\.\d+t?)?"
    r"|lib/python3\.\d+t?/(?!(?:site|dist)-packages/).+)",
    re.ASCII,
)
"""What is laid of an image of others: interpreters, the libraries that they load, and their standard libraries."""
OFF = "`bytecode: false` of the environment or of the package, or of workspace.python, does without"


class Interpreter(NamedTuple):
    """Where an unpacked interpreter is: `command` runs it in the folder `root`, `home` is its PYTHONHOME.

    They are relative to that folder: a colon in the path of a store would be two folders to either.
    """

    root: str
    command: Sequence[str]
    home: str


class Interpreters:
    """Those of one session, each looked at once."""

    def __init__(self, _: Session) -> None:
        self._roots: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, places: Mapping[str, Any], context: Context) -> Interpreter:
        """The interpreter that `places` describe: `parts` of a recipe, and `program`, its path below the root.

        Raises ActionError where none is in them, and what the parts raise where they are not sound.
        """
        parts, program = places["parts"], str(places["program"])
        root = self.root(parts, context)
        loaders, libraries = set[str](), []
        for place, _, files in os.walk(root):
            below = os.path.relpath(place, root)
            loaders |= {found for one in files if one.startswith("ld-linux-") if (found := _inside(root, below, one))}
            if any(one.startswith("lib") and ".so" in one for one in files):
                libraries.append(below)
        real = _inside(root, program)
        if real is None:
            raise ActionError(f"there is no interpreter /{program} that could compile for the image", hint=OFF)
        if not loaders and any(part["kind"] == LAYER for part in parts):
            raise ActionError(f"there is no glibc to run /{program} of the image with", hint=OFF)
        here = os.path.realpath("/proc/self/exe")
        if not loaders and os.path.basename(here).startswith("ld-"):  # none may be where one is looked for
            loaders, libraries = {here}, [*libraries, os.path.dirname(here)]
        loaded = [min(loaders), "--inhibit-cache", "--library-path", ":".join(sorted(libraries))] if loaders else []
        return Interpreter(root, [*loaded, real], os.path.dirname(os.path.dirname(real)))

    def root(self, parts: Sequence[Mapping[str, Any]], context: Context) -> str:
        """The folder that parts are unpacked in. Raises what they raise where they are not sound."""
        form = [_FORM, recipe.VERSION, parts]
        name = hex_digest(json.dumps(form, sort_keys=True, default=dict).encode())[:32]
        with self._lock:
            if name not in self._roots:
                folder = os.path.join(context.blobs.store, FOLDER, name)
                if not _is_sound(folder):
                    _unpack(parts, folder, context)
                self._roots[name] = os.path.join(folder, _ROOT)
            return self._roots[name]


def _inside(root: str, *steps: str) -> str | None:
    """The file that a path leads to inside of `root`, relative to it; None where there is none."""
    try:
        found = directory(root, "/".join(steps).split("/"), file=True)
    except IntegrityError:
        return None
    return os.path.relpath(found, root) if found is not None and os.path.isfile(found) else None


def mend(store: str) -> list[str]:
    """Remove the interpreters of a store (a folder) that are not as they were unpacked; returns their names."""
    folder = os.path.join(store, FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    damaged = [name for name in names if not _is_sound(os.path.join(folder, name))]
    for name in damaged:
        remove(os.path.join(folder, name))
    return damaged


def _is_sound(folder: str) -> bool:
    """Whether an interpreter is there and all its files are what they were."""
    root = os.path.join(folder, _ROOT)
    try:
        if not all(S_ISDIR(os.lstat(one).st_mode) for one in (folder, root)):
            return False
        handle = os.open(os.path.join(folder, _LIST), _OPENED)
        with open(handle, encoding="utf-8") as file:
            return bool(json.load(file) == _files(root))
    except (OSError, ValueError, RecursionError):
        return False


def _files(root: str) -> dict[str, list[Any]]:
    """What is below a folder: path -> where a link leads, or the rights of a file, its size and its SHA-256. Raises
    OSError."""
    found: dict[str, list[Any]] = {}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            below = os.fsencode(os.path.relpath(path, root)).decode("ascii", "backslashreplace")
            if os.path.islink(path):
                found[below] = [os.fsencode(os.readlink(path)).decode("ascii", "backslashreplace")]
            elif name in names:
                with open(os.open(path, _OPENED), "rb") as file:
                    stat = os.fstat(file.fileno())
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                found[below] = [stat.st_mode & 0o777, stat.st_size, digest]
    return found


def kept(folder: str, context: Context, lay: Callable[[str], None]) -> tuple[str, Mapping[str, Any]]:
    """The root that `lay` fills once, in `folder`, and the list of its files: path -> rights, size, SHA-256."""
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, _LIST), encoding="utf-8") as file:
        os.utime(folder)  # it is used
        return os.path.join(folder, _ROOT), json.load(file)
    _laid(folder, context, lay)
    with open(os.path.join(folder, _LIST), encoding="utf-8") as file:
        return os.path.join(folder, _ROOT), json.load(file)


def _unpack(parts: Sequence[Mapping[str, Any]], folder: str, context: Context) -> None:
    """Lay the files of `parts` below the root of `folder`."""

    def lay(root: str) -> None:
        local = Local(context.blobs)
        layers = [Layer.from_dict(dict(part)) for part in parts if part["kind"] == LAYER]
        unpack(root, layers, lambda layer: _chunks(layer, context), _WANTED.fullmatch)
        with Reader() as reader:
            for part in parts:
                for entry in () if part["kind"] == LAYER else expander(part["kind"])(dict(part), local):
                    _lay(entry, root, reader)

    _laid(folder, context, lay)


def _laid(folder: str, context: Context, lay: Callable[[str], None]) -> None:
    """Have `lay` fill the root of `folder`, all or nothing, and list its files. What was there makes way."""
    aside = context.blobs.tmp_path()
    try:
        root = os.path.join(aside, _ROOT)
        os.makedirs(root, mode=0o700)
        lay(root)
        with open(os.path.join(aside, _LIST), "x", encoding="utf-8") as file:
            json.dump(_files(root), file)
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        if os.path.lexists(folder) and not _is_sound(folder):
            remove(folder)
        try:
            os.rename(aside, folder)
        except OSError:
            if not _is_sound(folder):  # else another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _chunks(layer: Layer, context: Context) -> Iterator[bytes]:
    with context.blobs.open(layer.digest) as file:
        while data := file.read(CHUNK):
            yield data


def _lay(entry: Entry, root: str, reader: Reader) -> None:
    """Write one entry. Its path was checked by who read it; links stay below the root."""
    place = os.path.join(root, entry.path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if not f"{os.path.realpath(os.path.dirname(place))}/".startswith(f"{os.path.realpath(root)}/"):
        raise ActionError(f"{entry.path!r} of the interpreter leaves its root")
    if entry.kind == DIRECTORY:
        os.makedirs(place, exist_ok=True)
    elif entry.kind == SYMLINK:
        target = entry.link
        if target.startswith("/"):
            target = os.path.relpath(os.path.join(root, target.lstrip("/")), os.path.dirname(place))
        os.symlink(target, place)
    elif entry.kind == HARDLINK:
        os.link(os.path.join(root, entry.link), place, follow_symlinks=False)
    else:
        with open(place, "xb") as file:
            file.write(content_of(entry, reader))
        os.chmod(place, 0o755 if entry.mode & 0o111 else 0o644)
