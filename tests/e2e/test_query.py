"""Queries are answered from what was loaded before while that is so, and `inputs` is what a build opens."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.analysis.loaded import Loaded
from tests.support.space import APP, FILES, Space

PACKAGE = """\
targets:
  m: {{rule: model, path: weights}}
  code: {{rule: scoring_code, srcs: [{srcs}], entry_script: score.py{more}}}
  app: {{rule: model_package, model: ":m", base_env: "//:env", server: "{server}", code: "{code}"}}
"""


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each time that a workspace is loaded."""
    found: list[str] = []
    real = Loaded.__init__

    def noted(self: Loaded, *args: object, **more: object) -> None:
        found.append("loaded")
        real(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Loaded, "__init__", noted)
    return found


def test_a_workspace_is_loaded_once_and_after_every_change(workspace: Space, loads: list[str]) -> None:
    space = workspace
    space.write("sub/BUILD.yaml", "targets: {}\n")
    space.run("query", ":nothing", code=2, cwd="sub").said("no target matches '//sub:nothing'")
    assert space.run("query", "rdeps(//..., :m)", "-o", "label").out == "//:app\n//:m\n"
    assert space.run("query", "rdeps(//..., //:m)", "-o", "label", cwd="sub").out == "//:app\n//:m\n"
    assert len(loads) == 1
    space.append("src/score.py", "# more\n")
    space.write("src/more.py", "new = 1\n")
    space.path("empty/below").mkdir(parents=True)
    space.rename_over("BUILD.yaml", space.path("BUILD.yaml").read_text())  # as an editor saves it
    assert space.run("query", "kind(tiny, //...)").out == "//:server  //rules:tiny\n"
    assert len(loads) == 1
    for change in (
        lambda: space.append("sub/BUILD.yaml", "# more\n"),
        lambda: space.write("other/deep/BUILD.yaml", "targets:\n  x: {rule: model, path: .}\n"),
        lambda: space.edit("rules/tiny.yaml", "default: 2", "default: 3"),
        lambda: space.remove("other/deep/BUILD.yaml"),
    ):
        change()
        before = len(loads)
        space.run("query", "//...")
        assert len(loads) == before + 1
    assert space.run("query", "attr(threads, '^3$', //...)", "--output=label").out == "//:server\n"
    space.edit("BUILD.yaml", "path: weights", "paht: weights")
    space.run("query", "//...", code=2).said("has no attribute 'paht'")
    space.run("query", "//...", code=2).said("has no attribute 'paht'")


def test_a_kept_answer_that_is_damaged_is_none(workspace: Space, loads: list[str]) -> None:
    out = workspace.run("query", "//...", "-o", "json").out
    (kept,) = (workspace.store / "workspaces").rglob("*.targets")
    whole = kept.read_bytes()
    for at in range(0, len(whole), len(whole) // 23):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert workspace.run("query", "//...", "-o", "json").out == out
    kept.write_bytes(whole[: len(whole) // 2])
    assert workspace.run("query", "//...", "-o", "json").out == out


def test_outputs(workspace: Space) -> None:
    rows = json.loads(workspace.run("query", "inputs(:app) + :env", "-o", "json").out)
    assert rows[0]["label"] == "//:env" and {"file": "src/score.py"} in rows
    assert workspace.run("query", "deps(:env)", "--output=graph").out == (
        'digraph buildrules {\n  node [shape=box];\n  "//:base"\n  "//:env"\n  "//:env" -> "//:base"\n}\n'
    )
    written = workspace.run("query", "//...", "-o", "build").out
    workspace.write("copy/BUILD.yaml", "workspace: {name: acme}\n" + written)
    shutil.copytree(workspace.path("rules"), workspace.path("copy/rules"))
    again = json.loads(workspace.run("query", "-o", "json", cwd="copy").out)
    assert [(row["label"], row["rule"], row["attributes"]) for row in again] == [
        (row["label"], row["rule"], row["attributes"]) for row in json.loads(workspace.run("query", "-o", "json").out)
    ]
    workspace.write('src/odd "name"\x1b.py', "")
    workspace.write("src/a\nforged", "")
    told = workspace.run("query", "inputs(:app)").out
    assert "\x1b" not in told and "\nforged" not in told and "a\\nforged" in told
    assert "odd #34;name#34;#27;.py" in workspace.run("query", "inputs(:app)", "-o", "mermaid").out
    workspace.run("query", ":code", "-o", "inputs", code=2).said("name //:app instead")
    workspace.run("query", "-o", "labels", code=2).said("'labels' is not one of")


# -- the files that a build opens -------------------------------------------------------------------------------------


def opened(space: Space, label: str) -> set[str]:
    """The files of the workspace that a clean build opens, whoever opens them: it, or a process that it starts."""
    if shutil.which("strace") is None:
        assert "CI" not in os.environ
        pytest.skip("strace is not installed")
    log = space.folder / "trace"
    prefix = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=open,openat,openat2", "-o", str(log)]
    shutil.rmtree(space.store)
    space.process("build", label, "--locked", prefix=prefix)
    found = set()
    for line in log.read_text(errors="surrogateescape").splitlines():
        match = re.search(r'open(?:at2?)?\((?:AT_FDCWD, )?"([^"]*)".*\) = \d+$', line)
        path = space.root / match[1] if match else space.root
        if path.is_relative_to(space.root) and path.is_file():
            found.add(str(path.relative_to(space.root)))
    return found


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, str]:
    """Files of a workspace with some packages, of which some share code, some have files that nobody asks for."""
    files = dict(FILES)
    names = draw(st.lists(st.sampled_from(["a", "b/c", "b", "d-e/f"]), unique=True, max_size=3))
    for name in names:
        srcs = draw(st.sampled_from(["src/**", "src/*.py", "src/score.py, src/deep/**"]))
        more = draw(st.sampled_from(["", ", exclude: [src/*.md]", ", exclude: [src/deep]"]))
        server = draw(st.sampled_from(["//:server", "azureml_online"]))
        shared = draw(st.sampled_from(names))
        files[f"{name}/BUILD.yaml"] = PACKAGE.format(
            srcs=", ".join(f'"{part}"' for part in srcs.split(", ")), more=more, server=server, code=f"//{shared}:code"
        )
        files[f"{name}/src/score.py"] = f"# {name}\ndef init():\n    pass\ndef run(data):\n    return data\n"
        files[f"{name}/weights/w.bin"] = name * 50
        for extra in draw(st.sets(st.sampled_from(["src/x.py", "src/deep/y.py", "src/README.md", "notes.txt"]))):
            files[f"{name}/{extra}"] = f"{extra} of {name}\n"
    return files


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=workspaces(), data=st.data())
def test_inputs_are_the_files_that_a_build_opens(
    template: Path,
    wheelhouse: Path,
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, str],
    data: st.DataObject,
) -> None:
    space = Space(tmp_path_factory.mktemp("inputs"), wheelhouse)
    shutil.copytree(template, space.root)
    for path, text in files.items():
        space.write(path, text)
    labels = [f"//{path.removesuffix('/BUILD.yaml')}:app" for path in files if path.endswith("/BUILD.yaml")]
    label = data.draw(st.sampled_from([*labels, APP]))
    space.run("lock", label)
    space.append(data.draw(st.sampled_from(["BUILD.yaml", "rules/tiny.yaml"])), "# other bytes\n")
    said = set(space.run("query", label, "-o", "inputs").out.splitlines())
    assert said == opened(space, label)


@pytest.mark.slow
def test_inputs_are_files_by_the_names_of_their_links(workspace: Space) -> None:
    workspace.write("src/linked.py", "one = 1\n")
    workspace.path("src/link.py").symlink_to("linked.py")
    said = set(workspace.run("query", APP, "-o", "inputs").out.splitlines())
    assert {"src/link.py", "src/linked.py"} <= said
    workspace.run("lock")
    assert set(workspace.run("query", APP, "-o", "inputs").out.splitlines()) == opened(workspace, APP)


def test_a_request_of_a_package_makes_a_test_and_is_an_input(workspace: Space) -> None:
    assert workspace.run("query", "tests(//...)").out == ""
    workspace.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    sample_request: asked/one.json\n")
    workspace.write("asked/one.json", "{}")
    assert workspace.run("query", "tests(//...)", "-o", "label").out == f"{APP}\n"
    assert "asked/one.json" in workspace.run("query", f"inputs({APP})").out.splitlines()
