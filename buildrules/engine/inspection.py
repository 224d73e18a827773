"""Says of every action of a plan whether it would run now and why, without running anything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from buildrules.engine.action import Outputs
from buildrules.engine.build import FIRST, explanation_name
from buildrules.engine.key import compute_key, differences, explain
from buildrules.engine.plan import Plan
from buildrules.engine.sources import SourceReader
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
    plan: Plan, store: Store, root: str, sources: SourceReader, versions: Callable[[str], int | str]
) -> dict[str, Finding]:
    """A finding for every action the goals need, dependencies first. Raises what reading sources raises."""
    findings: dict[str, Finding] = {}
    outputs: dict[str, Outputs] = {}
    for name in plan.needed():
        action = plan.actions[name]
        before = store.explanations.get(explanation_name(root, name))
        last = list(before.get("reasons", [])) if before else []
        waiting = [dep for dep in action.deps if dep not in outputs]
        if waiting:
            reasons = [f"needs {plan.actions[dep].title}" for dep in waiting]
            findings[name] = Finding(Need.WAIT, reasons, last)
            continue
        version = versions(action.kind)
        files = [sources.read(source) for source in action.sources]
        deps = [outputs[dep] for dep in action.deps]
        sees = explain(action, version, files, deps)
        key = compute_key(action, version, files, deps)
        record = store.records.get(key)
        if record is None:
            reasons = [FIRST] if before is None else differences(action, before["values"], sees)
            findings[name] = Finding(Need.RUN, reasons or ["its record is gone from the store"], last, sees, key)
            continue
        outputs[name] = Outputs.from_dict(record)
        if before is not None and before.get("key") == key:
            findings[name] = Finding(Need.NONE, [], last, sees, key)
        else:
            reasons = [FIRST] if before is None else differences(action, before["values"], sees)
            findings[name] = Finding(Need.TAKE, reasons, last, sees, key)
    return findings
