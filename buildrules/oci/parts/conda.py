"""The files of a conda package as installed in a prefix, straight from the package.

Formats: see `conda_package`; how they are installed: docs.conda.io, "Package specification", "Link and unlink scripts",
and CEP "noarch: python". The build's prefix is replaced as conda does: in texts anywhere, in binaries within strings
that end with a NUL, which keep their length. Scripts of packages are never run, and bytecode is not made here.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.conda_package import BINARY, Package, Path, contents, read_package
from buildrules.oci.parts.entry import DIRECTORY, FILE, SYMLINK, Chunks, Entry
from buildrules.oci.parts.tarred import Member
from buildrules.oci.parts.wheel import script_of
from buildrules.oci.paths import bad_link, bad_path

_LARGEST_TEXT = 256 << 20  # bytes of a text that holds the prefix
_LARGEST_STRING = 1 << 20  # bytes of a string in a binary
_CHUNK = 1 << 20


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The entries of a "conda" part in the order of its archive, those that are made last. `drop` are paths below the
    prefix that another package brings.

    Raises IntegrityError for a package that is malformed, holds what it does not list, lacks what it lists, or leaves
    the prefix; FileNotFoundError where it is not in the store, DamagedError where it is not what its digest says.
    """
    path, filename, prefix = local.checked(part["digest"]), part["filename"], part["prefix"]
    package = read_package(path, filename)
    drop, python = frozenset(part["drop"]), part["python"]
    made = {place: text for place, text in _made(package, python, prefix, filename).items() if place not in drop}
    laid: set[str] = set()
    lacking = dict.fromkeys(name for name in package.paths if not name.startswith("info/"))
    for member in contents(path, filename):
        name, listed = member.path, package.paths.get(member.path)
        place = placed(package, name, python)
        lacking.pop(name, None)
        if member.kind == DIRECTORY:
            if listed is not None and listed.directory:
                yield Entry(f"{prefix}/{place}", DIRECTORY, 0o755)
            continue
        if listed is None:
            raise IntegrityError(f"{name!r} in conda package {filename!r} is not listed in its info/paths.json")
        if place in laid:
            raise IntegrityError(f"two files of conda package {filename!r} would be installed as {place!r}")
        laid.add(place)
        if place not in drop and place not in made:
            yield _entry(package, place, member, listed, part)
    for name in lacking:
        if not package.paths[name].directory and placed(package, name, python) not in made:
            raise IntegrityError(f"conda package {filename!r} lists {name!r}, and does not hold it")
    for place, text in made.items():
        mode = 0o755 if place.startswith("bin/") else 0o644
        yield Entry(f"{prefix}/{place}", FILE, mode, size=len(text), content=text)


def _entry(package: Package, place: str, member: Member, listed: Path, part: dict[str, Any]) -> Entry:
    prefix, filename = part["prefix"], part["filename"]
    entry = Entry(f"{prefix}/{place}", member.kind, 0o755 if member.mode & 0o111 else 0o644)
    if member.kind == FILE:
        _fill(entry, member, listed, prefix, filename)
    elif member.kind == SYMLINK:
        entry.mode, entry.link = 0o777, _target(place, member.link, listed, prefix, filename)
    elif member.link not in package.paths:
        raise IntegrityError(f"{place!r} in conda package {filename!r} is a link to {member.link!r}, outside of it")
    else:
        entry.link = f"{prefix}/{placed(package, member.link, part['python'])}"
    return entry


def placed(package: Package, name: str, python: str) -> str:
    """Where below the prefix a file of a package goes, for a Python like "3.11"."""
    if package.python:
        top, _, rest = name.partition("/")
        if top == "site-packages" and rest:
            return f"lib/python{python}/site-packages/{rest}"
        if top == "python-scripts" and rest:
            return f"bin/{rest}"
    return name


def installed(package: Package, python: str) -> dict[str, str]:
    """What a package brings: path below the prefix -> SHA-256 (hex; "" if unknown) as it lies in the package."""
    found = {placed(package, name, python): path.sha256 for name, path in package.paths.items() if not path.directory}
    return found | dict.fromkeys((f"bin/{point.partition('=')[0].strip()}" for point in package.entry_points), "")


def _made(package: Package, python: str, prefix: str, filename: str) -> dict[str, bytes]:
    """What is made for a package: its scripts, and the record that tells other tools it is there."""
    if package.python and not python:
        raise IntegrityError(f"conda package {filename!r} is Python's, and there is none")
    found: dict[str, bytes] = {}
    for point in package.entry_points:
        name, _, value = point.partition("=")
        text = script_of(name.strip(), value, f"/{prefix}/bin/python{python}")
        if text is None:
            raise IntegrityError(f"entry point {point!r} of conda package {filename!r} is not a script")
        found[f"bin/{name.strip()}"] = text
    files = sorted(installed(package, python))
    record = {**package.index, "files": files, "fn": filename}
    text = json.dumps(record, indent=1, sort_keys=True).encode()
    record_path = f"conda-meta/{package.name}-{package.version}-{package.build}.json"
    if problem := bad_path(record_path):
        raise IntegrityError(f"name {package.name!r} of conda package {filename!r} {problem}")
    return {**found, record_path: text}


def _fill(entry: Entry, member: Member, listed: Path, prefix: str, filename: str) -> None:
    entry.size = size = member.size
    if not listed.placeholder:
        content = member.content
        bytecode = isinstance(content, bytes) and entry.path.endswith(".pyc")
        entry.content = unchecked(content) if bytecode and isinstance(content, bytes) else content
        return
    old, new = listed.placeholder.encode(), f"/{prefix}".encode()
    if listed.mode == BINARY:
        if len(new) > len(old):
            raise IntegrityError(f"the prefix /{prefix} is too long for {entry.path!r} of conda package {filename!r}")
        entry.content = Chunks(lambda: in_binary(lambda: member.read(_CHUNK), old, new))
        return
    if size > _LARGEST_TEXT:
        raise IntegrityError(f"text {entry.path!r} of conda package {filename!r} has {size} bytes")
    entry.content = member.read().replace(old, new)
    entry.size = len(entry.content)


def unchecked(bytecode: bytes) -> bytes:
    """Bytecode that is believed (PEP 552): else Python would compare the time of its source, which is 0 in a layer."""
    if bytecode[4:8] != bytes(4) or len(bytecode) < 16:
        return bytecode
    return bytecode[:4] + b"\1" + bytes(11) + bytecode[16:]


def in_binary(read: Callable[[], bytes], old: bytes, new: bytes) -> Iterator[bytes]:
    """The chunks of `read` with `old` replaced by the shorter `new` in strings up to their NUL, of unchanged length.

    A string without a NUL stays as it is. Raises IntegrityError for one that is longer than any.
    """
    data, more = b"", True
    while more:
        chunk = read()
        more = bool(chunk)
        data += chunk
        start = data.find(old)
        while start >= 0:
            end = data.find(b"\0", start)
            if end < 0:
                break
            string = data[start:end].replace(old, new)
            yield data[:start] + string + bytes(end - start - len(string))
            data = data[end:]
            start = data.find(old)
        if start >= 0:  # its end is still to come
            if len(data) - start > _LARGEST_STRING and more:
                raise IntegrityError("a string with the prefix of a conda package does not end")
            continue
        keep = len(old) - 1 if more else 0
        yield data[: len(data) - keep] if keep < len(data) else b""
        data = data[len(data) - keep :] if keep < len(data) else data
    yield data


def _target(place: str, target: str, listed: Path, prefix: str, filename: str) -> str:
    """Where a link leads, within the prefix."""
    if listed.placeholder and target.startswith(f"{listed.placeholder}/"):
        target = f"/{prefix}{target.removeprefix(listed.placeholder)}"
    inside = target.removeprefix(f"/{prefix}/")
    problem = "is absolute" if inside.startswith("/") else bad_link(place if inside == target else "x", inside)
    if problem:
        problem = "leaves the prefix" if problem == "leaves the root" else problem
        raise IntegrityError(f"'{place} -> {target}' in conda package {filename!r} {problem}")
    return target
