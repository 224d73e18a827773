"""What the keys of a workspace saw when its actions last ran, and why they did."""

from typing import Any

from buildrules.engine.action import Action
from buildrules.engine.key import differences, explain
from buildrules.engine.step import Step
from buildrules.store.records import Records

FIRST = "first build here"


class Explanations:
    """Kept in the store by workspace and action."""

    def __init__(self, rows: Records, root: str) -> None:
        self._rows = rows
        self._root = root

    def last(self, action: str) -> dict[str, Any] | None:
        """`key`, `values` (what it saw, by name) and `reasons` of the action of that id; None before it first ran."""
        return self._rows.get(f"{self._root}\0{action}")

    def since(self, action: Action, sees: dict[str, str]) -> list[str]:
        """Why the action is not as it was, from what its key `sees` now."""
        before = self.last(action.id)
        return [FIRST] if before is None else differences(action, before["values"], sees)

    def keep(self, action: Action, step: Step, key: str, missing: str | None = None) -> list[str]:
        """Keep what the key saw; returns why the action is not as it was. `missing` says what the store lacked."""
        before = self.last(action.id)
        if before is not None and before.get("key") == key:
            return [missing] if missing else list(before.get("reasons", []))
        now = explain(step)
        reasons = [FIRST] if before is None else differences(action, before["values"], now)
        if missing:
            reasons = [missing]
        self._rows.put(f"{self._root}\0{action.id}", {"key": key, "values": now, "reasons": reasons})
        return reasons
