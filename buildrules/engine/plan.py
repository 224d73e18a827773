"""A plan: actions and what was asked for. Plain data, so that a state can keep it between runs."""

from collections.abc import Collection, Mapping, Sequence

from buildrules.engine.action import NOTHING, Action, SourceSet
from buildrules.graph.model import ACTION, LAYER, Graph, Laid
from buildrules.oci.supply import NOWHERE
from buildrules.typed import Any, NamedTuple


class Goal(NamedTuple):
    """One thing asked for: a target on a platform and the action that makes it."""

    label: str
    platform: str
    action: str
    kind: str  # "image", "index" of images, "group" of other actions' layers, "layers" of its own, "test", "untested"
    info: Mapping[str, Any] = NOTHING  # routes, sample request, tag: what run and load need


class Side(NamedTuple):
    """What an action beside the goals is for, and the label of the package it is about."""

    role: str  # LINT; there may be others
    label: str


LINT = "lint"
"""The role of actions that look for what is likely wrong."""


class Plan:
    """Actions by id, and goals. Dependencies are always in the plan; `graph` has what needs what."""

    def __init__(self, graph: Graph | None = None) -> None:
        self.graph = Graph() if graph is None else graph  # to which the actions are added
        self.actions: dict[str, Action] = {}
        self.goals: list[Goal] = []
        self.sides: dict[str, Side] = {}  # by id of an action that nothing depends on
        self.connections: list[dict[str, Any]] = []  # rows for `credentials.connections.use`: references, no secrets
        self.notes: list[str] = []  # what people should know of how it was planned
        self.cache: dict[str, Any] = {}  # settings of the shared cache: plain data, references, no secrets
        self.executor: dict[str, Any] = {}  # and those of the machines that steps are run on

    def narrow(self, sides: Collection[str], *, goals: bool = True) -> None:
        """Drop what is made beside the goals, except what has one of the roles `sides`; and the goals if not wanted."""
        self.sides = {name: side for name, side in self.sides.items() if side.role in sides}
        if not goals:
            self.goals = []

    def add(self, action: Action) -> str:
        """Add an action unless an equal one is there; returns its id."""
        present = self.actions.setdefault(action.id, action)
        if present is action:
            self._connect(action)
        elif bare(present) != bare(action):
            raise AssertionError(f"two different actions are named {action.id!r}")
        return action.id

    def _connect(self, action: Action) -> None:
        """An action needs those before it; what has a role is laid as layers of its own."""
        if not action.roles:
            self.graph.add(action.id, ACTION, dict.fromkeys(action.deps, ""))
            return
        laid = {Laid(dep): role for dep, role in zip(action.deps, action.roles, strict=True)}
        self.graph.add(action.id, ACTION, laid)
        for node in laid:
            if node not in self.graph:
                self.graph.add(node, LAYER, {node.action: ""})

    def needed(self) -> list[str]:
        """The ids of the actions the goals need, dependencies first."""
        return self.graph.order([goal.action for goal in self.goals], ACTION)

    def everything(self) -> list[str]:
        """The same, and what is made beside them: nothing depends on that, and no goal fails by it."""
        return self.graph.order([*(goal.action for goal in self.goals), *self.sides], ACTION)


def bare(action: Action) -> Action:
    """An action without what changes nothing that is made: what two of one id must agree in."""
    return action._replace(target="", weight=0, places=NOWHERE)


_PLAIN = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Named tuples as tuples and mappings as dicts, all the way down: what marshal takes."""
    if isinstance(value, tuple):
        return tuple([item if type(item) in _PLAIN else plain(item) for item in value])
    return dict(value) if isinstance(value, Mapping) else value


def action_of(row: Sequence[Any]) -> Action:
    """The action that `plain` made a row of."""
    action = Action(*row)
    return action._replace(sources=tuple(SourceSet(*item) for item in action.sources))
