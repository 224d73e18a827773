"""Aliases of a YAML text, where they are taken: each is expanded at its place, within a bound."""

from collections.abc import Iterator
from typing import Any

from buildrules.document.source import Source
from buildrules.errors import LoadError, Position

__all__ = ["MOST", "Aliases"]

MOST = 10_000
"""Values that all aliases of a file may stand for: more is an attack, or a file nobody can have meant."""


class Aliases:
    """Where the aliases of a file stand, and what they have been expanded to so far.

    The composer gives the node of an anchor a second time; the places of aliases are only in the events.
    """

    def __init__(self, source: Source, loader: Any) -> None:
        self._source = source
        self._marks = self._places(loader)
        self._count = 0
        self.place: tuple[int, int, int] | None = None

    def _places(self, loader: Any) -> Iterator[tuple[int, int, int]]:
        import yaml

        for event in yaml.parse(self._source.text, loader):
            if isinstance(event, yaml.AliasEvent):
                mark: Any = event.start_mark
                yield mark.line + 1, mark.column + 1, len(event.anchor or "") + 1

    def enter(self) -> bool:
        """The next alias of the file is expanded from now on; False within another one, whose place counts."""
        if self.place is not None:
            return False
        self.place = next(self._marks, (1, 1, 1))
        return True

    def leave(self) -> None:
        """The alias is expanded."""
        self.place = None

    def count(self) -> int:
        """Count one value more; how many there are now."""
        self._count += 1
        return self._count

    def error(self, message: str, hint: str) -> LoadError:
        """An error at the alias that is being expanded."""
        return LoadError(message, hint=hint, position=self._position())

    def _position(self) -> Position:
        return self._source.position(*(self.place or (1, 1, 1)))
