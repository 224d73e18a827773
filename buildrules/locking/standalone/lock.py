"""The lock of an interpreter: `python.<name>-<os>-<arch>.lock`, TOML, beside the BUILD.yaml that owns it.

version = 1
python = "3.12.15"               # "3.13.17t" where it is free-threaded
build = "20261021"               # date of python-build-standalone's release; "" for a file that is none of theirs
flavour = "install_only_stripped"
filename = "cpython-3.12.15+20261021-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
url = "https://..."              # "" where locks are portable, or the file is on this machine
path = ""                        # of the file in the workspace, where it lies there
sha256 = "..."
glibc = "2.36"                   # of the base, where that is an image of others; "" where it is not known
inputs = "sha256:..."            # of what was asked for, and that image; another one means the lock is stale
"""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildrules.locking.standalone.builds import address_of
from buildrules.store import lockfile

VERSION = 1
_HEAD = "# Written by 'buildrules lock'. Pins a Python; commit it.\n"
_FIELDS = {
    "python": re.compile(r"3\.\d{1,3}\.\d{1,3}t?", re.ASCII),
    "build": re.compile(r"(\d{8})?", re.ASCII),
    "flavour": re.compile(r"(install_only(_stripped)?)?"),
    "filename": re.compile(r"[^/\0]+"),
    "url": re.compile(r"(https?://\S+)?"),
    "path": re.compile(r"[^\0]*"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "glibc": re.compile(r"(2\.\d{1,3})?", re.ASCII),
    "inputs": re.compile(r"sha256:[0-9a-f]{64}"),
}


@dataclass(frozen=True, slots=True)
class InterpreterLock:
    """What a `python_standalone` is pinned to; see the module for the fields."""

    python: str
    build: str
    flavour: str
    filename: str
    url: str
    path: str
    sha256: str
    glibc: str
    inputs: str


def lock_name(name: str, platform: str) -> str:
    """The file name of the lock of target `name` for a platform like "linux/amd64"."""
    return f"python.{name}-{platform.replace('/', '-')}.lock"


def inputs_digest(version: str, platform: str, archive: str | None, image: str) -> str:
    """`sha256:<hex>` over what a target asks for: a version, an archive of the workspace that has it, if it names one,
    and the digest of the image it stands on, if it stands on one.
    """
    return lockfile.inputs_digest([VERSION, version, platform, archive, image])


def read_lock(path: str) -> InterpreterLock:
    """The lock in the file `path`. Raises LockError where there is none or it is malformed."""
    data = lockfile.read_tables(path)
    lockfile.check_version(path, data, VERSION)
    for name, pattern in _FIELDS.items():
        if not isinstance(data.get(name), str) or not pattern.fullmatch(data[name]):
            raise lockfile.unreadable(path, f"it has no proper {name!r}")
    if posixpath.isabs(data["path"]) or ".." in data["path"].split("/"):
        raise lockfile.unreadable(path, f"the path {data['path']!r} leaves the workspace")
    return InterpreterLock(**{name: data[name] for name in _FIELDS})


def write_lock(path: str, lock: InterpreterLock) -> bool:
    """Write the lock; False where the file already said so. Raises LockError."""
    import tomli_w

    fields = {name: getattr(lock, name) for name in _FIELDS}
    return lockfile.write_whole(path, _HEAD + tomli_w.dumps({"version": VERSION, **fields}))


def places(lock: InterpreterLock, mirror: str | None, root: str, path: str, label: str) -> dict[str, Any]:
    """The `places` of the action `python_layer`, below one key, by the archive's sha256: its `urls` and `filename`, and
    what errors name: the mirror, which stands for all other places, the target's `label`, and `path`, the lock's own.
    """
    urls = [Path(root, lock.path).as_uri()] if lock.path else []
    if mirror is not None:
        urls.append(address_of(lock.build, lock.filename, mirror_address(mirror, root)))
    elif not lock.path:
        urls.append(lock.url or address_of(lock.build, lock.filename))
    found = {"urls": list(dict.fromkeys(urls)), "filename": lock.filename, "mirror": mirror}
    return {"standalone": {lock.sha256: {**found, "lock": path, "label": label}}}


def is_folder(mirror: str) -> bool:
    """Whether a mirror is a folder of the workspace and no address."""
    return "://" not in mirror and not mirror.startswith("file:")


def mirror_address(mirror: str, root: str) -> str:
    """A mirror as an address, also where it is a folder of the workspace at `root`."""
    return Path(root, mirror).as_uri() if is_folder(mirror) else mirror
