"""Builds whose steps are run by a server of the Remote Execution API, each in a sandbox that has nothing of this
machine: what comes back is what a build here makes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conda.conftest import BUILD, FILE, fill
from tests.executors.test_away import built
from tests.support.casd import Casd
from tests.support.conda import Channel, libc_files, real_python
from tests.support.space import Space, make_base
from tests.support.standalone import mirror
from tests.support.watched_engine import Watched, build_there, outputs
from tests.support.web import Web

MORE = """\
  py: {rule: python_standalone, version: "3.12", base: ":base"}
  far: {rule: model, uri: "ADDRESS/m.bin"}
  late: {rule: model, uri: "ADDRESS/n.bin"}
  two: {rule: model_package, model: ":far", base_env: ":env", server: ":server", code: ":code"}
  three: {rule: model_package, model: ":late", mode: download, base_env: ":env", server: ":server", code: ":code"}
"""
CONDA = BUILD.replace("  python: {bytecode: false}\n", "")

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("reapi")]


def test_what_a_server_makes_is_what_is_made_here(workspace: Space, casd: Casd, tools: Path, tmp_path: Path) -> None:
    web = Web()
    web.files["/m.bin"] = web.files["/n.bin"] = b"a model"
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", platforms=("linux/amd64", "linux/arm64"))
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [run]}")
    workspace.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {bytecode: false, mirror: pythons}\n")
    for machine in ("x86_64", "aarch64"):
        mirror(workspace.root / "pythons", "3.12.1", machine=machine)
    workspace.append("BUILD.yaml", MORE.replace("ADDRESS", web.url))
    workspace.run("lock")
    engine = Watched(casd.url)
    assert outputs(build_there(workspace, engine, tools)) == outputs(built(workspace, tmp_path / "here", None))
    assert {*engine.ran} == {
        *("entry_script", "files_layer", "model_layers", "fetched_model", "start_layers", "inline_layer"),
        *("wheel_layer", "python_layer", "image", "index", "group", "installed"),
    }


def test_an_interpreter_of_an_image_runs_in_the_sandbox(
    new_space: Callable[..., Space], casd: Casd, tools: Path, tmp_path: Path
) -> None:
    space = new_space(locked=False)
    space.write("BUILD.yaml", CONDA)
    space.write("environment.yml", FILE)
    fill(Channel(space.root / "channel"), real_python())
    shutil.rmtree(space.root / "base")
    make_base(space.root / "base", python="", files=libc_files(), mode=0o755)
    space.run("lock")
    engine = Watched(casd.url)
    assert outputs(build_there(space, engine, tools)) == outputs(built(space, tmp_path / "here", None))
    assert {"conda_layer", "bytecode_layer"} <= {*engine.ran}
