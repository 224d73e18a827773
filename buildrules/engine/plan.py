"""A plan: actions and what was asked for. Plain data, so that a state can keep it between runs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildrules.engine.action import NOTHING, Action, SourceSet
from buildrules.oci.supply import NOWHERE


class Goal(NamedTuple):
    """One thing asked for: a target on a platform and the action that makes it."""

    label: str
    platform: str
    action: str
    kind: str  # "image", "index" of images, "group" of the layers of other actions, or "layers" of its own
    info: Mapping[str, Any] = NOTHING  # routes, sample request, tag: what run and load need


class Plan:
    """Actions by id, and goals. Dependencies are always in the plan."""

    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}
        self.goals: list[Goal] = []
        self.lints: dict[str, str] = {}  # id of an action that looks for mistakes -> the package's label
        self.connections: list[dict[str, Any]] = []  # rows for `credentials.connections.use`: references, no secrets

    def add(self, action: Action) -> str:
        """Add an action unless an equal one is there; returns its id."""
        present = self.actions.setdefault(action.id, action)
        if present is not action and bare(present) != bare(action):
            raise AssertionError(f"two different actions are named {action.id!r}")
        return action.id

    def needed(self) -> list[str]:
        """The ids of the actions the goals need, dependencies first."""
        return self._order([goal.action for goal in self.goals])

    def everything(self) -> list[str]:
        """The same, and the lints: nothing depends on these, and no goal fails by them."""
        return self._order([*(goal.action for goal in self.goals), *self.lints])

    def _order(self, names: Sequence[str]) -> list[str]:
        order: dict[str, None] = {}
        visiting: list[tuple[str, bool]] = [(name, False) for name in reversed(names)]
        while visiting:
            name, done = visiting.pop()
            if done:
                order.setdefault(name)
            elif name not in order:
                visiting.append((name, True))
                visiting.extend((dep, False) for dep in reversed(self.actions[name].deps) if dep not in order)
        return list(order)


def bare(action: Action) -> Action:
    """An action without what changes nothing that is made: what two of one id must agree in."""
    return action._replace(target="", weight=0, places=NOWHERE)


def plain(value: Any) -> Any:
    """Named tuples as tuples and mappings as dicts, all the way down: what marshal takes."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return dict(value) if isinstance(value, Mapping) else value


def action_of(row: Sequence[Any]) -> Action:
    """The action that `plain` made a row of."""
    action = Action(*row)
    return action._replace(sources=tuple(SourceSet(*item) for item in action.sources))
