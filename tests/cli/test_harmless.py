"""What others wrote does not reach the terminal as commands."""

import io

from buildrules.cli.console import Console
from buildrules.cli.report import error_text
from buildrules.engine.events import Notice
from buildrules.errors import BuildrulesError, Position

EVIL = "a\x1b]0;owned\x07\x9b2J\u202eb"
SHOWN = "a\\x1b]0;owned\\x07\\x9b2J\\u202eb"


def test_errors() -> None:
    error = BuildrulesError(EVIL, hint=EVIL, log=f"{EVIL}\n\ttab", position=Position(EVIL, 1, 2, EVIL))
    text = error_text(error)
    assert text.splitlines() == [
        f"error: {SHOWN}:1:2: {SHOWN}",
        f"    {SHOWN}",
        f"    {SHOWN}",
        "    \ttab",
        f"  hint: {SHOWN}",
    ]


def test_notices() -> None:
    stream = io.StringIO()
    Console(stream)(Notice(f"locked {EVIL}\nmore"))
    assert stream.getvalue() == f"locked {SHOWN}\nmore\n"
