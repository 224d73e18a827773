"""Conda packages: what they say of themselves, and their files.

Formats (docs.conda.io, "Package specification"; conda-package-handling): `.conda`, a zip of `info-*.tar.zst` and
`pkg-*.tar.zst`, and `.tar.bz2`, one archive of both. `info/paths.json` lists the files, with the placeholder of the
prefix in those that hold one; before it there were `info/files` and `info/has_prefix`. `info/link.json` says of
packages without an architecture which are Python's, and their entry points.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.document.plain_json import read_json
from buildrules.errors import IntegrityError
from buildrules.oci.parts.archive import members as zipped
from buildrules.oci.parts.entry import FILE, FileRange
from buildrules.oci.parts.tarred import Member, members
from buildrules.oci.paths import bad_text
from buildrules.oci.unpacked import run_of, unpacked

ENDINGS = (".conda", ".tar.bz2")
TEXT, BINARY = "text", "binary"
_LARGEST = 64 << 20  # bytes of one file of `info/`; the longest lists have a tenth
_DEFAULT = "/opt/anaconda1anaconda2anaconda3"  # of has_prefix, where a line is a path alone
_READ = re.compile(r"info/(index\.json|paths\.json|link\.json|files|has_prefix|no_link)")


@dataclass(frozen=True, slots=True)
class Path:
    """One file of a package: its SHA-256 (hex, "" if unknown), and the placeholder of its prefix, if it holds one."""

    sha256: str = ""
    placeholder: str = ""
    mode: str = TEXT
    directory: bool = False


@dataclass(slots=True)
class Package:
    """What a package says of itself. `python` says that it is noarch and Python's: its files are mapped."""

    name: str
    version: str
    build: str
    index: Mapping[str, Any]
    paths: dict[str, Path]
    python: bool = False
    entry_points: list[str] = field(default_factory=list)


def read_package(path: str, filename: str) -> Package:
    """What the package at `path` says of itself; `filename` is its own name, which errors have.

    Raises IntegrityError for what is malformed, UsageError where zstd cannot be read.
    """
    found: dict[str, bytes] = {}
    for member in _open(path, filename, "info"):
        if member.kind == FILE and _READ.fullmatch(member.path):
            if member.size > _LARGEST:
                raise member.wrong(f"has {member.size} bytes")
            found[member.path] = member.read()
    index = _table(found, "info/index.json", filename)
    if index is None or not all(isinstance(index.get(key), str) for key in ("name", "version", "build")):
        raise IntegrityError(f"conda package {filename!r} does not say what it is, in info/index.json")
    if filename.rpartition("/")[2] != f"{index['name']}-{index['version']}-{index['build']}{_ending(filename)}":
        raise IntegrityError(f"conda package {filename!r} is another one: {index['name']} {index['version']}")
    link = _table(found, "info/link.json", filename) or {}
    noarch = link.get("noarch") or {}
    python = isinstance(noarch, dict) and noarch.get("type") == "python"
    points = noarch.get("entry_points") or [] if python else []
    if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
        raise IntegrityError(f"entry points of conda package {filename!r} are no texts")
    paths = _paths(found, filename)
    return Package(index["name"], index["version"], index["build"], index, paths, python, points)


def contents(path: str, filename: str) -> Iterator[Member]:
    """The members of the package, but those about it. Raises as `read_package`."""
    for member in _open(path, filename, "pkg"):
        if member.path and not f"{member.path}/".startswith("info/"):
            yield member


def _open(path: str, filename: str, part: str) -> Iterator[Member]:
    what = f"conda package {filename!r}"
    with open(path, "rb") as file:
        if _ending(filename) == ".tar.bz2":
            stream, damage = unpacked(file, ".bz2", what)
        else:
            stem = filename.removesuffix(".conda")
            wanted = f"{part}-{stem}.tar.zst"
            member = next((one for one in zipped(path, filename) if one.name == wanted), None)
            if member is None or not isinstance(member.content, FileRange):
                raise IntegrityError(f"{what} holds no {wanted}, stored as it is")
            file.seek(member.content.offset)
            stream, damage = unpacked(run_of(file, member.size), ".zst", what)
        yield from members(stream, damage, what)


def _ending(filename: str) -> str:
    for ending in ENDINGS:
        if filename.endswith(ending):
            return ending
    raise IntegrityError(f"{filename!r} is not named as a conda package must be")


def _table(found: Mapping[str, bytes], name: str, filename: str) -> dict[str, Any] | None:
    if name not in found:
        return None
    try:
        table = read_json(found[name], _LARGEST)
    except ValueError as error:
        raise IntegrityError(f"{name} of conda package {filename!r} cannot be read: {error}") from None
    if not isinstance(table, dict):
        raise IntegrityError(f"{name} of conda package {filename!r} is not an object")
    return table


def _paths(found: Mapping[str, bytes], filename: str) -> dict[str, Path]:
    table = _table(found, "info/paths.json", filename)
    if table is None:
        return _old_paths(found, filename)
    rows = table.get("paths")
    paths: dict[str, Path] = {}
    for row in rows if isinstance(rows, list) else [{}]:
        name = row.get("_path") if isinstance(row, dict) else None
        placeholder = row.get("prefix_placeholder") or "" if name else None
        if not isinstance(name, str) or not isinstance(placeholder, str):
            raise IntegrityError(f"info/paths.json of conda package {filename!r} is not a list of paths")
        mode = row.get("file_mode") or TEXT
        if mode not in (TEXT, BINARY):
            raise IntegrityError(f"{name!r} in conda package {filename!r} has the unknown mode {mode!r:.40}")
        if problem := bad_text(name) or bad_text(placeholder):
            raise IntegrityError(f"a path or prefix in info/paths.json of conda package {filename!r} {problem}")
        sha256 = row.get("sha256")
        paths[name] = Path(
            sha256 if isinstance(sha256, str) else "", placeholder, mode, row.get("path_type") == "directory"
        )
    return paths


def _old_paths(found: Mapping[str, bytes], filename: str) -> dict[str, Path]:
    if "info/files" not in found:
        raise IntegrityError(f"conda package {filename!r} does not say what it holds, in info/paths.json")
    paths = {line: Path() for line in _lines(found["info/files"], filename)}
    for line in _lines(found.get("info/has_prefix", b""), filename):
        try:
            words = shlex.split(line, posix=False)
        except ValueError:  # a quote that is not closed
            words = []
        placeholder, mode, name = words if len(words) == 3 else (_DEFAULT, TEXT, line)
        name = name.strip("'\"")
        if not words or name not in paths or mode not in (TEXT, BINARY):
            raise IntegrityError(f"info/has_prefix of conda package {filename!r} has the line {line!r:.200}")
        paths[name] = Path(placeholder=placeholder.strip("'\""), mode=mode)
    return paths


def _lines(data: bytes, filename: str) -> list[str]:
    try:
        return [line for line in data.decode().splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise IntegrityError(f"the list of files of conda package {filename!r} is not UTF-8") from None
