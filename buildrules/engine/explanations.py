"""Why actions are not as they were at the last build of a workspace, from what their keys saw then and see now."""

from collections.abc import Callable, Sequence

from buildrules.engine.action import Action
from buildrules.engine.changes import Names, differences
from buildrules.typed import NamedTuple

FIRST = "first build here"
_ELSEWHERE = "something it needs was made anew by another command"


class Before(NamedTuple):
    """An action as the last build of its workspace left it: its key, what that saw (by name), and why it ran."""

    key: str
    sees: Callable[[], dict[str, str]]
    reasons: Sequence[str]


Recall = Callable[[str], Before | None]
"""What is known of the action of that id; None before it was first built."""


def _nothing(_: str) -> None:
    return None


class Explanations:
    """Says why, from what `recall` knows."""

    def __init__(self, recall: Recall = _nothing) -> None:
        self.last = recall

    def why(
        self, action: Action, key: str, sees: dict[str, str], names: Names, missing: str | None = None
    ) -> Sequence[str]:
        """Why the action has this key, from what that `sees`; where it is the old one, why it got it.

        `names` are for people; `missing` is what the store lacks.
        """
        if missing is not None:
            return [missing]
        before = self.last(action.id)
        if before is None:
            return [FIRST]
        if before.key == key:
            return before.reasons
        return differences(action, before.sees(), sees, names) or [_ELSEWHERE]
