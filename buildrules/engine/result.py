"""What a build made, per goal: what reports, exports and loads are written from."""

from collections.abc import Iterable, Iterator, Sequence

from buildrules.engine.action import Action, Outputs
from buildrules.engine.build import Build, Outcome
from buildrules.engine.events import Status
from buildrules.engine.plan import Goal, Plan
from buildrules.oci.descriptor import Layer
from buildrules.sha256 import hex_digest
from buildrules.store.noted import NotedImages
from buildrules.store.records import Records
from buildrules.store.store import Store
from buildrules.typed import Any, NamedTuple


class LayerResult(NamedTuple):
    """A layer and how the action that made it ended."""

    layer: Layer
    title: str  # what a person calls it
    status: Status
    reasons: Sequence[str]
    action: Action  # which made it
    borrowed: bool  # whether others made it, and its record came just now


class GoalResult(NamedTuple):
    """One goal. `digest` is an image's manifest's or an index's own, empty for a target that is only layers.

    `before` is what the last build of the target in this workspace made, None where there was none.
    """

    goal: Goal
    digest: str
    size: int  # bytes of manifest, config and layers
    status: Status
    reasons: Sequence[str]  # of the action that makes it of its layers
    layers: list[LayerResult]
    blobs: dict[str, str]  # "manifest", "config" or "index" -> digest
    values: dict[str, Any]
    before: Outputs | None
    borrowed: bool  # whether its record came from elsewhere just now

    @property
    def known(self) -> set[str]:
        """Digests of the layers that the last build made."""
        return {layer.digest for layer in self.before.layers} if self.before else set()

    @property
    def same(self) -> bool:
        """Whether it is what the last build made."""
        if self.before is None:
            return False
        if self.digest:
            return self.digest == self.before.values.get("digest")
        return [item.layer.digest for item in self.layers] == [layer.digest for layer in self.before.layers]


def goal_result(plan: Plan, build: Build, goal: Goal) -> GoalResult | None:
    """What became of a goal; None where it failed."""
    outcome = build.outcomes.get(goal.action)
    if outcome is None or outcome.outputs is None:
        return None
    layers = list(_layers(plan, build, goal))
    if goal.kind == "index":  # what the images share counts once
        layers = list({item.layer.digest: item for item in reversed(layers)}.values())[::-1]
    values = outcome.outputs.values
    last = outcome if outcome.status is Status.UNCHANGED else build.previous.get(goal.action)
    return GoalResult(
        goal=goal,
        digest=str(values.get("digest", "")),
        size=int(values.get("size", 0)) or sum(item.layer.size for item in layers),
        status=outcome.status,
        reasons=outcome.reasons,
        layers=layers,
        blobs=outcome.outputs.blobs,
        values=values,
        before=last.outputs if last is not None else None,
        borrowed=outcome.borrowed,
    )


def _layers(plan: Plan, build: Build, goal: Goal) -> Iterator[LayerResult]:
    """An image's layers as the actions below it made them: their recipes are the current ones. Some may be left out."""
    action, made = plan.actions[goal.action], build.outcomes[goal.action].outputs
    used = {layer.digest for layer in made.layers} if made is not None and goal.kind in ("image", "index") else None
    names = (action.id,) if goal.kind == "layers" else action.deps
    if goal.kind == "index":
        names = tuple(name for image in action.deps for name in plan.actions[image].deps)
    for name in names:
        outcome: Outcome = build.outcomes[name]
        assert outcome.outputs is not None
        titles = layer_titles(plan.actions[name].title, outcome.outputs)
        for layer, title in zip(outcome.outputs.layers, titles, strict=True):
            if used is None or layer.digest in used:
                yield LayerResult(layer, title, outcome.status, outcome.reasons, plan.actions[name], outcome.borrowed)


def layer_titles(title: str, outputs: Outputs) -> list[str]:
    """What a person calls the layers of the action `title`: a kind that makes several says what each holds."""
    names = outputs.values.get("layers")
    return [f"{title}: {name}" for name in names] if names else [title] * len(outputs.layers)


def tally(build: Build) -> dict[str, int]:
    """How many actions ended how, by status; those that needed no look are unchanged, and sides count nowhere."""
    statuses = [outcome.status for name, outcome in build.outcomes.items() if name not in build.plan.sides]
    found = {status.value: statuses.count(status) for status in Status}
    found[Status.UNCHANGED.value] += build.left_out
    return found


def counts(build: Build) -> dict[str, int]:
    """How many actions were executed, found cached (or unchanged), and failed; skipped ones count nowhere."""
    found = tally(build)
    return {
        **{name: found[name] for name in ("executed", "cached", "failed")},
        "cached": found["cached"] + found["unchanged"],
    }


def _image_key(which: str, root: str, label: str, platform: str, configurations: Iterable[str]) -> str:
    parts = (f"buildrules-{which}-1", root, label, platform, *sorted(set(configurations)))
    return hex_digest("\0".join(parts).encode())


def note_image(store: Store, root: str, result: GoalResult, key: str, configurations: Iterable[str]) -> None:
    """Keep which image of a goal of the workspace `root` was made last in these configurations, by its `key`; where it
    is another one, what it was. A state cannot say that: it forgets what other plans made when files of targets change.
    """
    if result.goal.kind != "image" or not result.digest:
        return
    records, images = store.records, NotedImages(store.table)
    place = (root, result.goal.label, result.goal.platform, configurations)
    last_key, earlier_key = _image_key("last", *place), _image_key("earlier", *place)
    before = result.before.to_dict() if result.before is not None else None
    digest = before["values"].get("digest") if before is not None else None
    last, made_by = images.get(last_key) or (digest, "")
    if last != result.digest:
        if digest != last or before is None:
            before = (records.get(made_by) or {}).get("outputs")
        if before is not None:
            records.put(earlier_key, {"outputs": before})
        elif records.get(earlier_key) is not None:
            records.delete(earlier_key)  # it is older than what was there last
    images.note(last_key, result.digest, key)


def earlier(
    records: Records, root: str, label: str, platform: str, configurations: Iterable[str] = ()
) -> Outputs | None:
    """What the image of a label was before in these configurations; None where no build made another of it, or that was
    too long ago."""
    kept = records.get(_image_key("earlier", root, label, platform, configurations))
    try:
        return None if kept is None else Outputs.from_dict(kept["outputs"])
    except (KeyError, TypeError, ValueError):
        return None
