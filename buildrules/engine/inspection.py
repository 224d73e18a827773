"""Says of every action of a plan whether a build would run it now and why, without running anything."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from buildrules.engine.build import Build
from buildrules.engine.events import Status


class Need(Enum):
    """What the next build would do with an action."""

    NONE = "up to date"
    TAKE = "would be taken from the store"
    BORROW = "would be taken from the cache"
    RUN = "would run"
    WAIT = "depends on what would run"
    LOCK = "depends on the new lock"


@dataclass(slots=True)
class Finding:
    """One action: what would be done, why, why it last ran here, and what its key sees (by name)."""

    need: Need
    reasons: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    sees: dict[str, str] = field(default_factory=dict)
    key: str = ""


def inspect(build: Build, unlocked: Collection[str] = ()) -> dict[str, Finding]:
    """A finding for every action the goals of a build need, dependencies first; `build` is not run.

    `unlocked` are labels of targets that have no lock that will do: what they come to is not known. Raises what
    reading sources raises.
    """
    findings: dict[str, Finding] = {}
    for name in build.plan.needed():
        action = build.plan.actions[name]
        before = build.recall(name)
        last = list(before.reasons) if before else []
        if action.target in unlocked or any(findings[dep].need is Need.LOCK for dep in action.deps):
            findings[name] = Finding(Need.LOCK, [], last)
            continue
        waiting = [dep for dep in action.deps if findings[dep].need in (Need.RUN, Need.WAIT)]
        if waiting:
            reasons = [f"needs {build.plan.actions[dep].title}" for dep in waiting]
            findings[name] = Finding(Need.WAIT, reasons, last)
            continue
        look = build.look(action)
        outcome = build.outcomes.get(name) or build.found(action, look)
        need, reasons = Need.NONE, []
        if outcome is None:
            need, reasons = Need.RUN, list(build.why(action, look))
        else:
            build.outcomes[name] = outcome
            if outcome.status is Status.CACHED:
                need, reasons = Need.BORROW if outcome.borrowed else Need.TAKE, list(outcome.reasons)
        findings[name] = Finding(need, reasons, last, look.listing.sees, look.key)
    return findings
