"""The conda lock: `conda.<name>-<os>-<arch>.lock`, TOML, beside the BUILD.yaml that owns it.

    version = 1
    platform = "linux/amd64"
    glibc = "2.36"
    python = "3.12.7"                # that of the environment
    inputs = "sha256:..."            # of what was asked for; another one means the lock is stale

    [[packages]]                     # sorted by name
    name = "numpy"
    version = "2.1.3"
    build = "py312h58c1407_0"
    url = "https://conda.anaconda.org/conda-forge/linux-64/numpy-2.1.3-py312h58c1407_0.conda"
    sha256 = "..."
    size = 8398842                   # bytes
    noarch = false                   # true: laid out for the Python of the environment
    license = "BSD-3-Clause"
    distribution = "numpy"           # what pip calls it, "" if it knows nothing like it

A package of a channel in the workspace has `path`, from the workspace's root, instead of `url`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from buildrules.actions.params import CondaParams
from buildrules.actions.python.target import minor_of
from buildrules.credentials.redact import redact
from buildrules.errors import LockError
from buildrules.sha256 import digest_of
from buildrules.store import lockfile

VERSION = 1
PREFIX = "opt/conda"
_HEADER = "# Written by 'buildrules lock'; edits are lost.\n"
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
_WORD = re.compile(r"[A-Za-z0-9_.!+-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """One package; either `url` or the workspace-relative `path` says where it is."""

    name: str
    version: str
    build: str
    url: str
    path: str
    sha256: str
    size: int
    noarch: bool
    license: str
    distribution: str

    @property
    def filename(self) -> str:
        """Its file's name."""
        return unquote(urlsplit(self.url or self.path).path).rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class CondaLock:
    """A solved environment; `packages` are sorted by name."""

    platform: str
    glibc: str
    python: str
    inputs: str
    packages: tuple[CondaPackage, ...]

    def pins(self) -> str:
        """`sha256:<hex>` over the packages: the same for the same files, wherever they came from."""
        return digest_of(json.dumps([[one.filename, one.sha256] for one in self.packages]).encode())

    def versions(self) -> dict[str, str]:
        """The version and build of every package by name."""
        return {one.name: f"{one.version} {one.build}" for one in self.packages}

    def distributions(self) -> dict[str, str]:
        """What of it pip would see: normalised name -> version."""
        return {one.distribution: one.version for one in self.packages if one.distribution}

    def params(self, packages: list[CondaPackage]) -> CondaParams:
        """The parameters of a layer of some of its packages."""
        python = minor_of(self.python)
        rows = sorted((one.filename, one.sha256, python if one.noarch else "") for one in packages)
        return CondaParams(rows, PREFIX)


def lock_name(name: str, platform: str) -> str:
    """File name of the lock of target `name` for a platform like "linux/amd64"."""
    return f"conda.{name}-{platform.replace('/', '-')}.lock"


def places(packages: list[CondaPackage], root: str) -> dict[str, Any]:
    """The `places` of a layer's action."""
    from pathlib import PurePosixPath

    def url(one: CondaPackage) -> str:
        return one.url or PurePosixPath(root, one.path).as_uri()

    return {
        "urls": {one.filename: [url(one)] for one in packages},
        "sizes": {one.filename: one.size for one in packages},
    }


def write_lock(path: str, lock: CondaLock) -> bool:
    """Write a lock file; False where the file already said so. Raises LockError, also for a credential in it."""
    import tomli_w

    for one in lock.packages:
        if redact(one.url) != one.url:
            raise LockError(f"the address of {one.filename!r} holds a credential and is not written")
    packages = []
    for one in lock.packages:
        row = {field: getattr(one, field) for field in CondaPackage.__dataclass_fields__}
        del row["path" if one.url else "url"]
        packages.append(row)
    head = {field: getattr(lock, field) for field in ("platform", "glibc", "python", "inputs")}
    return lockfile.write_whole(path, _HEADER + tomli_w.dumps({"version": VERSION, **head, "packages": packages}))


def read_lock(path: str) -> CondaLock:
    """Read a lock file. Raises LockError where it is missing, unreadable, of another version or not to be trusted."""
    data = lockfile.read_tables(path)
    lockfile.check_version(path, data, VERSION)
    try:
        return CondaLock(
            platform=_text(data, "platform"),
            glibc=_text(data, "glibc"),
            python=_text(data, "python"),
            inputs=_text(data, "inputs"),
            packages=tuple(_package(row) for row in data["packages"]),
        )
    except KeyError as error:
        raise lockfile.unreadable(path, f"{error} is missing") from None
    except (TypeError, ValueError) as error:
        raise lockfile.unreadable(path, str(error)) from None


def _package(row: Mapping[str, Any]) -> CondaPackage:
    from buildrules.oci.paths import bad_path

    size, noarch = row["size"], row["noarch"]
    if type(size) is not int or not 0 <= size < _LARGEST or type(noarch) is not bool:
        raise ValueError(f"the size of {row['name']!r} is not one")
    url, path = str(row.get("url", "")), str(row.get("path", ""))
    if bool(url) == bool(path) or (url and not url.startswith(("https://", "http://", "file:///"))):
        raise ValueError(f"the package {row['name']!r} has no address")
    if (path and bad_path(path)) or redact(url) != url:
        raise ValueError(f"the address of {row['name']!r} is not one of a file in the workspace or a channel")
    found = CondaPackage(
        name=_text(row, "name", _NAME),
        version=_text(row, "version", _WORD),
        build=_text(row, "build", _WORD),
        url=url,
        path=path,
        sha256=_text(row, "sha256", _SHA256),
        size=size,
        noarch=noarch,
        license=_text(row, "license"),
        distribution=_text(row, "distribution"),
    )
    if not found.filename.startswith(f"{found.name}-{found.version}-{found.build}."):
        raise ValueError(f"{found.filename!r} is not the package {found.name} {found.version} {found.build}")
    return found


def _text(row: Mapping[str, Any], field: str, pattern: re.Pattern[str] = re.compile(".*")) -> str:
    value = row[field]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r:.80} is not what '{field}' must be")
    return value
