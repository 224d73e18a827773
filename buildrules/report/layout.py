"""Where targets stand in a drawing of what needs what: in columns, near to what they are tied to."""

from collections.abc import Iterable, Sequence

_SWEEPS = 4


def heights(needs: Sequence[Iterable[int]]) -> list[int]:
    """The length of the longest way down from each node; `needs` are nodes by number. There must be no cycles."""
    found: list[int | None] = [None] * len(needs)
    for start in range(len(needs)):
        stack = [start]
        while stack:
            node = stack[-1]
            waiting = [other for other in needs[node] if found[other] is None]
            if waiting and found[node] is None:
                stack += waiting
            else:
                stack.pop()
                found[node] = 1 + max((found[other] or 0 for other in needs[node]), default=-1)
    return [height or 0 for height in found]


def orders(needs: Sequence[Iterable[int]], height: Sequence[int]) -> list[int]:
    """The place of each node among those of its height, so that few lines cross: each goes where those that it is tied
    to are on average, a few times over (Sugiyama's barycentre method)."""
    ties: list[list[int]] = [list(row) for row in needs]
    for node, row in enumerate(needs):
        for other in row:
            ties[other].append(node)
    columns: dict[int, list[int]] = {}
    for node, at in enumerate(height):
        columns.setdefault(at, []).append(node)
    place = [0.0] * len(ties)  # from 0 to 1, for columns are not of one length
    order = [0] * len(ties)

    def settle(column: list[int]) -> None:
        for at, node in enumerate(column):
            order[node], place[node] = at, (at + 0.5) / len(column)

    for column in columns.values():
        settle(column)
    for sweep in range(_SWEEPS):
        for at in sorted(columns, reverse=sweep % 2 == 0):
            column = columns[at]
            wanted = {
                node: sum(place[tie] for tie in ties[node]) / len(ties[node]) if ties[node] else place[node]
                for node in column
            }
            column.sort(key=lambda node: (wanted[node], order[node]))
            settle(column)
    return order
