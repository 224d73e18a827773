"""Locks: PEP 751 files `pylock.<name>-<os>-<arch>.toml`, one file per distribution, for one platform.

Every package has exactly the file that goes into the image, by sha256. `[tool.buildrules]` holds the digest of the
inputs and the target. A url in a lock has no userinfo, query or fragment. A file of a package index has no `url` where
the lock is portable: PEP 751 wants `url` or `path` for each file, so it then has the file name as `path` and the
package `[packages.tool.buildrules] source = "index"`. Other installers read that as a file beside the lock, and
so does this one where there is such a file; where there is none, it asks the user's package index
for the file with this digest. A package that belongs to one index has `[packages.tool.buildrules] index`, the name of
its connection. A directory has `variables` there, which its build back end is given, and `asks`: the digest of what its
project asked for, so that the lock is stale where that is something else today. The lock of a group of environments
has in `[tool.buildrules.members]`, by the digest of what a member asks for, the names of the packages it gets.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buildrules.actions.python.feeds import Feeds
from buildrules.actions.python.target import Target
from buildrules.locking.python.formats import LOCK
from buildrules.locking.python.locked import DIRECTORY, SDIST, LockedPackage
from buildrules.locking.python.select import select
from buildrules.sha256 import digest_of
from buildrules.store import lockfile

VERSION = 1


@dataclass(frozen=True, slots=True)
class Lock:
    """`folder` is the workspace-relative folder of the file; `packages` are sorted by name."""

    name: str
    folder: str
    target: Target
    inputs: str
    packages: tuple[LockedPackage, ...]
    portable: bool = False
    base: str = ""  # the pins of the lock below, "" where there is none or nothing is known of it
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of a group: what each gets, by its inputs

    def filename(self) -> str:
        """The name of the file, without folder."""
        return lock_filename(self.name, self.target.platform)

    def get(self, name: str) -> LockedPackage | None:
        """The package of that normalised name."""
        return next((package for package in self.packages if package.name == name), None)

    def part(self, inputs: str) -> "Lock | None":
        """What the member of a group that asks for `inputs` gets; None where none does."""
        names = self.members.get(inputs)
        if names is None:
            return None
        packages = tuple(package for package in self.packages if package.name in names)
        return replace(self, inputs=inputs, packages=packages, members={})

    def versions(self) -> dict[str, str]:
        """The version of every package by name."""
        return {package.name: package.version for package in self.packages}

    def from_indexes(self) -> dict[str, str]:
        """The version of every package that was not asked for by address or path."""
        return {package.name: package.version for package in self.packages if package.version and not package.direct}

    def pins(self) -> str:
        """`sha256:<hex>` over the packages: the same for the same files, whoever asked for them and wherever."""
        rows = [[one.name, one.version, one.file.sha256 if one.file else ""] for one in self.packages]
        return digest_of(json.dumps(rows).encode())

    def places(self, root: str, feeds: Feeds | None = None) -> dict[str, Any]:
        """Where files may be fetched from, for the actions' `places`: {"urls": {filename: [url, ...]}, "sizes": ...}.

        The first url is that of the place beside the lock, where there may be nothing.
        """
        urls: dict[str, list[str]] = {}
        sizes = {}
        pins = []
        for package in self.packages:
            file = package.file
            if file is None:
                continue
            near = Path(root, file.path or os.path.join(self.folder, file.filename)).as_uri()
            urls[file.filename] = [near, *([file.url] if file.url else [])]
            sizes[file.filename] = file.size
            if not package.direct:
                pins.append([package.name, package.version])
        chosen = feeds.to_dict() if feeds else {}
        index = {"target": self.target.to_dict(), "pins": pins, **({"feeds": chosen} if chosen else {})}
        return {"urls": urls, "sizes": sizes, "index": index}


def lock_filename(name: str, platform: str) -> str:
    """`pylock.<name>-<os>-<arch>.toml`; PEP 751 allows no dot in the middle, so dots become `-`."""
    return f"pylock.{name.replace('.', '-').replace('/', '-')}-{platform.replace('/', '-')}.toml"


def write_lock(lock: Lock, root: str) -> str:
    """Write the lock to its folder below `root`; returns the workspace-relative path. Raises LockError."""
    path = os.path.join(lock.folder, lock.filename())
    lockfile.write_whole(os.path.join(root, path), lock_text(lock), path)
    return path


def lock_text(lock: Lock, indexes: Mapping[str, str] | None = None) -> str:
    """The text of the lock: the same for the same lock, wherever and whenever it is written.

    `indexes` are the urls of the indexes of some packages, by name, for who wants them said.
    """
    import tomli_w

    indexes = indexes or {}
    members = {inputs: " ".join(names) for inputs, names in sorted(lock.members.items())}
    document: dict[str, Any] = {
        "lock-version": "1.0",
        "environments": [
            f"sys_platform == 'linux' and platform_machine == '{lock.target.machine}'"
            f" and python_version == '{lock.target.python_minor}'"
        ],
        "requires-python": f"=={lock.target.python_minor}.*",
        "created-by": "buildrules",
        "packages": [
            {**_table(package, lock), **({"index": indexes[package.name]} if package.name in indexes else {})}
            for package in lock.packages
        ],
        "tool": {
            "buildrules": {
                "version": VERSION,
                "inputs": lock.inputs,
                **({"base": lock.base} if lock.base else {}),
                "name": lock.name,
                **lock.target.to_dict(),
                "portable": lock.portable,
                **({"members": members} if members else {}),
            }
        },
    }
    return "# Written by buildrules; change the requirements, then run 'buildrules lock'.\n" + tomli_w.dumps(document)


def _table(package: LockedPackage, lock: Lock) -> dict[str, Any]:
    table: dict[str, Any] = {"name": package.name}
    if package.version:
        table["version"] = package.version
    if package.kind == DIRECTORY:
        table["directory"] = {"path": _relative(package.directory or ".", lock.folder)}
        _note(table, asks=package.asks, variables=dict(package.variables))
        return table
    file = package.file
    assert file
    entry: dict[str, Any] = {} if package.direct else {"name": file.filename}
    if file.url and not (lock.portable and not package.direct):
        entry["url"] = file.url
    elif file.path:
        entry["path"] = _relative(file.path, lock.folder)
    else:
        entry["path"] = file.filename
        _note(table, source="index")
    _note(table, index=package.index)
    if file.size is not None:
        entry["size"] = file.size
    entry["hashes"] = {"sha256": file.sha256}
    if package.direct:
        table["archive"] = entry
    elif package.kind == SDIST:
        table["sdist"] = entry
    else:
        table["wheels"] = [entry]
    return table


def _note(table: dict[str, Any], **more: Any) -> None:
    """What only we say of a package: its [packages.tool.buildrules]."""
    for key, value in more.items():
        if value:
            table.setdefault("tool", {}).setdefault("buildrules", {})[key] = value


def _relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder or ".").replace(os.sep, "/")


def _check_keys(path: str, data: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise LockError for a key that no lock has: nothing of one goes unread."""
    listed = data.get("packages", [])
    packages = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    owns = [(one.get("tool") or {}).get("buildrules") or {} for one in packages if isinstance(one.get("tool"), dict)]
    for table, of in zip(LOCK, ([data], packages, [own], owns), strict=True):
        unknown = {key for one in of if isinstance(one, dict) for key in one.keys() - table.keys()}
        if unknown:
            raise lockfile.unreadable(path, f"it has {min(unknown)!r}, which is not known here")


def read_lock(root: str, path: str) -> Lock:
    """Read the lock at the workspace-relative `path`. Raises LockError where it is missing, broken or not ours."""
    data = lockfile.read_tables(os.path.join(root, path), path)
    own = data.get("tool", {}).get("buildrules") if isinstance(data.get("tool", {}), dict) else None
    if not isinstance(own, dict):
        raise lockfile.unreadable(path, "it has no [tool.buildrules] table, so it was written by another program")
    lockfile.check_version(path, own, VERSION)
    try:
        target = Target(str(own["platform"]), str(own["python"]), str(own["glibc"]))
        name, inputs, portable = str(own["name"]), str(own["inputs"]), bool(own.get("portable", False))
        base = str(own.get("base", ""))
    except KeyError as error:
        raise lockfile.unreadable(path, f"[tool.buildrules] has no {error.args[0]!r}") from None
    members = own.get("members", {})
    if not isinstance(members, dict) or not all(isinstance(names, str) for names in members.values()):
        raise lockfile.unreadable(path, "its [tool.buildrules.members] are no names of packages")
    gets = {inputs: tuple(names.split()) for inputs, names in members.items()}
    _check_keys(path, data, own)
    folder = os.path.dirname(path)
    packages = select(data, target, root, os.path.join(root, folder), what=f"lock {path!r}")
    if absent := {name for names in gets.values() for name in names} - {package.name for package in packages}:
        raise lockfile.unreadable(path, f"a member gets {min(absent)!r}, which is not in it")
    return Lock(name, folder, target, inputs, packages, portable, base, gets)
