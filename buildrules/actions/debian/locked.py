"""A package as a lock and the parameters of `debian_layers` have it."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from buildrules.errors import IntegrityError

_LARGEST = 1 << 40  # bytes; a size from there on is nonsense

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")

ARCHIVE = re.compile("main|security")

ANY = re.compile(".*")

_VERSION = re.compile(r"[0-9A-Za-z.+:~-]+")

INTERPRETER = re.compile(r"python3\.[0-9]+-minimal")

_PYTHON = re.compile(r"(3\.[0-9]+(?:\.[0-9]+)?(?:(?:a|b|rc)[0-9]+)?)")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:%-]*")


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


def package_dict(package: LockedPackage) -> dict[str, Any]:
    """One package as it stands in a lock, without who asked for it."""
    data = asdict(package)
    del data["asked_for_by"]
    return data


def package_from(data: Mapping[str, Any]) -> LockedPackage:
    """The inverse of `package_dict`. Raises KeyError, TypeError, ValueError or IntegrityError on anything else."""
    size = data["size"]
    if type(size) is not int or not 0 <= size < _LARGEST:
        raise ValueError(f"size {size!r} is not a number of bytes")
    name = checked(data["name"], NAME)
    return LockedPackage(
        name=name,
        version=checked(data["version"], _VERSION),
        archive=checked(data["archive"], ARCHIVE),
        path=check_path(checked(data["path"], ANY), name),
        sha256=checked(data["sha256"], re.compile(r"[0-9a-f]{64}")),
        size=size,
        asked_for_by=tuple(checked(one, ANY) for one in data.get("asked_for_by", ())),
    )


def locked_packages(rows: Iterable[Sequence[str]], places: Mapping[str, Any]) -> list[LockedPackage]:
    """Rows of `DebianParams.packages`, with where they are fetched from, as far as the action's `places` say so.

    Raises IntegrityError.
    """
    known = places.get("packages") or {}
    found = []
    try:
        for name, version, sha256 in rows:
            archive, path, size = known.get(sha256) or ("main", name, 0)
            found.append(
                package_from(
                    {"name": name, "version": version, "sha256": sha256, "archive": archive, "path": path, "size": size}
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"a locked debian package is not what it should be: {error}") from None
    return found


def python_of(packages: Iterable[LockedPackage]) -> tuple[str, str] | None:
    """As `python_version`, of any packages."""
    for package in packages:
        if INTERPRETER.fullmatch(package.name):
            upstream = package.version.rpartition(":")[2]
            short = package.name.removeprefix("python").removesuffix("-minimal")
            match = _PYTHON.match(upstream)
            return short, match[1] if match and match[1].startswith(short) else short
    return None


def checked(value: object, pattern: "re.Pattern[str]") -> str:
    """A text that the pattern matches in full. Raises ValueError for anything else."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not what it should be")
    return value


def check_path(path: str, where: str) -> str:
    """A path below an archive's base URI, without leading `./`. Raises IntegrityError on one that leaves it."""
    clean = path.removeprefix("./")
    if posixpath.normpath(clean) != clean or not all(_POOL.fullmatch(part) for part in clean.split("/")):
        raise IntegrityError(f"{where}: not a path inside the archive: {path!r}")
    return clean
