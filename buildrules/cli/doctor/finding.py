"""What was found of one thing that buildrules needs, or can use."""

from typing import NamedTuple

from buildrules.errors import BuildrulesError

GOOD, LACKING, BROKEN = "good", "lacking", "broken"
"""States: as it should be; something cannot be done; what was asked for fails."""


class Finding(NamedTuple):
    """`about` is the thing, `text` what was found; `remedy` is what to do, with a command where there is one."""

    about: str
    state: str
    text: str
    remedy: str = ""


def good(about: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(about, GOOD, text)


def lacking(about: str, text: str, remedy: str) -> Finding:
    """Something cannot be done, and nobody may miss it."""
    return Finding(about, LACKING, text, remedy)


def broken(about: str, text: str, remedy: str) -> Finding:
    """Something that a build needs, or that the workspace asks for, does not work."""
    return Finding(about, BROKEN, text, remedy)


def failed(about: str, error: BuildrulesError) -> Finding:
    """An error as a finding."""
    place = f"{error.position}: " if getattr(error, "position", None) else ""
    return broken(about, f"{place}{error.message}", error.hint or "")
