"""The files of an installed wheel, straight from the wheel: its deflate streams are passed on untouched.

Standards (packaging.python.org): "Binary distribution format", sections "Installing a wheel", "File contents" and "The
.data directory"; "Recording installed projects", sections "The RECORD file" and "The INSTALLER file"; "Entry
points specification", section "Use for scripts".
"""

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name

from buildrules.errors import IntegrityError
from buildrules.oci.local import Local
from buildrules.oci.parts.archive import Member, members
from buildrules.oci.parts.entry import Entry
from buildrules.oci.paths import bad_path
from buildrules.oci.reader import Reader
from buildrules.typed import Any

INSTALLER = b"buildrules\n"
_LARGEST = 1 << 20  # bytes of WHEEL and entry_points.txt
_LONGEST_RECORD = 16 << 20  # bytes: ten times PyTorch's

_STRONG = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
_RESERVED = {"pyvenv.cfg", "bin", "lib", "lib64", "include"}
_PYTHON = re.compile(r"bin/python[0-9.]*")
_ENTRY_POINT = re.compile(r"(?P<module>\w+(\.\w+)*)\s*:\s*(?P<attr>\w+(\.\w+)*)\s*(\[.*\])?")
_BAD_SCRIPT = re.compile(r"[\s/\\]")
_SCRIPT = """\
#!{python}
# -*- coding: utf-8 -*-
import sys
from {module} import {root}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({attr}())
"""


def expand(part: dict[str, Any], local: Local) -> Iterator[Entry]:
    """The entries of a "wheel" part, sorted by path.

    Raises IntegrityError for a wheel that breaks the standard or tries to leave its prefix, FileNotFoundError where the
    wheel is not in the store, DamagedError where it is not what its digest says.
    """
    return iter(_Install(part, local.checked(part["digest"])).entries())


def installation(part: Mapping[str, Any], path: str) -> tuple[dict[str, tuple[str, int | str]], str]:
    """What a "wheel" part installs, whose archive is at `path`: path below the prefix -> (hash as in RECORD, size).

    Also gives its METADATA.
    The files that stand in no other wheel, RECORD and INSTALLER, are left out. Raises as `expand`.
    """
    install = _Install(part, path)
    install.entries()
    with Reader() as reader:
        return dict(install.rows), install.metadata(reader)


def script_of(name: str, value: str, python: str) -> bytes | None:
    """The script of an entry point `name = value` for the interpreter `python`; None where they are none."""
    match = _ENTRY_POINT.fullmatch(value.strip())
    if not match or not name or _BAD_SCRIPT.search(name) or not name.isprintable() or bad_path(name):
        return None
    return _SCRIPT.format(
        python=python, module=match["module"], root=match["attr"].split(".")[0], attr=match["attr"]
    ).encode()


class _Install:
    """One wheel on its way below one prefix."""

    def __init__(self, part: Mapping[str, Any], path: str) -> None:
        self.label: str = part["filename"]
        self.project = canonicalize_name(self.label.split("-")[0])
        self.prefix: str = part["prefix"]
        self.library = f"lib/python{part['python']}/site-packages"
        self.headers = f"include/site/python{part['python']}"
        self.python = f"/{self.prefix}/bin/python"
        self.members = {member.name: member for member in members(path, self.label)}
        self.info = self._info()
        self.rows: dict[str, tuple[str, int | str]] = {}
        self.found: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """Everything to install, with a RECORD that says so."""
        with Reader() as reader:
            self._check_metadata(reader)
            hashes = self._recorded(reader)
            scripts = self._entry_points(reader)
            record = f"{self.info}/RECORD"
            for member in self.members.values():
                name = member.name
                if name in (record, f"{record}.jws", f"{record}.p7s", f"{self.info}/INSTALLER"):
                    continue
                if name not in hashes:
                    raise IntegrityError(
                        f"{name!r} in {self.label!r} is not listed with its hash in RECORD",
                        hint="the wheel is broken: ask its authors, or choose another version",
                    )
                place, is_script = self._place(name)
                if is_script:
                    if place.removeprefix("bin/") in scripts:
                        continue  # a wrapper some old build made; the entry point replaces it
                    if member.starts_with(b"#!python", reader):
                        self._add_bytes(place, self._with_shebang(member.read(reader)), 0o755)
                        continue
                mode = 0o755 if is_script or member.executable else 0o644
                self._add(Entry(place, mode=mode, size=member.size, content=member.content), hashes[name])
        for name, text in scripts.items():
            self._add_bytes(f"bin/{name}", text, 0o755)
        self._add_bytes(f"{self.library}/{self.info}/INSTALLER", INSTALLER)
        self._add_record(f"{self.library}/{record}")
        return [self.found[place] for place in sorted(self.found)]

    def _info(self) -> str:
        """The name of the .dist-info directory: the only one, and of the project in the wheel's name."""
        found = {name.split("/")[0] for name in self.members if "/" in name}
        found = {name for name in found if name.endswith(".dist-info")}
        if len(found) != 1:
            raise IntegrityError(f"{self.label!r} must hold one .dist-info directory, not {sorted(found)!r}")
        info = found.pop()
        if canonicalize_name(info.split("-")[0]) != self.project:
            raise IntegrityError(f"{info!r} in {self.label!r} belongs to another project")
        for name in ("METADATA", "WHEEL", "RECORD"):
            if f"{info}/{name}" not in self.members:
                raise IntegrityError(f"{self.label!r} holds no {info}/{name}")
        return info

    def _check_metadata(self, reader: Reader) -> None:
        text = self._text("WHEEL", reader)
        version = re.search(r"^Wheel-Version:\s*(\d+)\.\d+\s*$", text, re.MULTILINE)
        if not version or version[1] != "1":
            found = version[0].strip() if version else "no Wheel-Version"
            raise IntegrityError(f"{self.label!r} is of an unknown version of the wheel format ({found})")
        if not re.search(r"^Root-Is-Purelib:\s*(true|false)\s*$", text, re.MULTILINE | re.IGNORECASE):
            raise IntegrityError(f"WHEEL of {self.label!r} has no Root-Is-Purelib")

    def _recorded(self, reader: Reader) -> dict[str, str]:
        """The hash of each file, `algorithm=base64`, as the wheel's RECORD lists it."""
        data = self.members[f"{self.info}/RECORD"].read(reader, _LONGEST_RECORD)
        text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
        try:
            return self._hashes(csv.reader(text, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise IntegrityError(f"RECORD of {self.label!r} cannot be read: {error}") from None

    def _hashes(self, rows: Iterable[list[str]]) -> dict[str, str]:
        found = {}
        for row in rows:
            if not row:
                continue
            if len(row) != 3:
                shown = f"{row[:3]!r}"[:200]
                raise IntegrityError(f"RECORD of {self.label!r} has a row of {len(row)} columns: {shown}")
            name, digest, _ = row
            algorithm, _, value = digest.partition("=")
            if value:
                if algorithm not in _STRONG:
                    raise IntegrityError(f"RECORD of {self.label!r} uses the hash {algorithm!r} for {name!r}")
                if name in self.members:
                    found[name] = digest
        return found

    def _entry_points(self, reader: Reader) -> dict[str, bytes]:
        """The console and gui scripts, by name."""
        if f"{self.info}/entry_points.txt" not in self.members:
            return {}
        from configparser import Error, RawConfigParser

        parser = RawConfigParser(delimiters=("=",), strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(self._text("entry_points.txt", reader))
        except Error as error:
            raise IntegrityError(f"entry_points.txt of {self.label!r} cannot be read: {error}") from None
        scripts = {}
        for section in ("console_scripts", "gui_scripts"):
            for name, value in parser.items(section) if parser.has_section(section) else ():
                text = script_of(name, value, self.python)
                if text is None:
                    raise IntegrityError(f"entry point {name!r} = {value!r} of {self.label!r} is not a script")
                scripts[name] = text
        return scripts

    def _place(self, name: str) -> tuple[str, bool]:
        """Where below the prefix a member belongs, and whether it is a script."""
        top, _, rest = name.partition("/")
        data = self.info.removesuffix(".dist-info") + ".data"
        if not top.endswith(".data") or canonicalize_name(top) != canonicalize_name(data):
            return f"{self.library}/{name}", False
        scheme, _, rest = rest.partition("/")
        if rest:
            if scheme in ("purelib", "platlib"):
                return f"{self.library}/{rest}", False
            if scheme == "scripts":
                return f"bin/{rest}", True
            if scheme == "headers":
                return f"{self.headers}/{self.project}/{rest}", False
            if scheme == "data":
                return rest, False
        raise IntegrityError(f"{name!r} in {self.label!r} belongs to no known installation scheme")

    def _with_shebang(self, text: bytes) -> bytes:
        _, newline, rest = text.partition(b"\n")
        return b"#!" + self.python.encode() + newline + rest

    def metadata(self, reader: Reader) -> str:
        """The text of METADATA, whatever stands for what is not UTF-8 in it."""
        return self.members[f"{self.info}/METADATA"].read(reader).decode("utf-8-sig", errors="replace")

    def _text(self, name: str, reader: Reader) -> str:
        member: Member = self.members[f"{self.info}/{name}"]
        try:
            return member.read(reader, _LARGEST).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise IntegrityError(f"{member.name!r} in {self.label!r} is not UTF-8") from None

    def _add(self, entry: Entry, digest: str) -> None:
        place = entry.path
        if place in _RESERVED or _PYTHON.fullmatch(place):
            raise IntegrityError(f"{self.label!r} would replace {place!r} of the environment")
        if place in self.found:
            raise IntegrityError(f"two files of {self.label!r} would be installed as {place!r}")
        self.rows[place] = (digest, entry.size)
        entry.path = f"{self.prefix}/{place}"
        self.found[place] = entry

    def _add_bytes(self, place: str, content: bytes, mode: int = 0o644) -> None:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self._add(Entry(place, mode=mode, size=len(content), content=content), f"sha256={digest}")

    def _add_record(self, place: str) -> None:
        here = f"{self.library}/"
        up = "../" * here.count("/")
        rows = {name.removeprefix(here) if name.startswith(here) else up + name: row for name, row in self.rows.items()}
        rows[place.removeprefix(here)] = ("", "")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows((name, *rows[name]) for name in sorted(rows))
        content = text.getvalue().encode()
        self.found[place] = Entry(f"{self.prefix}/{place}", size=len(content), content=content)
