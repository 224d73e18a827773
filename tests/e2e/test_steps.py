"""Every step of a build can be run by another process, from a file, and makes the same."""

import json
import shutil
from pathlib import Path

import pytest

from buildrules.actions.registry import Kinds
from buildrules.cli.planning import Planning
from buildrules.engine.build import Build
from buildrules.engine.events import Stream
from buildrules.engine.step import Step
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.globs import expand
from tests.support.space import Space, make_base
from tests.support.steps import OtherProcess
from tests.support.web import Web

BOTH = ("linux/amd64", "linux/arm64")


def built(space: Space, store: Path, executor: OtherProcess | None) -> Build:
    """All that the workspace has, built in a store, with the steps run here or by `executor`."""
    session, stream, opened = Session(), Stream(), Store(str(store))
    with space.inside(".", {}):
        plan = Planning(str(space.root), "", ["//..."], {}, opened, stream, session).plan()
        kinds = session.own(Kinds)
        build = Build(
            plan,
            opened,
            str(space.root),
            session=session,
            kinds=kinds.named,
            versions=kinds.version,
            expand=expand,
            stream=stream,
            executor=executor,
        )
        build.run()
    opened.close()
    assert not build.errors
    return build


def test_a_build_by_another_process_is_the_same(workspace: Space, tmp_path: Path) -> None:
    web = Web()
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", platforms=BOTH)
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [run]}")
    workspace.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    web.files["/m.bin"] = web.files["/n.bin"] = b"a model"
    workspace.append(
        "BUILD.yaml",
        f"""\
  far: {{rule: model, uri: "{web.url}/m.bin"}}
  late: {{rule: model, uri: "{web.url}/n.bin"}}
  two: {{rule: model_package, model: ":far", base_env: ":env", server: ":server", code: ":code"}}
  three: {{rule: model_package, model: ":late", mode: download, base_env: ":env", server: ":server", code: ":code"}}
""",
    )
    workspace.run("lock")
    here = built(workspace, tmp_path / "one", None)
    other = OtherProcess(workspace.root, {**workspace.env, "BUILDRULES_CACHE_DIR": str(tmp_path / "two")})
    there = built(workspace, tmp_path / "two", other)
    assert {name: outcome.key for name, outcome in there.outcomes.items()} == {
        name: outcome.key for name, outcome in here.outcomes.items()
    }
    assert {name: outcome.outputs for name, outcome in there.outcomes.items()} == {
        name: outcome.outputs for name, outcome in here.outcomes.items()
    }
    assert set(other.ran) == {
        *("entry_script", "files_layer", "model_layers", "fetched_model", "start_layers", "inline_layer"),
        *("wheel_layer", "oci_base", "image", "index", "lint", "group"),
    }  # the other kinds' own tests run them from files as well, see tests.support.steps


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 99}, "the step is of group/99"),
        ({"kind": "nonsense"}, "no kind of action is named 'nonsense'"),
        ({"sources": [[["../../etc/passwd", "passwd", 1, 0o644, "sha256:" + "0" * 64]]]}, "leaves the workspace"),
        ({"sources": [[["x", "../x", 1, 0o644, "sha256:" + "0" * 64]]]}, "is not one below its source set"),
        ({"sources": [[["x", "/tmp/x", 1, 0o644, "sha256:" + "0" * 64]]]}, "is not one below its source set"),
        ({"deps": [{}]}, "is no step"),
        ({"kind": []}, "kind of a step cannot be []"),
        ({"params": 5}, "is no step"),
        ({"sources": [[[5, "x", 1, 0o644, "sha256:" + "0" * 64]]]}, "path of a step cannot be 5"),
        ({"sources": [[["x", "x", 1, 0o644, "../x"]]]}, "is no digest"),
        ({"kind": "inline_layer", "params": {"parts": 5}}, "the parameter 'parts' of a step cannot be 5"),
    ],
)
def test_a_file_that_is_no_step_is_refused(workspace: Space, change: dict[str, object], said: str) -> None:
    file = workspace.folder / "step.json"
    step = Step("group", 1, "nothing").to_dict() | change
    file.write_text(json.dumps({"step": step, "connections": [], "plugins": []}))
    workspace.run("step", str(file), code=None).said(said)


def test_what_a_step_makes_is_printed(workspace: Space) -> None:
    file = workspace.folder / "step.json"
    file.write_text(json.dumps({"step": Step("group", 1, "nothing").to_dict(), "connections": [], "plugins": []}))
    assert json.loads(workspace.run("step", str(file)).out) == {"layers": [], "values": {}, "blobs": {}}
