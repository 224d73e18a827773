"""What a build made, per goal: what reports, exports and loads are written from."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from buildrules.engine.action import Action, Outputs
from buildrules.engine.build import Build, Outcome
from buildrules.engine.events import Status
from buildrules.engine.plan import Goal, Plan
from buildrules.oci.descriptor import Layer


class LayerResult(NamedTuple):
    """A layer and how the action that made it ended."""

    layer: Layer
    title: str  # what a person calls it
    status: Status
    reasons: Sequence[str]
    action: Action  # which made it


class GoalResult(NamedTuple):
    """One goal. `digest` is an image's manifest's or an index's own, empty for a target that is only layers."""

    goal: Goal
    digest: str
    size: int  # bytes of manifest, config and layers
    status: Status
    layers: list[LayerResult]
    blobs: dict[str, str]  # "manifest", "config" or "index" -> digest
    values: dict[str, Any]


def goal_results(plan: Plan, build: Build) -> list[GoalResult]:
    """The results of the goals that succeeded, in the plan's order."""
    return [result for goal in plan.goals if (result := _goal_result(plan, build, goal)) is not None]


def _goal_result(plan: Plan, build: Build, goal: Goal) -> GoalResult | None:
    outcome = build.outcomes.get(goal.action)
    if outcome is None or outcome.outputs is None:
        return None
    layers = list(_layers(plan, build, goal))
    if goal.kind == "index":  # what the images share counts once
        layers = list({item.layer.digest: item for item in reversed(layers)}.values())[::-1]
    values = outcome.outputs.values
    return GoalResult(
        goal=goal,
        digest=str(values.get("digest", "")),
        size=int(values.get("size", 0)) or sum(item.layer.size for item in layers),
        status=outcome.status,
        layers=layers,
        blobs=outcome.outputs.blobs,
        values=values,
    )


def _layers(plan: Plan, build: Build, goal: Goal) -> Iterator[LayerResult]:
    """An image's layers as the actions below it made them: their recipes are the current ones."""
    action = plan.actions[goal.action]
    names = (action.id,) if goal.kind == "layers" else action.deps
    if goal.kind == "index":
        names = tuple(name for image in action.deps for name in plan.actions[image].deps)
    for name in names:
        outcome: Outcome = build.outcomes[name]
        assert outcome.outputs is not None
        titles = layer_titles(plan.actions[name].title, outcome.outputs)
        for layer, title in zip(outcome.outputs.layers, titles, strict=True):
            yield LayerResult(layer, title, outcome.status, outcome.reasons, plan.actions[name])


def layer_titles(title: str, outputs: Outputs) -> list[str]:
    """What a person calls the layers of the action `title`: a kind that makes several says what each holds."""
    names = outputs.values.get("layers")
    return [f"{title}: {name}" for name in names] if names else [title] * len(outputs.layers)


def counts(build: Build) -> dict[str, int]:
    """How many actions were executed, found cached (or unchanged), and failed; skipped ones and sides count nowhere."""
    statuses = [outcome.status for name, outcome in build.outcomes.items() if name not in build.plan.sides]
    return {
        "executed": statuses.count(Status.EXECUTED),
        "cached": statuses.count(Status.CACHED) + statuses.count(Status.UNCHANGED) + build.left_out,
        "failed": statuses.count(Status.FAILED),
    }
