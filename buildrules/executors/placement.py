"""Which steps are run elsewhere, by which workers, and why the others stay."""

import threading
from collections.abc import Mapping, Sequence

from buildrules.engine.action import NOTHING
from buildrules.engine.events import Placed
from buildrules.engine.kind import Kinds
from buildrules.engine.step import Step
from buildrules.typed import Any

SPEED = 100e6
"""Bytes a second that content is sent with, where it is not there yet."""

PACKING = 20e6
"""Bytes a second that files of the workspace are compressed with."""

_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


class Placement:
    """Decides by the traits of kinds and by weights. Safe for concurrent threads.

    A step goes away if it is at least `shortest` seconds long. `runners` are those of package tests that workers have,
    `classes` the sizes of workers (`workspace.executor.classes`), `properties` what all of them must have.
    `unfit` are runners that cannot work there.
    """

    def __init__(
        self,
        kinds: Kinds,
        shortest: float,
        runners: Sequence[str] = (),
        classes: Sequence[Mapping[str, Any]] = (),
        properties: Mapping[str, str] = NOTHING,
        unfit: Sequence[str] = (),
    ) -> None:
        self.shortest = shortest
        self.round_trips: list[float] = []  # seconds that tasks took besides their run, and their wait for a worker
        self.crowded: list[float] = []  # the same, with that wait: the shortest says most where nothing else is known
        self._kinds = kinds
        self._runners = [runner for runner in runners if runner not in unfit]
        self._unfit = [runner for runner in runners if runner in unfit]
        self._classes = classes
        self._properties = properties
        self._placed: dict[int, Placed] = {}  # by thread

    def note(self, placed: Placed) -> None:
        """Where the step of this thread is run."""
        self._placed[threading.get_ident()] = placed

    def placed(self) -> Placed | None:
        """What was noted last in this thread, once."""
        return self._placed.pop(threading.get_ident(), None)

    def seconds(self, step: Step) -> float:
        """How long a step is expected to run: by the plan, or where it only packs files, by their size."""
        packs = step.sources and not step.deps
        return 0.001 + sum(file.size for file in step.files) / PACKING if packs else step.weight

    def stays(self, step: Step) -> str:
        """Why the step is run here; "" where it is not."""
        traits = self._kinds.named(step.kind).traits
        untested = self._untested(step) if traits.containers else ""
        why = (
            (traits.network, "it asks servers, with the credentials of this host"),
            (not traits.shareable, "programs of this host have a part in it"),
            (isinstance(step.version, str), "it is of a plugin"),
            (any(file.as_layer is not None for file in step.files), "its files are hashed here anyway"),
            (untested, untested),
            (traits.opens and not traits.containers, "it looks into layers that are here"),
            (self.seconds(step) < self.shortest, "it is shorter than a round trip"),
        )
        return next((words for holds, words in why if holds), "")

    def heavy(self, step: Step, size: int) -> str:
        """Why the step is run here after all, where `size` bytes would have to be sent for it first."""
        moved = self.shortest > 0 and size / SPEED > self.seconds(step)
        return "its content takes longer to send" if moved else ""

    def properties(self, step: Step) -> Mapping[str, str]:
        """What a worker must have for `step`: the properties of all, and of the first class that is large enough."""
        found = self._class_of(step)
        return {**self._properties, **(found or {}).get("properties", {})}

    def there(self, step: Step) -> Step:
        """The step as it is run there: a test that names no runner takes the first of the workers'."""
        if step.places.get("runner", "") is None:
            return step._replace(places={**step.places, "runner": self._runners[0]})
        return step

    def _class_of(self, step: Step) -> Mapping[str, Any] | None:
        said: Mapping[str, Any] = step.places.get("resources") or {}
        asked = (said.get("cpu", 0), _bytes(said.get("memory")), _gpus(step))
        for one in self._classes:
            has = (one.get("cpu", float("inf")), _bytes(one.get("memory")) or float("inf"), one.get("gpu", 0))
            if all(number <= most for number, most in zip(asked, has, strict=True)):
                return one
        return None

    def _untested(self, step: Step) -> str:
        """Why no worker can run a test; "" where one can."""
        runner, gpus = step.places.get("runner"), str(step.params.get("gpus") or "")
        said = step.places.get("resources") or {}
        wanted = ", ".join(f"{name} {value}" for name, value in {**said, "gpu": _gpus(step)}.items() if value)
        lacking = (self._classes or _gpus(step)) and self._class_of(step) is None
        unfit = [one for one in self._unfit if runner == one or (runner is None and not self._runners)][:1]
        why = (
            (step.places.get("variables"), "it takes credentials of this host"),
            (gpus.startswith("device="), "it takes devices of this host"),
            (unfit, f"the runner {''.join(unfit)!r} does not work with this kind of executor"),
            (not self._runners, "workspace.executor.runners names no runner that workers have"),
            (runner not in (None, *self._runners), f"workers have no runner {runner!r}"),
            (lacking, f"no class of workspace.executor.classes is large enough for {wanted}"),
        )
        return next((words for holds, words in why if holds), "")


def _bytes(memory: str | None) -> int:
    """An amount of memory, as "512Mi" or "4Gi"; 0 for none."""
    return int(memory[:-2]) * _UNITS[memory[-2:]] if memory else 0


def _gpus(step: Step) -> int:
    """How many GPUs a test is given at least: by `--gpus`, for a package for GPUs has none without it either."""
    said = str(step.params.get("gpus") or "0")
    return int(said) if said.isdecimal() else 1
