"""The Pythons there are: how long they are looked after, and who has them: the Debian releases that a `debian_base`
knows, and `python_standalone`."""

import re
from datetime import date
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


ENDS = {
    "3.7": date(2023, 6, 27),
    "3.8": date(2024, 10, 7),
    "3.9": date(2025, 10, 31),
    "3.10": date(2026, 10, 31),
    "3.11": date(2027, 10, 31),
    "3.12": date(2028, 10, 31),
    "3.13": date(2029, 10, 31),
    "3.14": date(2030, 10, 31),
    "3.15": date(2031, 10, 31),
}
"""By minor version: the day after which there are no fixes any more, not even of holes. Where only a month is known, it
is the month's last day. Source: devguide.python.org/versions ("Status of Python versions", column "End of life")."""

STANDALONE = tuple(ENDS)[1:]
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


def ended(minor: str, today: date) -> str | None:
    """What to tell whoever locks packages for the Python `minor` ("3.8") on the day `today`; None while it lives."""
    end = ENDS.get(minor)
    if end is None or today <= end:
        return None
    alive = next((other for other, until in ENDS.items() if today <= until), None)
    newer = f"; {alive} is the oldest that has" if alive is not None else ""
    return f"Python {minor} has had no fixes, not even of security holes, since {end:%B %Y}{newer}"
