"""The text of a file a user wrote, to point into."""

import re

from buildrules.credentials.secret_names import IN_QUERY, IN_YAML
from buildrules.errors import Position

_WIDTH = 150
_MASKED = 2000  # characters on each side of the place that are looked at; what is shown is less
# A password may hold an unescaped slash, so all up to the last @ is covered, but behind what is a host and a path.
_USERINFO = re.compile(r"""(?<=://)(?:(?![\w.-]+(?::\d+)?/)[^\s"'<>]+(?=@(?!sha256:))|[^/\s@]+(?=@))""")
_QUERY = re.compile(rf"""(?i)(?<=[?&#;])([\w.-]*{IN_QUERY})([^\s&"'<>]+)""")
_SECRET = re.compile(rf"""(?i)(?<![\w-])(?:[\w-]{{0,60}}(?:{"|".join(IN_YAML)}))["']?\s*:\s*(?P<value>[^\s{{#].*)""")


class Source:
    """A file's workspace-relative path and text. Makes positions with an excerpt and a caret under the place.

    With `made` the text was made from the file, and its lines are none of the file's: positions name the file alone.
    A text that is repeated for a `folder` has positions that name it.
    """

    __slots__ = ("_lines", "folder", "made", "path", "selects", "text")

    def __init__(self, path: str, text: str, *, made: bool = False, folder: str = "") -> None:
        self.made = made
        self.folder = folder
        self.path = path
        self.text = text
        self.selects = "select" in text  # whether a value may have to be chosen
        self._lines: list[str] | None = None

    def position(self, line: int, column: int, width: int = 1) -> Position:
        """The place at `line` and `column`, counted from 1; `width` characters of it are underlined."""
        if self.made:
            return Position(self.path, 0, 0)
        folders = (self.folder,) if self.folder else ()
        return Position(self.path, line, column, lambda: self._excerpt(line, column, width), folders)

    def for_folder(self, folder: str) -> "Source":
        """The same text, as it stands for one folder."""
        return Source(self.path, self.text, made=self.made, folder=folder)

    @property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        if self._lines is None:
            self._lines = self.text.splitlines()
        return self._lines

    def _excerpt(self, line: int, column: int, width: int) -> str:
        if not 1 <= line <= len(self.lines):
            return ""
        start = column - 1
        whole = self.lines[line - 1]
        left = max(start - _MASKED, 0)
        text = whole[:left] + _mask(whole[left : max(start, 0) + _MASKED])
        shown, cut = (text, 0) if start < _WIDTH - 30 else ("..." + text[start - 40 :], start - 43)
        if len(shown) > _WIDTH:
            shown = shown[: _WIDTH - 3] + "..."
        lead = "".join(char if char == "\t" else " " for char in shown[: start - cut])
        caret = "^" * max(1, min(width, len(shown) - len(lead)))
        gutter = f"{line:>5}"
        return f"{gutter} | {shown}\n{' ' * len(gutter)} | {lead}{caret}"


def _mask(line: str) -> str:
    """Cover what may be a credential: an excerpt ends up in logs."""
    if "://" in line:
        line = _USERINFO.sub(lambda match: "*" * len(match[0]), line) if "@" in line else line
        line = _QUERY.sub(lambda match: match[1] + "*" * len(match[2]), line)
    found = _SECRET.search(line)
    if found:
        start, end = found.span("value")
        line = line[:start] + "*" * (end - start) + line[end:]
    return line
