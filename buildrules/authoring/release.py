"""The Debian releases that a `debian_base` knows, by their Python."""

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


def release_for(specifier: str) -> DebianRelease | None:
    """The first release whose Python fits a specifier (PEP 440). Raises ValueError for what is none."""
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)
    return next((release for release in RELEASES if wanted.contains(release.python)), None)
