"""Colours on a terminal: of the words that begin a line and say how something went."""

import re
from collections.abc import Mapping

from buildrules.typed import TextIO

_STYLES = {
    "error:|Error:|lint error:|FAILED|failed|not run": "1;31",  # bold and red
    "warning:|lint warning:": "33",  # yellow
    "passed": "32",  # green
    " +hint:": "36",  # cyan
}
_CODES = list(_STYLES.values())
_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BEGIN = re.compile(rf"((?:\r|{_CODE.pattern})*)(?:" + "|".join(f"({words})" for words in _STYLES) + r")(?![\w-])")
"""The begin of such a line; where a bar is taken away for it, terminal codes come first."""


def wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `stream` is a terminal that shows colours, and nobody has asked for none (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


def coloured(text: str, *, begun: bool) -> str:
    """`text` with colours; with `begun` its first line has begun before it, unless it goes back to where that began."""
    first, newline, rest = text.partition("\n")
    head = first if begun and not first.startswith("\r") else _line(first)
    return head + newline + "\n".join(map(_line, rest.split("\n")))


def is_begun(text: str, *, begun: bool) -> bool:
    """Whether a line has begun once `text` is written; `begun`: whether one had before. What bars leave is none."""
    _, back, last = _CODE.sub("", text).replace("\r", "\n").rpartition("\n")
    return bool(last) or (begun and not back)


def _line(line: str) -> str:
    match = _BEGIN.match(line)
    if match is None or match.lastindex is None:
        return line
    code = _CODES[match.lastindex - 2]
    return f"{match[1]}\x1b[{code}m{match[match.lastindex]}\x1b[0m{line[match.end() :]}"
