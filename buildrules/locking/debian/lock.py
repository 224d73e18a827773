"""The Debian lock: `debian.<name>-<os>-<arch>.lock`, TOML, beside the BUILD.yaml that owns it.

    version = 1
    suite = "bookworm"
    architecture = "amd64"
    inputs = "sha256:..."            # of what was asked for; another one means the lock is stale

    [[releases]]                     # what it was made from, for people to read
    archive = "main"
    suite = "bookworm"
    date = "Sat, 11 Jul 2026 10:16:37 UTC"

    [[packages]]                     # sorted by name
    name = "libc6"
    version = "2.36-9+deb12u14"
    archive = "main"                 # or "security": which of the two archives `path` is in
    path = "pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb"
    sha256 = "..."
    size = 2759320                   # bytes
    asked_for_by = ["libgcc-s1"]

No host and no time of the run stand in it: the same archive gives the same bytes.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from buildrules.actions.debian.locked import (
    ANY,
    ARCHIVE,
    NAME,
    LockedPackage,
    checked,
    package_dict,
    package_from,
    python_of,
)
from buildrules.actions.params import DebianParams
from buildrules.errors import IntegrityError
from buildrules.locking.debian.request import DebianRequest
from buildrules.sha256 import digest_of
from buildrules.store import lockfile

if TYPE_CHECKING:
    from buildrules.engine.kind import Context
    from buildrules.locking.debian.packages import Package

VERSION = 1
_HEADER = "# Written by 'buildrules lock'; edits are lost.\n"


class LockedRelease(NamedTuple):
    """One release that the lock was made from, with the Date it was signed with."""

    archive: str
    suite: str
    date: str


@dataclass(frozen=True, slots=True)
class Lock:
    """A resolved request."""

    suite: str
    architecture: str
    inputs: str
    releases: tuple[LockedRelease, ...]
    packages: tuple[LockedPackage, ...]

    def is_stale(self, request: DebianRequest) -> bool:
        """Whether the lock was made for something else than `request` asks for."""
        return self.inputs != request.digest()

    def versions(self) -> dict[str, str]:
        """The version of every package by name."""
        return {package.name: package.version for package in self.packages}


def lock_name(name: str, platform: str) -> str:
    """File name of the lock of target `name` for a platform like "linux/amd64"."""
    return f"debian.{name}-{platform.replace('/', '-')}.lock"


def make_lock(request: DebianRequest, settings: Mapping[str, Any], context: "Context") -> Lock:
    """Resolve a request against the signed indexes of its suite.

    `settings` are those of `mirrors.find_sources`. Raises ResolutionError, FetchError, IntegrityError (signature,
    expiry, content) or UsageError (nothing configured, no verifier).
    """
    from buildrules.actions.debian.mirrors import find_sources
    from buildrules.locking.debian.packages import Universe
    from buildrules.locking.debian.release import open_releases, read_indexes
    from buildrules.locking.debian.solve import solve

    found = find_sources(request.suite, settings, context.workspace)
    releases = open_releases(found, request.architecture, context)
    universe = Universe(read_indexes(releases, request.architecture, context), request.architecture)
    return Lock(
        suite=request.suite,
        architecture=request.architecture,
        inputs=request.digest(),
        releases=tuple(LockedRelease(one.source.archive, one.source.suite, one.date) for one in releases),
        packages=tuple(_locked(one.package, one.asked_by) for one in solve(request, universe)),
    )


def _locked(one: "Package", asked_by: Iterable[str]) -> LockedPackage:
    return LockedPackage(one.name, one.version, one.archive, one.path, one.sha256, one.size, tuple(sorted(asked_by)))


def dump_lock(lock: Lock) -> str:
    """The text of a lock file."""
    import tomli_w

    data: dict[str, Any] = {
        "version": VERSION,
        "suite": lock.suite,
        "architecture": lock.architecture,
        "inputs": lock.inputs,
        "releases": [one._asdict() for one in lock.releases],
        "packages": [package_dict(one) | {"asked_for_by": list(one.asked_for_by)} for one in lock.packages],
    }
    return _HEADER + tomli_w.dumps(data)


def write_lock(path: str, lock: Lock) -> bool:
    """Write a lock file; returns whether its content changed. Raises LockError."""
    return lockfile.write_whole(path, dump_lock(lock))


def read_lock(path: str) -> Lock:
    """Read a lock file. Raises LockError where it is missing, unreadable, of another version or not to be trusted."""
    data = lockfile.read_tables(path)
    lockfile.check_version(path, data, VERSION)
    try:
        return Lock(
            suite=checked(data["suite"], NAME),
            architecture=checked(data["architecture"], NAME),
            inputs=checked(data["inputs"], re.compile(r"sha256:[0-9a-f]{64}")),
            releases=tuple(
                LockedRelease(checked(one["archive"], ARCHIVE), checked(one["suite"], NAME), checked(one["date"], ANY))
                for one in data.get("releases", [])
            ),
            packages=tuple(package_from(one) for one in data["packages"]),
        )
    except KeyError as error:
        raise lockfile.unreadable(path, f"{error} is missing") from None
    except (TypeError, ValueError, IntegrityError) as error:
        raise lockfile.unreadable(path, str(error)) from None


def python_version(lock: Lock) -> tuple[str, str] | None:
    """("3.11", "3.11.2") of the interpreter in a lock; None without one."""
    return python_of(lock.packages)


def pins(lock: Lock) -> str:
    """`sha256:<hex>` over the packages of a lock: the same for the same files, wherever the lock lies."""
    rows = [[one.name, one.version, one.sha256] for one in lock.packages]
    return digest_of(json.dumps(rows).encode())


def layer_params(lock: Lock) -> DebianParams:
    """The parameters of the action `debian_layers` for a lock."""
    rows = [(one.name, one.version, one.sha256) for one in lock.packages]
    return DebianParams(rows, lock.architecture)


def layer_places(lock: Lock, settings: Mapping[str, Any], lock_name: str, label: str) -> dict[str, Any]:
    """The `places` of the action `debian_layers`: where packages may come from, and what errors are to name."""
    packages = {one.sha256: [one.archive, one.path, one.size] for one in lock.packages}
    return {
        "packages": packages,
        "suite": lock.suite,
        "mirrors": dict(settings),
        "lock": lock_name,
        "label": label,
    }
