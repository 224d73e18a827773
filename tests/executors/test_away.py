"""Steps that are run by workers make what they make here, and say what is wrong as they do here."""

import threading
from pathlib import Path

from buildrules.actions.registry import Kinds
from buildrules.engine.build import Build
from buildrules.engine.events import Stream
from buildrules.engine.kind import BuildContext
from buildrules.errors import Interrupted
from buildrules.executors.away import Away
from buildrules.executors.engine import Ran
from buildrules.executors.task import Task
from buildrules.net.session import Session
from buildrules.prepared import prepare
from buildrules.remote.trust import Trust
from buildrules.store.store import Store
from buildrules.workspace.globs import expand
from tests.support.folder_engine import FolderEngine
from tests.support.space import Space


def built(space: Space, store: Path, engine: FolderEngine | None, trust: Trust | None = None, **more: object) -> Build:
    """All that the workspace has, built in a store of its own."""
    session, stream, opened = Session(), Stream(), Store(str(store))
    kinds = session.own(Kinds)
    with space.inside(".", {}):
        plan = prepare(str(space.root), "", ["//..."], {}, opened, stream, session).plan()
        settings = {"shortest": 0, "runners": ["rootfs"]}
        elsewhere = engine and Away(engine, trust or Trust(), "main", settings, opened, session, **more)
        common = {"session": session, "kinds": kinds, "expand": expand, "stream": stream}
        build = Build(plan, opened, str(space.root), **common, elsewhere=elsewhere)
        build.run()
    opened.close()
    return build


def test_steps_that_workers_run_make_the_same(workspace: Space, tmp_path: Path) -> None:
    workspace.run("lock")
    here = built(workspace, tmp_path / "one", None)
    engine = FolderEngine(tmp_path / "engine")
    there = built(workspace, tmp_path / "two", engine)
    assert not here.errors
    assert not there.errors
    assert {name: outcome.outputs for name, outcome in there.outcomes.items()} == {
        name: outcome.outputs for name, outcome in here.outcomes.items()
    }
    assert {"files_layer", "wheel_layer", "inline_layer", "image", "installed"} <= {*engine.ran}


def test_an_unsigned_answer_is_refused_where_signatures_are_required(workspace: Space, tmp_path: Path) -> None:
    workspace.run("lock")
    build = built(workspace, tmp_path / "one", FolderEngine(tmp_path / "engine"), Trust("require"))
    assert "the answer of worker a folder is refused: it is unsigned" in build.errors[0].message


def test_the_error_of_a_step_comes_back_with_its_place(workspace: Space, tmp_path: Path) -> None:
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [nowhere]}")
    workspace.run("lock")
    here = built(workspace, tmp_path / "one", None).errors[0]
    there = built(workspace, tmp_path / "two", FolderEngine(tmp_path / "engine")).errors[0]
    assert (type(there), there.message, there.hint) == (type(here), here.message, here.hint)
    assert there.position is not None
    assert (str(there.position), there.position.excerpt) == (str(here.position), here.position.excerpt)  # type: ignore[union-attr]


class SilentEngine(FolderEngine):
    """Its workers are heard of no more."""

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        self.ran.append(task.step.kind)
        cancelled = threading.Event()
        with context.at_cancel(cancelled.set):
            assert cancelled.wait(200)
        raise Interrupted("interrupted")


def test_steps_of_silent_workers_are_run_here_where_nothing_else_is_done(workspace: Space, tmp_path: Path) -> None:
    here = built(workspace, tmp_path / "one", None)
    engine, asked = SilentEngine(tmp_path / "engine"), []

    def idle() -> bool:
        asked.append(True)
        return len(asked) > 2  # two steps find it busy at first

    there = built(workspace, tmp_path / "two", engine, patience=-50.0, idle=idle)
    assert not there.errors
    assert engine.ran
    assert {name: outcome.outputs for name, outcome in there.outcomes.items()} == {
        name: outcome.outputs for name, outcome in here.outcomes.items()
    }
    stayed = {outcome.placed.stayed for outcome in there.outcomes.values() if outcome.placed}
    assert "its worker took too long" in stayed


def test_a_step_that_fails_there_fails_and_is_not_run_here(workspace: Space, tmp_path: Path) -> None:
    def idle() -> bool:
        raise AssertionError("nobody has waited for so long")

    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [nowhere]}")
    workspace.run("lock")
    build = built(workspace, tmp_path / "one", FolderEngine(tmp_path / "engine"), idle=idle)
    assert "nowhere" in build.errors[0].message
