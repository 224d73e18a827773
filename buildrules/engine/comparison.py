"""Says of the steps of a plan whether the shared cache has them, and how those it lacks differ from what it has."""

from collections.abc import Iterator

from buildrules.engine.action import Action
from buildrules.engine.borrowed import Nearest
from buildrules.engine.build import Build
from buildrules.engine.cache import Record
from buildrules.engine.changes import Names, differences
from buildrules.typed import NamedTuple, Protocol


class Others(Protocol):
    """What others made, see `engine.borrowed.Borrowed`."""

    def get(self, key: str) -> Record | None:
        """See `Cache.get`."""

    def nearest(self, target: str, title: str) -> Nearest | None:
        """What was last made for a step of a target."""


class Compared(NamedTuple):
    """One step: whether the cache has it; where not, what it has that is nearest, and what differs (theirs, mine)."""

    action: Action
    cached: bool = False
    shared: bool = True  # False where it depends on programs of this host, and is nobody else's
    waits: bool = False  # what it needs was not built here, and is not in the cache: its key is not known
    nearest: Nearest | None = None
    differs: tuple[str, ...] = ()


def compare(build: Build, others: Others) -> Iterator[Compared]:
    """Each step that the goals of a build need, dependencies first; none is run. Raises what reading sources raises."""
    for name in build.plan.needed():
        action = build.plan.actions[name]
        if any(dep not in build.outcomes for dep in action.deps):
            yield Compared(action, waits=True)
            continue
        look = build.look(action)
        outcome = build.outcomes.get(name) or build.found(action, look)
        if outcome is not None:
            build.outcomes[name] = outcome
        if not build.kinds.named(action.kind).traits.shareable:
            yield Compared(action, shared=False)
            continue
        if others.get(look.key) is not None:
            yield Compared(action, cached=True)
            continue
        nearest = others.nearest(action.target, action.title)
        lines: list[str] = []
        if nearest is not None:
            titles = [build.plan.actions[dep].title for dep in action.deps]
            names = Names(build.kinds.told(action.kind), titles)
            lines = differences(action, dict(nearest.sees), look.listing.sees, names)
        yield Compared(action, nearest=nearest, differs=tuple(lines))
