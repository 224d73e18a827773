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

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildrules.actions.debian.request import Request
from buildrules.errors import IntegrityError, LockError
from buildrules.store.lockfile import write_whole

if TYPE_CHECKING:
    from buildrules.engine.action import Context

VERSION = 1
_LARGEST = 1 << 40  # bytes; a size from there on is nonsense
_HEADER = "# Written by 'buildrules lock'; edits are lost.\n"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_ARCHIVE = re.compile("main|security")
_ANY = re.compile(".*")
_VERSION = re.compile(r"[0-9A-Za-z.+:~-]+")
_INTERPRETER = re.compile(r"python3\.[0-9]+-minimal")
_PYTHON = re.compile(r"(3\.[0-9]+(?:\.[0-9]+)?(?:(?:a|b|rc)[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package. `sha256` is bare hex, `path` relative to the base URI of `archive`, `size` in bytes."""

    name: str
    version: str
    archive: str
    path: str
    sha256: str
    size: int
    asked_for_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedRelease:
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

    def is_stale(self, request: Request) -> bool:
        """Whether the lock was made for something else than `request` asks for."""
        return self.inputs != request.digest()

    def versions(self) -> dict[str, str]:
        """The version of every package by name."""
        return {package.name: package.version for package in self.packages}


def lock_name(name: str, platform: str) -> str:
    """File name of the lock of target `name` for a platform like "linux/amd64"."""
    return f"debian.{name}-{platform.replace('/', '-')}.lock"


def make_lock(request: Request, settings: Mapping[str, Any], context: "Context") -> Lock:
    """Resolve a request against the signed indexes of its suite.

    `settings` are those of `sources.find_sources`. Raises ResolutionError, FetchError, IntegrityError (signature,
    expiry, content) or UsageError (nothing configured, no verifier).
    """
    from buildrules.actions.debian.packages import Universe
    from buildrules.actions.debian.release import open_releases, read_indexes
    from buildrules.actions.debian.solve import solve
    from buildrules.actions.debian.sources import find_sources

    found = find_sources(request.suite, settings, request.components, context.workspace)
    releases = open_releases(found, request.architecture, context)
    universe = Universe(read_indexes(releases, request.architecture, context), request.architecture)
    return Lock(
        suite=request.suite,
        architecture=request.architecture,
        inputs=request.digest(),
        releases=tuple(LockedRelease(one.source.archive, one.source.suite, one.date) for one in releases),
        packages=tuple(
            LockedPackage(
                one.package.name,
                one.package.version,
                one.package.archive,
                one.package.path,
                one.package.sha256,
                one.package.size,
                tuple(sorted(one.asked_by)),
            )
            for one in solve(request, universe)
        ),
    )


def dump_lock(lock: Lock) -> str:
    """The text of a lock file."""
    import tomli_w

    data: dict[str, Any] = {
        "version": VERSION,
        "suite": lock.suite,
        "architecture": lock.architecture,
        "inputs": lock.inputs,
        "releases": [{"archive": one.archive, "suite": one.suite, "date": one.date} for one in lock.releases],
        "packages": [package_dict(one) | {"asked_for_by": list(one.asked_for_by)} for one in lock.packages],
    }
    return _HEADER + tomli_w.dumps(data)


def write_lock(lock: Lock, path: str) -> bool:
    """Write a lock file; returns whether its content changed. Raises LockError."""
    return write_whole(path, dump_lock(lock))


def read_lock(path: str) -> Lock:
    """Read a lock file. Raises LockError where it is missing, unreadable, of another version or not to be trusted."""
    import tomllib

    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        raise LockError(f"there is no lock {os.path.basename(path)!r}", hint="run 'buildrules lock'") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    if data.get("version") != VERSION:
        raise LockError(
            f"the lock {os.path.basename(path)!r} is of version {data.get('version')!r}, this program reads {VERSION}",
            hint="update buildrules, or run 'buildrules lock' to write it anew",
        )
    try:
        return Lock(
            suite=_text(data["suite"], _NAME),
            architecture=_text(data["architecture"], _NAME),
            inputs=_text(data["inputs"], re.compile(r"sha256:[0-9a-f]{64}")),
            releases=tuple(_release_from(one) for one in data.get("releases", [])),
            packages=tuple(package_from(one) for one in data["packages"]),
        )
    except KeyError as error:
        raise _unreadable(path, f"{error} is missing") from None
    except (TypeError, ValueError, IntegrityError) as error:
        raise _unreadable(path, str(error)) from None


def package_dict(package: LockedPackage) -> dict[str, Any]:
    """One package as it stands in `action.params["packages"]`: without who asked for it, which changes no byte."""
    return {
        "name": package.name,
        "version": package.version,
        "archive": package.archive,
        "path": package.path,
        "sha256": package.sha256,
        "size": package.size,
    }


def package_from(data: Mapping[str, Any]) -> LockedPackage:
    """The inverse of `package_dict`. Raises KeyError, TypeError, ValueError or IntegrityError on anything else."""
    from buildrules.actions.debian.packages import check_path

    size = data["size"]
    if type(size) is not int or not 0 <= size < _LARGEST:
        raise ValueError(f"size {size!r} is not a number of bytes")
    name = _text(data["name"], _NAME)
    return LockedPackage(
        name=name,
        version=_text(data["version"], _VERSION),
        archive=_text(data["archive"], _ARCHIVE),
        path=check_path(_text(data["path"], _ANY), name),
        sha256=_text(data["sha256"], re.compile(r"[0-9a-f]{64}")),
        size=size,
        asked_for_by=tuple(_text(one, _ANY) for one in data.get("asked_for_by", ())),
    )


def _release_from(data: Mapping[str, Any]) -> LockedRelease:
    return LockedRelease(_text(data["archive"], _ARCHIVE), _text(data["suite"], _NAME), _text(data["date"], _ANY))


def python_version(lock: Lock) -> tuple[str, str] | None:
    """("3.11", "3.11.2") of the interpreter in a lock; None without one."""
    return python_of(lock.packages)


def python_of(packages: Iterable[LockedPackage]) -> tuple[str, str] | None:
    """As `python_version`, of any packages."""
    for package in packages:
        if _INTERPRETER.fullmatch(package.name):
            upstream = package.version.rpartition(":")[2]
            short = package.name.removeprefix("python").removesuffix("-minimal")
            match = _PYTHON.match(upstream)
            return short, match[1] if match and match[1].startswith(short) else short
    return None


def layer_params(lock: Lock, generated: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The `params` of the action `debian_layers` for a lock."""
    return {
        "packages": [package_dict(one) for one in lock.packages],
        "suite": lock.suite,
        "arch": lock.architecture,
        "generated": dict(generated or {}),
    }


def layer_hints(settings: Mapping[str, Any], lock_name: str, label: str) -> dict[str, Any]:
    """The `hints` of the action `debian_layers`: where packages may come from, and what errors are to name."""
    return {"mirrors": dict(settings), "lock": lock_name, "label": label}


def _text(value: object, pattern: "re.Pattern[str]") -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not what it should be")
    return value


def _unreadable(path: str, cause: str) -> LockError:
    return LockError(
        f"the lock {os.path.basename(path)!r} cannot be read: {cause}", hint="run 'buildrules lock' to write it anew"
    )
