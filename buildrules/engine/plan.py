"""A plan: actions and what was asked for. Plain data, so that marshal can keep it between runs."""

from dataclasses import dataclass, field, fields
from typing import Any

from buildrules.engine.action import Action, SourceSet


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing asked for: a target on a platform and the action that makes it."""

    label: str
    platform: str
    action: str
    kind: str  # "image", "group" of the layers of other actions, or "layers" of its own
    info: dict[str, Any] = field(default_factory=dict)  # routes, sample request, tag: what run and load need


@dataclass(slots=True)
class Plan:
    """Actions by id, and goals. Dependencies are always in the plan."""

    actions: dict[str, Action] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)

    def add(self, action: Action) -> str:
        """Add an action unless an equal one is there; returns its id."""
        present = self.actions.setdefault(action.id, action)
        if present.params != action.params or present.deps != action.deps or present.kind != action.kind:
            raise AssertionError(f"two different actions are named {action.id!r}")
        return action.id

    def needed(self) -> list[str]:
        """The ids of the actions the goals need, dependencies first."""
        order: dict[str, None] = {}
        visiting: list[tuple[str, bool]] = [(goal.action, False) for goal in reversed(self.goals)]
        while visiting:
            name, done = visiting.pop()
            if done:
                order.setdefault(name)
            elif name not in order:
                visiting.append((name, True))
                visiting.extend((dep, False) for dep in reversed(self.actions[name].deps) if dep not in order)
        return list(order)

    def to_data(self) -> dict[str, Any]:
        """Tuples, dicts and plain values only."""
        return {
            "actions": [_flat(action) for action in self.actions.values()],
            "goals": [_flat(goal) for goal in self.goals],
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Plan":
        """Read what `to_data` wrote."""
        plan = cls()
        for row in data["actions"]:
            action = Action(**{**row, "sources": tuple(SourceSet(**item) for item in row["sources"])})
            plan.actions[action.id] = action
        plan.goals = [Goal(**row) for row in data["goals"]]
        return plan


def _flat(value: Any) -> dict[str, Any]:
    row = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Action):
        row["sources"] = [_flat(source) for source in value.sources]
    return row
