"""An action as the step that its kind runs."""

from collections.abc import Sequence

from buildrules.engine.action import Action, Outputs, SourceFile
from buildrules.engine.step import Step, step_of


def step(
    action: Action, sources: Sequence[Sequence[SourceFile]] = (), deps: Sequence[Outputs] = (), version: int = 1
) -> Step:
    return step_of(action, version, sources, deps)
