"""Every step of a build can be run by another process, from a file, and makes the same."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.build import Build
from buildrules.engine.events import Stream
from buildrules.engine.step import Step
from buildrules.engine.step_file import StepFile
from buildrules.net.session import Session
from buildrules.prepared import prepare
from buildrules.store.store import Store
from buildrules.workspace.globs import expand
from tests.support.space import APP, Space, make_base
from tests.support.steps import OtherProcess
from tests.support.web import Web

BOTH = ("linux/amd64", "linux/arm64")


def built(space: Space, store: Path, executor: OtherProcess | None) -> Build:
    """All that the workspace has, built in a store, with the steps run here or by `executor`."""
    session, stream, opened = Session(), Stream(), Store(str(store))
    with space.inside(".", {}):
        plan = prepare(str(space.root), "", ["//..."], {}, opened, stream, session).plan()
        kinds = session.own(Kinds)
        build = Build(
            plan,
            opened,
            str(space.root),
            session=session,
            kinds=kinds,
            expand=expand,
            stream=stream,
            elsewhere=executor,
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
        *("wheel_layer", "oci_base", "image", "index", "lint", "group", "fetch", "installed"),
    }  # the other kinds' own tests run them from files as well, see tests.support.steps


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 99}, "the step is of group/99"),
        ({"kind": "nonsense"}, "no kind of action is named 'nonsense'"),
        ({"sources": [[["../../etc/passwd", "passwd", 1, 0o644, "sha256:" + "0" * 64]]]}, "leaves the workspace"),
        ({"sources": [[["x", "../x", 1, 0o644, "sha256:" + "0" * 64]]]}, "is not one below its source set"),
        ({"sources": [[["x", "/tmp/x", 1, 0o644, "sha256:" + "0" * 64]]]}, "is not one below its source set"),
        ({"deps": [{}]}, "is not a step"),
        ({"kind": []}, "kind of a step cannot be []"),
        ({"params": 5}, "is not a step"),
        ({"sources": [[[5, "x", 1, 0o644, "sha256:" + "0" * 64]]]}, "path of a step cannot be 5"),
        ({"sources": [[["x", "x", 1, 0o644, "../x"]]]}, "is not a digest"),
        ({"kind": "inline_layer", "params": {"parts": 5}}, "the parameter 'parts' of a step cannot be 5"),
    ],
)
def test_a_file_that_is_no_step_is_refused(workspace: Space, change: dict[str, object], said: str) -> None:
    file = workspace.folder / "step.json"
    step = Step("group", 1, "nothing").to_dict() | change
    file.write_text(json.dumps({"step": step, "connections": [], "plugins": []}))
    answer = workspace.run("step", str(file), code=None).said(said)
    assert "Error" not in answer.err
    told = json.loads(answer.out)["error"]
    assert (told["class"] in ("UsageError", "ActionError")) and said in told["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b"\xff\xfe{", "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[]", "it is not a JSON object"),
        (b"{}", "it has no object 'step'"),
        (b'{"step": {}, "connections": [5], "plugins": []}', "it has no list 'connections' of objects"),
        (b'{"step": {}, "connections": []}', "it has no list 'plugins' of names"),
        (b'{"step": {}, "connections": [], "plugins": []}', "a part of it has no 'deps'"),
        (b'{"step": {"deps": 5}, "connections": [], "plugins": []}', "a list or an object of it is something else"),
    ],
)
def test_a_file_of_another_form_is_refused(workspace: Space, text: bytes, said: str) -> None:
    file = workspace.folder / "step.json"
    file.write_bytes(text)
    answer = workspace.run("step", str(file), code=2).said(
        f"is not a step: {said}", "hint: 'buildrules build --steps DIR'"
    )
    told = json.loads(answer.out)
    assert told["error"]["class"] == "UsageError" and said in told["error"]["message"]
    assert told["bytes"] == {"read": 0, "fetched": 0}


def test_what_a_step_makes_is_printed(workspace: Space) -> None:
    file = workspace.folder / "step.json"
    file.write_text(StepFile(Step("group", 1, "nothing"), [], []).text())
    assert json.loads(workspace.run("step", str(file)).out) == {
        "outputs": {"layers": [], "values": {}, "blobs": {}},
        "bytes": {"read": 0, "fetched": 0},
        "warnings": [],
    }


def test_the_steps_of_a_build_are_written_down_and_run_again(workspace: Space) -> None:
    workspace.run("build", APP, "--steps", str(workspace.folder / "steps"))
    files = sorted((workspace.folder / "steps").iterdir())
    kinds = {file.name.partition("-")[2].removesuffix(".json") for file in files}
    assert {"files_layer", "wheel_layer", "image", "oci_base", "lint"} <= kinds
    (code,) = [file for file in files if "-files_layer" in file.name]
    step = StepFile.read(str(code)).step
    answer = json.loads(workspace.run("step", str(code)).out)
    (layer,) = answer["outputs"]["layers"]
    (target,) = workspace.build().data["targets"]
    assert layer["digest"] in {one["digest"] for one in target["layers"]}
    assert answer["bytes"]["read"] == sum(file.size for file in step.files)
    workspace.run("build", APP, "--steps", str(workspace.folder / "more"))
    assert not (workspace.folder / "more").exists()  # nothing ran
    workspace.append("src/helper.py", "# more\n")
    workspace.run("build", APP, "--steps", str(workspace.path("BUILD.yaml")), code=2).said("is a file")
    workspace.run("build", APP, "--steps", str(workspace.folder / "more"))
    assert "files_layer" in " ".join(file.name for file in (workspace.folder / "more").iterdir())


@pytest.mark.slow
def test_damage_is_told_from_other_failures_and_healed(workspace: Space, tmp_path: Path) -> None:
    web = Web()
    web.files["/m.bin"] = b"a model"
    workspace.append(
        "BUILD.yaml",
        f"""\
  far: {{rule: model, uri: "{web.url}/m.bin"}}
  two: {{rule: model_package, model: ":far", base_env: ":env", server: ":server", code: ":code"}}
""",
    )
    workspace.run("lock")
    store = tmp_path / "two"
    other = OtherProcess(workspace.root, {**workspace.env, "BUILDRULES_CACHE_DIR": str(store)})
    built(workspace, store, other)
    assert other.bytes_read
    shutil.copytree(store / "blobs", tmp_path / "three" / "blobs")  # and no records
    (blob,) = (tmp_path / "three" / "blobs").rglob(hashlib.sha256(b"a model").hexdigest())
    blob.chmod(0o644)
    blob.write_bytes(b"A MODEL")
    asked = len(web.seen)
    other = OtherProcess(workspace.root, {**workspace.env, "BUILDRULES_CACHE_DIR": str(tmp_path / "three")})
    built(workspace, tmp_path / "three", other)
    assert blob.read_bytes() == b"a model"
    assert len(web.seen) > asked
    assert other.ran.count("fetched_model") == 2 and "DamagedError" in other.failed
