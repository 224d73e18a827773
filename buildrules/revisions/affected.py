"""Which goals a change touches: those that are made of something else than before. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from buildrules.engine.plan import Plan
from buildrules.revisions.shape import Shape
from buildrules.typed import NamedTuple


class Made(NamedTuple):
    """What a workspace makes, on one side of a change."""

    plan: Plan
    shapes: dict[str, Shape]  # by id of an action

    def goals(self) -> dict[tuple[str, str], str]:
        """The actions of its goals, by label and platform."""
        return {(goal.label, goal.platform): goal.action for goal in self.plan.goals if goal.action in self.shapes}


def affected(before: Made, after: Made) -> list[str]:
    """The labels of the goals that are new or made of something else, sorted."""
    was = before.goals()
    found = {
        label
        for (label, platform), action in after.goals().items()
        if (old := was.get((label, platform))) is None or before.shapes[old].key != after.shapes[action].key
    }
    return sorted(found, key=lambda label: label[2:].split(":"))


def changed_actions(before: Made, after: Made, label: str) -> Iterator[tuple[str, str | None]]:
    """The actions below a goal that see something else themselves, dependencies first; with what stood in their place.

    What is new stands in nobody's place.
    """
    was = {before.shapes[name].key for name in before.shapes}
    wanted = [action for (goal, _), action in after.goals().items() if goal == label]
    for name in after.plan.graph.order(wanted, "action"):
        shape = after.shapes.get(name)
        if shape is None or shape.key in was:
            continue
        old = before.shapes.get(name)
        if old is None or _own(old) != _own(shape):
            yield name, None if old is None else name


def _own(shape: Shape) -> dict[str, str]:
    """What an action sees besides that what is below is made of something else."""
    return {name: "" if name.endswith('.made of"') else value for name, value in shape.sees.items()}


def shards(labels: Sequence[str], count: int, seconds: Mapping[str, float]) -> list[list[str]]:
    """The labels in `count` parts that take about as long as each other: the longest first, each to the least of them.

    Where nothing is known of one, it takes as long as the others do on average. Some parts may be empty.
    """
    known = [seconds[label] for label in labels if label in seconds]
    usual = sum(known) / len(known) if known else 1.0
    found: list[tuple[float, int, list[str]]] = [(0.0, number, []) for number in range(count)]
    for label in sorted(labels, key=lambda label: (-seconds.get(label, usual), label)):
        total, number, part = min(found)
        found[number] = (total + seconds.get(label, usual), number, [*part, label])
    return [sorted(part) for _, _, part in found]
