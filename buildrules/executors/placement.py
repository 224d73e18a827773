"""Which steps are run elsewhere, and why the others stay."""

import threading
from collections.abc import Collection, Mapping

from buildrules.engine.kind import Kinds
from buildrules.engine.step import Step
from buildrules.executors.engine import Ran
from buildrules.typed import NamedTuple

SPEED = 100e6
"""Bytes a second that content is sent with, where it is not there yet."""


class Away(NamedTuple):
    """One step that was run elsewhere; seconds, and bytes that went there for it."""

    kind: str
    title: str
    worker: str
    cached: bool
    queued: float
    seconds: float
    sent: int


class Placement:
    """Decides by the traits of kinds and by weights. Safe for concurrent threads.

    A step goes away if it is at least `shortest` seconds long. `runners` are those of package tests that workers have.
    """

    def __init__(self, kinds: Kinds, shortest: float, runners: Collection[str] = ()) -> None:
        self.away: list[Away] = []
        self.stayed: dict[tuple[str, str], int] = {}  # how many, by kind and why
        self._kinds = kinds
        self._shortest = shortest
        self._runners = runners
        self._lock = threading.Lock()

    def stays(self, step: Step) -> bool:
        """Whether the step is run here."""
        return self._noted(step, self._why(step))

    def heavy(self, step: Step, size: int) -> bool:
        """Whether it takes longer to send `size` bytes than to run the step."""
        moved = self._shortest > 0 and size / SPEED > step.weight
        return self._noted(step, "its content takes longer to move" if moved else "")

    def ran(self, step: Step, ran: Ran, seconds: float, sent: int) -> None:
        """A step was run elsewhere."""
        row = Away(step.kind, step.title, ran.worker, ran.cached, ran.queued, seconds, sent)
        with self._lock:
            self.away.append(row)

    def _noted(self, step: Step, why: str) -> bool:
        if why:
            with self._lock:
                self.stayed[step.kind, why] = self.stayed.get((step.kind, why), 0) + 1
        return bool(why)

    def _why(self, step: Step) -> str:
        traits = self._kinds.named(step.kind).traits
        untested = _not_tested_there(step.places, self._runners) if traits.engine else ""
        why = (
            (traits.network, "it asks servers, with the credentials of this host"),
            (not traits.shareable, "programs of this host have a part in it"),
            (isinstance(step.version, str), "it is of a plugin"),
            (any(file.as_layer is not None for file in step.files), "its files are hashed here anyway"),
            (untested, untested),
            (traits.opens and not traits.engine, "it looks into layers that are here"),
            (step.weight < self._shortest, "it is shorter than a round trip"),
        )
        return next((words for holds, words in why if holds), "")


def _not_tested_there(places: Mapping[str, object], runners: Collection[str]) -> str:
    if places.get("variables"):
        return "it takes credentials of this host"
    if not runners:
        return "workspace.executor.runners names no runner that workers have"
    runner = places.get("runner")
    return "" if runner in (None, *runners) else f"workers have no runner {runner!r}"
