"""Builds whose steps an engine of the Remote Execution API runs, in this process."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildrules.engine.action import Outputs
from buildrules.engine.build import Build
from buildrules.engine.kind import BuildContext
from buildrules.executors.depot import Depot
from buildrules.executors.engine import Ran
from buildrules.executors.opening import open_engine
from buildrules.executors.task import Task
from buildrules.net.session import Session
from tests.executors.test_away import built
from tests.support.space import Space

There = Callable[[Space, "Watched"], Build]


class Watched:
    """An engine; `ran` are the kinds of the tasks that it was given, `cached` of those that it had the answers to."""

    def __init__(self, url: str, **settings: Any) -> None:
        self._engine = open_engine(url, Session(), settings, print)
        self.name = self._engine.name
        self.slots, self.overhead = self._engine.slots, self._engine.overhead
        self.unfit = self._engine.unfit
        self.ran: list[str] = []
        self.cached: list[str] = []

    @property
    def depot(self) -> Depot:
        return self._engine.depot

    def greet(self) -> None:
        self._engine.greet()

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        self.ran.append(task.step.kind)
        ran = self._engine.run(task, context, again=again)
        self.cached += [task.step.kind] * ran.cached
        return ran

    def close(self) -> None:
        self._engine.close()


def build_there(space: Space, engine: Watched, tools: Path) -> Build:
    """Build all of a workspace, in a store that has nothing but the tool, and send all that can be sent."""
    store = space.folder / f"there-{os.urandom(4).hex()}"
    store.mkdir()
    shutil.copytree(tools, store / "interpreters", copy_function=os.link)
    return built(space, store, engine)  # type: ignore[arg-type]


def outputs(build: Build) -> dict[str, Outputs]:
    """What its actions made."""
    for error in build.errors:
        raise error
    return {name: outcome.outputs for name, outcome in build.outcomes.items()}
