"""The builds of python-build-standalone, by their file names, and the table of them all that PyPI's pbs-installer is.

Names: github.com/astral-sh/python-build-standalone, docs/running.rst, "Obtaining Distributions". Table:
`versions.json` of pbs-installer (github.com/frostming/pbs-installer), a list of `python_version` and `files` with the
sha256 of each; a release of it follows each of theirs.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from buildrules.authoring.release import STANDALONE
from buildrules.errors import IntegrityError, UsageError

RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"

_FLAVOURS = ("install_only_stripped", "install_only")  # the better first
_NAME = re.compile(
    r"cpython-(?P<version>3\.\d{1,3}\.\d{1,3})\+(?P<build>\d{8})-(?P<machine>x86_64|aarch64)-unknown-linux-gnu"
    r"-(?P<threads>freethreaded-)?(?P<flavour>install_only(?:_stripped)?)\.tar\.gz",
    re.ASCII,
)
_EARLY = re.compile(
    r"cpython-(?P<version>3\.\d{1,3}\.\d{1,3})-(?P<machine>x86_64|aarch64)-unknown-linux-gnu-(?P<threads>freethreaded-)?"
    r"(?P<flavour>install_only)-(?P<build>\d{8})T\d{4}\.tar\.gz",
    re.ASCII,
)
_REQUEST = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(t?)", re.ASCII)
_SUM = re.compile(r"([0-9a-f]{64})[ \t]+[*]?(\S+)", re.ASCII)


class Request(NamedTuple):
    """What a target asks for: a minor version, and one patch of it or (None) the newest."""

    minor: tuple[int, int]
    patch: int | None
    free_threaded: bool


class Build(NamedTuple):
    """One file. `machine` is as the kernel names it, `sha256` hex digits or None where nobody says."""

    version: tuple[int, int, int]
    free_threaded: bool
    machine: str
    build: str
    flavour: str
    filename: str
    sha256: str | None

    @property
    def python(self) -> str:
        """Like "3.12.15", or "3.13.17t" where it is free-threaded."""
        return ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")

    @property
    def rank(self) -> tuple[tuple[int, int, int], str, int]:
        """The greater, the better."""
        return self.version, self.build, -_FLAVOURS.index(self.flavour)

    def fits(self, request: Request) -> bool:
        """Whether it is what is asked for."""
        same = self.version[:2] == request.minor and self.free_threaded == request.free_threaded
        return same and request.patch in (None, self.version[2])


def read_request(text: str) -> Request:
    """What a `version` asks for. Raises UsageError."""
    found = _REQUEST.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r:.100} is not a version of Python",
            hint="write it as '3.12', '3.12.15', or '3.13t' (the free-threaded build)",
        )
    major, minor, patch = int(found[1]), int(found[2]), found[3]
    if [major, minor] < [*map(int, STANDALONE[0].split("."))]:
        raise UsageError(
            f"Python {text} is too old: {STANDALONE[0]} is the oldest",
            hint="take an image that has it as an oci_base, or a newer Python",
        )
    return Request((major, minor), int(patch) if patch else None, bool(found[4]))


def named(filename: str, sha256: str | None = None) -> Build | None:
    """The build that a file name stands for; None for what is not one for Linux with glibc."""
    found = _NAME.fullmatch(filename) or _EARLY.fullmatch(filename)
    if found is None:
        return None
    major, minor, patch = map(int, found["version"].split("."))
    return Build(
        (major, minor, patch),
        found["threads"] is not None,
        found["machine"],
        found["build"],
        found["flavour"],
        filename,
        sha256,
    )


def address_of(build: str, filename: str, mirror: str | None = None) -> str:
    """Where a file is: in the release of its build, or beside all others at the address `mirror`."""
    return f"{mirror.rstrip('/') if mirror else f'{RELEASES}/{build}'}/{quote(filename)}"


def table() -> list[Build]:
    """All builds for Linux that pbs-installer knows."""
    import json
    from importlib.resources import files

    rows = json.loads(files("pbs_installer").joinpath("versions.json").read_text("utf-8"))
    found = []
    for row in rows:
        if row["python_version"]["implementation"] == "cpython":
            builds = (named(file["filename"], file["sha256"]) for file in row["files"] if file["install_only"])
            found += [build for build in builds if build is not None]
    return found


def sums(text: str, what: str, known: Iterable[Build]) -> list[Build]:
    """The builds that a SHA256SUMS lists. Raises IntegrityError where it is something else, such as a page, and where
    it contradicts what is `known` of a file.
    """
    digests = {one.filename: one.sha256 for one in known if one.sha256 is not None}
    found = []
    matches = [_SUM.fullmatch(line.strip()) for line in text.splitlines()]
    if text.strip() and not any(matches):
        raise IntegrityError(
            f"{what} is no list of SHA-256 and names",
            hint="check workspace.python.mirror, and what it answers there: it may be a page to log in",
        )
    for match in matches:
        build = named(match[2], match[1]) if match is not None else None
        if build is None:
            continue
        if digests.get(build.filename, build.sha256) != build.sha256:
            raise IntegrityError(
                f"{what} has another digest for {build.filename!r} than python-build-standalone published",
                hint="the mirror is broken or not to be trusted; a build of your own needs a name (or date) of its own",
            )
        found.append(build)
    return found
