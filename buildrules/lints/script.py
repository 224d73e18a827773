"""Scripts in Python, parsed and never run."""

import threading

from buildrules.lints.finding import Finding
from buildrules.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ast

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `parsed` raises for what this Python cannot parse."""

_TURN = threading.Lock()  # CPython 3.11 counts the depth of all trees that are made at a time as one, and then gives up


def parsed(text: bytes) -> "ast.Module":
    """The tree of a script; what the parser warns of is nobody's matter here."""
    import ast
    import warnings

    with _TURN, warnings.catch_warnings(action="ignore"):  # which is for one thread at a time as well
        return ast.parse(text)


class Mistake(NamedTuple):
    """Why a script is no Python, and where."""

    reason: str
    line: int
    column: int


def mistake_of(error: Exception, python: str | None) -> Mistake | None:
    """What `parsed` found wrong, if it is wrong in `python` ("3.11"; None where it is not known) as well.

    A Python here that is older than that one does not know.
    """
    import re
    import sys

    numbers = re.match(r"(\d+)\.(\d+)", python or "")
    if numbers is None or (int(numbers[1]), int(numbers[2])) > sys.version_info[:2]:
        return None
    if isinstance(error, SyntaxError):
        return Mistake(error.msg, max(error.lineno or 1, 1), max(error.offset or 1, 1))
    return Mistake(str(error), 1, 1) if isinstance(error, ValueError) else None


def not_python(mistake: Mistake, path: str, python: str, severity: str) -> Finding:
    """The finding about a file of the code with a mistake."""
    message = f"this is not Python {python}: {mistake.reason}"
    return Finding("syntax", severity, message, path, mistake.line, mistake.column, "importing it fails")
