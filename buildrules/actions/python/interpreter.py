"""The interpreter of an image, unpacked where it can run on this host: by its own loader, with its own libraries.

Where no loader came with it (on an image of others, whose layers nobody fetches for this) the host's runs it; the C
library has no part in bytecode. Else nothing of the host has a part in what it makes. It is unpacked once, into the
store, and imports nothing that images hold.
"""

import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildrules.engine.kind import Context
from buildrules.errors import ActionError
from buildrules.net.session import Session
from buildrules.oci.content import content_of
from buildrules.oci.local import Local
from buildrules.oci.parts import expander
from buildrules.oci.parts.entry import DIRECTORY, HARDLINK, SYMLINK, Entry
from buildrules.oci.reader import Reader
from buildrules.sha256 import hex_digest

FOLDER = "interpreters"
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
        self._found: dict[str, Interpreter] = {}
        self._lock = threading.Lock()

    def of(self, places: Mapping[str, Any], context: Context) -> Interpreter:
        """The interpreter that `places` describe: `parts` of a recipe, and `program`, its path below the root.

        Raises ActionError where none is in them, and what the parts raise where they are not sound.
        """
        name = hex_digest(json.dumps(places, sort_keys=True, default=dict).encode())[:32]
        with self._lock:
            if name not in self._found:
                self._found[name] = _interpreter(places, os.path.join(context.blobs.store, FOLDER, name), context)
            return self._found[name]


def _interpreter(places: Mapping[str, Any], root: str, context: Context) -> Interpreter:
    parts, program = places["parts"], str(places["program"])
    if not os.path.isdir(root):
        _unpack(parts, root, context)
    loaders, libraries = [], []
    for folder, _, files in os.walk(root):
        found = (os.path.join(folder, one) for one in files if one.startswith("ld-linux-"))
        loaders += [os.path.relpath(one, root) for one in found if os.path.isfile(one) and not os.path.islink(one)]
        if any(one.startswith("lib") and ".so" in one for one in files):
            libraries.append(os.path.relpath(folder, root))
    if not os.path.isfile(os.path.join(root, program)):
        raise ActionError(f"there is no interpreter /{program} that could compile for the image", hint=OFF)
    loaded = [min(loaders), "--inhibit-cache", "--library-path", ":".join(sorted(libraries))] if loaders else []
    return Interpreter(root, [*loaded, program], os.path.dirname(os.path.dirname(program)))


def _unpack(parts: Sequence[Mapping[str, Any]], root: str, context: Context) -> None:
    """Lay the files of `parts` below `root`, all or none."""
    aside = context.blobs.tmp_path()
    try:
        local = Local(context.blobs)
        with Reader() as reader:
            for part in parts:
                for entry in expander(part["kind"])(dict(part), local):
                    _lay(entry, aside, reader)
        os.makedirs(os.path.dirname(root), mode=0o700, exist_ok=True)
        try:
            os.rename(aside, root)
        except OSError:
            if not os.path.isdir(root):  # else another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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
