"""Says of every action of a plan whether it would run now and why, without running anything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from buildrules.engine.action import Outputs
from buildrules.engine.cache import Kept
from buildrules.engine.explanations import Explanations
from buildrules.engine.key import key_and_explanation
from buildrules.engine.plan import Plan
from buildrules.engine.sources import SourceReader
from buildrules.engine.step import step_of
from buildrules.store.store import Store


class Need(Enum):
    """What the next build would do with an action."""

    NONE = "up to date"
    TAKE = "would be taken from the store"
    RUN = "would run"
    WAIT = "depends on what would run"


@dataclass(slots=True)
class Finding:
    """One action: what would be done, why, why it last ran here, and what its key sees (by name)."""

    need: Need
    reasons: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    sees: dict[str, str] = field(default_factory=dict)
    key: str = ""


def inspect(
    plan: Plan,
    store: Store,
    explanations: Explanations,
    sources: SourceReader,
    versions: Callable[[str], int | str],
) -> dict[str, Finding]:
    """A finding for every action the goals need, dependencies first. Raises what reading sources raises."""
    findings: dict[str, Finding] = {}
    outputs: dict[str, Outputs] = {}
    cache = Kept(store.records)
    for name in plan.needed():
        action = plan.actions[name]
        before = explanations.last(name)
        last = list(before.reasons) if before else []
        waiting = [dep for dep in action.deps if dep not in outputs]
        if waiting:
            reasons = [f"needs {plan.actions[dep].title}" for dep in waiting]
            findings[name] = Finding(Need.WAIT, reasons, last)
            continue
        files = [sources.read(source) for source in action.sources]
        step = step_of(action, versions(action.kind), files, [outputs[dep] for dep in action.deps])
        key, sees = key_and_explanation(step)
        record = cache.get(key)
        if record is None:
            reasons = explanations.since(action, sees)
            findings[name] = Finding(Need.RUN, reasons or ["its record is gone from the store"], last, sees, key)
            continue
        outputs[name] = record.outputs
        if before is not None and before.key == key:
            findings[name] = Finding(Need.NONE, [], last, sees, key)
        else:
            findings[name] = Finding(Need.TAKE, explanations.since(action, sees), last, sees, key)
    return findings
