"""The targets of a workspace as plain rows, which are kept between commands and read in one piece.

Of all that a query may ask: who needs whom by numbers, and details that few queries read, in a piece of their own.
"""

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any


class Targets:
    """Targets by number, sorted by label; those that nobody wrote (`implicit`) stand at the end.

    `needs` has the numbers of those that each names. `details` are read when they are asked for: see `detail`.
    """

    __slots__ = ("_details", "_needed_by", "_read", "implicit", "labels", "needs", "rules")

    def __init__(
        self,
        labels: "Sequence[str]",
        rules: "Sequence[str]",
        needs: "Sequence[Sequence[int]]",
        implicit: int,
        details: "Callable[[], bytes]",
    ) -> None:
        self.labels = labels
        self.rules = rules
        self.needs = needs
        self.implicit = implicit  # how many there are
        self._read = details
        self._details: Sequence[tuple[Any, ...]] | None = None
        self._needed_by: list[list[int]] | None = None

    @property
    def written(self) -> range:
        """The numbers of those that stand in a BUILD.yaml."""
        return range(len(self.labels) - self.implicit)

    @property
    def needed_by(self) -> "list[list[int]]":
        """The numbers of those that name each."""
        if self._needed_by is None:
            self._needed_by = [[] for _ in self.labels]
            for number, needs in enumerate(self.needs):
                for other in needs:
                    self._needed_by[other].append(number)
        return self._needed_by

    def detail(self, number: int) -> "tuple[str, str, str, dict[str, Any], dict[str, Any], list[str]]":
        """(what it provides, its file, its place there, values of its attributes, those that were written as they were,
        by which attribute it names each of `needs`); all in JSON types.
        """
        if self._details is None:
            self._details = marshal.loads(self._read())  # noqa: S302 - made here, and checked
        provides, path, place, values, written, by = self._details[number]
        return provides, path, place, values, written, by

    def package(self, number: int) -> str:
        """The label of the package that a test is of; of whatever is no test its own."""
        provides, _, _, values, _, _ = self.detail(number)
        return str(values["package"]) if provides == "test" else self.labels[number]

    def core(self) -> bytes:
        """What is kept, without the details."""
        return marshal.dumps((list(self.labels), list(self.rules), [tuple(one) for one in self.needs], self.implicit))

    @classmethod
    def kept(cls, core: bytes, details: "Callable[[], bytes]") -> "Targets":
        """What `core` was made of."""
        labels, rules, needs, implicit = marshal.loads(core)  # noqa: S302 - the same
        return cls(labels, rules, needs, implicit, details)

    def reach(self, start: "Iterable[int]", edges: "Sequence[Sequence[int]]", depth: int | None = None) -> set[int]:
        """These, and all that `edges` lead to from them in at most `depth` steps."""
        found = set(start)
        fresh = list(found)
        while fresh and (depth is None or depth > 0):
            following = []
            for number in fresh:
                for other in edges[number]:
                    if other not in found:
                        found.add(other)
                        following.append(other)
            fresh = following
            depth = None if depth is None else depth - 1
        return found
