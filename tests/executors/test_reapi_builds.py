"""Builds whose steps are run by a server of the Remote Execution API, each in a sandbox that has nothing of this
machine: what comes back is what a build here makes.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.action import Outputs
from buildrules.engine.build import Build
from buildrules.engine.events import Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.kind import BuildContext
from buildrules.executors.engine import Ran
from buildrules.executors.needs import Needs
from buildrules.executors.opening import open_engine
from buildrules.executors.reapi.tool import tool
from buildrules.executors.task import Task
from buildrules.net.session import Session
from buildrules.store.store import Store
from tests.conda.conftest import BUILD, FILE, fill
from tests.executors.test_away import built
from tests.support.casd import Casd, casd_server
from tests.support.conda import Channel, libc_files, real_python
from tests.support.space import Space, make_base
from tests.support.standalone import mirror
from tests.support.web import Web

There = Callable[[Space, "Watched"], Build]
MORE = """\
  far: {rule: model, uri: "ADDRESS/m.bin"}
  late: {rule: model, uri: "ADDRESS/n.bin"}
  two: {rule: model_package, model: ":far", base_env: ":env", server: ":server", code: ":code"}
  three: {rule: model_package, model: ":late", mode: download, base_env: ":env", server: ":server", code: ":code"}
"""
CONDA = BUILD.replace("  python: {bytecode: false}\n", "")

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("reapi")]


@pytest.fixture(scope="module")
def casd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casd]:
    with casd_server(tmp_path_factory.mktemp("casd") / "content", jobs=2) as server:
        yield server


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that steps bring along, which is made once."""
    store, session = Store(str(tmp_path_factory.mktemp("tools") / "store")), Session()
    tool(LocalExecutor("/", store.blobs, session, session.own(Kinds), Stream()))
    store.close()
    return Path(store.root) / "interpreters"


class Watched:
    """An engine; `ran` are the kinds of the tasks that it was given, `cached` how many it had the answers to."""

    def __init__(self, url: str, **settings: Any) -> None:
        self._engine = open_engine(url, Session(), settings)
        self.name, self.place = self._engine.name, self._engine.place
        self.slots, self.overhead = self._engine.slots, self._engine.overhead
        self.ran: list[str] = []
        self.cached = 0

    def run(self, task: Task, needs: Needs, context: BuildContext, *, again: bool = False) -> Ran:
        self.ran.append(task.step.kind)
        ran = self._engine.run(task, needs, context, again=again)
        self.cached += ran.cached
        return ran

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def there(casd: Casd, tools: Path, tmp_path: Path) -> Callable[..., Build]:
    """Builds all of a workspace, in a store that has nothing but the tool, and sends all that can be sent."""

    def build(space: Space, engine: Watched) -> Build:
        store = tmp_path / f"there-{os.urandom(4).hex()}"
        store.mkdir()
        shutil.copytree(tools, store / "interpreters", copy_function=os.link)
        return built(space, store, engine)  # type: ignore[arg-type]

    return build


def outputs(build: Build) -> dict[str, Outputs]:
    assert not build.errors
    return {name: outcome.outputs for name, outcome in build.outcomes.items()}


def test_what_a_server_makes_is_what_is_made_here(workspace: Space, casd: Casd, there: There, tmp_path: Path) -> None:
    web = Web()
    web.files["/m.bin"] = web.files["/n.bin"] = b"a model"
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", platforms=("linux/amd64", "linux/arm64"))
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [run]}")
    workspace.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    workspace.append("BUILD.yaml", MORE.replace("ADDRESS", web.url))
    workspace.run("lock")
    engine = Watched(casd.url)
    assert outputs(there(workspace, engine)) == outputs(built(workspace, tmp_path / "here", None))
    assert {*engine.ran} == {
        *("entry_script", "files_layer", "model_layers", "fetched_model", "start_layers", "inline_layer"),
        *("wheel_layer", "image", "index", "group", "installed"),
    }


def test_a_python_of_its_own_is_laid(workspace: Space, casd: Casd, there: There, tmp_path: Path) -> None:
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {bytecode: false, mirror: pythons}\n")
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    mirror(workspace.root / "pythons", "3.12.1")
    workspace.run("lock")
    engine = Watched(casd.url)
    assert outputs(there(workspace, engine)) == outputs(built(workspace, tmp_path / "here", None))
    assert "python_layer" in engine.ran


def test_an_interpreter_of_an_image_runs_in_the_sandbox(
    new_space: Callable[..., Space], casd: Casd, there: There, tmp_path: Path
) -> None:
    space = new_space(locked=False)
    space.write("BUILD.yaml", CONDA)
    space.write("environment.yml", FILE)
    fill(Channel(space.root / "channel"), real_python())
    shutil.rmtree(space.root / "base")
    make_base(space.root / "base", python="", files=libc_files(), mode=0o755)
    space.run("lock")
    engine = Watched(casd.url)
    assert outputs(there(space, engine)) == outputs(built(space, tmp_path / "here", None))
    assert {"conda_layer", "bytecode_layer"} <= {*engine.ran}
