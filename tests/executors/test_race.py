"""A step that is run elsewhere and here: the first one counts."""

import threading
from pathlib import Path

from buildrules.actions.registry import Kinds
from buildrules.engine.action import Outputs
from buildrules.engine.events import Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.kind import BuildContext
from buildrules.engine.step import Step
from buildrules.executors.race import raced
from buildrules.net.session import Session
from buildrules.store.store import Store

MADE = Outputs(values={"where": "there"})


class Held:
    """A kind whose steps go on until they are let go, whatever happens."""

    def __init__(self) -> None:
        self.begun, self.free, self.ended = threading.Event(), threading.Event(), threading.Event()

    def run(self, step: Step, context: BuildContext) -> Outputs:
        context.count(read=5)
        self.begun.set()
        assert self.free.wait(60)
        context.count(read=2)
        self.ended.set()
        return Outputs()


def test_an_answer_from_there_does_not_wait_for_what_runs_here(tmp_path: Path) -> None:
    session, held = Session(), Held()
    kinds, store = session.own(Kinds), Store(str(tmp_path))
    kinds._made["held"] = held  # type: ignore[assignment]
    base = LocalExecutor("/", store.blobs, session, kinds, Stream())

    def away(context: BuildContext) -> Outputs:
        assert held.begun.wait(60)
        context.count(fetched=3, source="executor")
        return MADE

    made, late = raced(away, Step("held", 1, "a step"), base, 0.0, lambda: True)
    assert (made, late) == (MADE, False)
    assert not held.ended.is_set()
    assert (base.bytes_read, base.moved) == (5, {"executor": 3})
    held.free.set()
    assert held.ended.wait(60)
    assert base.bytes_read == 7
    store.close()
