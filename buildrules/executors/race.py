"""Steps whose worker is slow or silent are run here too, where this machine has nothing to do: the first one counts."""

import contextlib
import os
import threading
from collections.abc import Callable

from buildrules.engine.action import Outputs
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.step import Step
from buildrules.errors import BuildrulesError, Interrupted

PATIENCE = 30.0
"""Seconds that a worker may take besides four times what the step is expected to."""


def is_idle() -> bool:
    """Whether half of the processors have nothing to do."""
    return os.getloadavg()[0] < (os.cpu_count() or 1) / 2


def raced(
    away: Callable[[LocalExecutor], Outputs],
    step: Step,
    base: LocalExecutor,
    patience: float,
    idle: Callable[[], bool] = is_idle,
) -> tuple[Outputs, bool]:
    """The outputs of a step and whether it was run here in the end. `away` runs it elsewhere.

    After `patience` seconds it is run here too, as soon as the machine is idle; who comes second is cancelled. What is
    wrong here is not told. Raises what `away` raises.
    """
    there, here = base.another(), base.another()
    over, won = threading.Event(), list[Outputs]()

    def late() -> None:
        while not over.wait(patience):
            if idle():
                with contextlib.suppress(Exception):
                    won.append(here.run(step))
                    there.cancel()
                return

    second = threading.Thread(target=late, daemon=True)
    with base.at_cancel(there.cancel), base.at_cancel(here.cancel):
        second.start()
        try:
            return away(there), False
        except (BuildrulesError, Interrupted):
            over.set()
            second.join()  # what failed there may be done here in a moment
            if not won or base.cancelled:
                raise
            return won[0], True
        finally:
            over.set()
            here.cancel()  # nobody waits for its end
