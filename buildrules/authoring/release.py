"""The Pythons there are: those of the Debian releases that a `debian_base` knows, and of `python_standalone`."""

import re
from typing import NamedTuple


class DebianRelease(NamedTuple):
    """A release: its Python, the name of its suite, and its number as people say it."""

    python: str
    suite: str
    name: str

    @property
    def minor(self) -> str:
        """The Python without its patch release: 3.11."""
        return self.python.rpartition(".")[0]

    @property
    def words(self) -> str:
        """What it is, in words."""
        return f"{self.name}, Python {self.minor}"


RELEASES = (DebianRelease("3.11.2", "bookworm", "Debian 12"), DebianRelease("3.13.5", "trixie", "Debian 13"))
"""The usual one first."""


STANDALONE = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
"""The minor versions that a `python_standalone` can be, the oldest first."""


def python_for(specifier: str, suite: str | None = None) -> DebianRelease | str | None:
    """Where a Python that fits a specifier (PEP 440) comes from: the usual release, another one, or the newest minor
    version of a `python_standalone`; None where there is none. `suite` is the usual release's, if somebody says so.

    A specifier of one patch release (==3.12.1) asks for its minor version: only the newest patch has all fixes. Raises
    ValueError for what is no specifier.
    """
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)

    def fits(minor: str) -> bool:
        return any(wanted.contains(f"{minor}.{patch}") for patch in range(64))

    releases = sorted(RELEASES, key=lambda release: release.suite != suite)
    found = next((release for release in releases if fits(release.minor)), None)
    return found or next((minor for minor in reversed(STANDALONE) if fits(minor)), None)


def minor_of_patch(specifier: str) -> str | None:
    """The minor version of a specifier that asks for one patch release: "3.11" of "==3.11.9"."""
    found = re.fullmatch(r"={2,3} *(\d+\.\d+)\.\d+(\.\*)?", specifier)
    return found[1] if found is not None else None
