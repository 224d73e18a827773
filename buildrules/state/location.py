"""Where the store is, and where in it the state of a workspace. Imported on every path, so it imports nothing new."""

import marshal
import os
import sys
import zlib

from buildrules import __version__


def store_root() -> str:
    """`$BUILDRULES_CACHE_DIR`, else `$XDG_CACHE_HOME/buildrules`, else `~/.cache/buildrules` (absolute)."""
    chosen = os.environ.get("BUILDRULES_CACHE_DIR")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(os.path.abspath(base), "buildrules")


def identity(root: str, chosen: "tuple[str, ...] | list[str]" = ()) -> bytes:
    """What a state belongs to: this version and interpreter, the workspace, the `chosen` configurations, and the
    variables that change an image.

    Variables are taken by name, since others may hold secrets. The interpreter counts because the hash of a row is the
    same in every process of one Python, and is not promised across Pythons.
    """
    names = tuple(sorted(set(chosen)))
    return marshal.dumps((__version__, sys.version_info[:3], root, os.environ.get("SOURCE_DATE_EPOCH"), names))


def configurations(argv: "tuple[str, ...] | list[str]") -> "list[str]":
    """The values of `--config` on a command line."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    found = [word[9:] for word in words if word.startswith("--config=")]
    return found + [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--config"]


def states_folder(root: str) -> str:
    """The folder of the states of the workspace at `root`."""
    place = f"{zlib.crc32(root.encode('utf-8', 'surrogateescape')):08x}"
    return os.path.join(store_root(), "workspaces", place)


def state_path(root: str, wanted: bytes) -> str:
    """Where the state with the identity `wanted` is kept. Two may share a path; the identity tells them apart."""
    return os.path.join(states_folder(root), f"{zlib.crc32(wanted):08x}.state")
