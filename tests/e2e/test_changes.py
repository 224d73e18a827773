"""The main path: what a build makes, and that each kind of change costs exactly what it touches."""

import json
import os
import re

import pytest

from buildrules.cli.invocation import Invocation
from buildrules.cli.request import Request
from tests.support.space import APP, CODE, SMALL_MODEL, Space

SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def test_a_first_build_says_what_it_built_and_why(workspace: Space) -> None:
    result = workspace.run("build", APP)
    result.said("//:app  linux/amd64", "built", "first build here", "image sha256:", "8 built, 0 reused")
    assert re.search(r"code code", result.out)
    assert result.err == ""


def test_json_has_the_agreed_schema(workspace: Space) -> None:
    data = workspace.build().data
    assert set(data) == {"build", "targets", "actions", "bytes", "seconds"}
    (target,) = data["targets"]
    assert target["label"] == APP
    assert SHA256.fullmatch(target["digest"])
    assert len(target["layers"]) == 6
    for layer in target["layers"]:
        assert {"digest", "diff_id", "size", "media_type", "origin"} <= set(layer)
        assert SHA256.fullmatch(layer["digest"])
        assert SHA256.fullmatch(layer["diff_id"])
        assert isinstance(layer["size"], int)
        assert layer["media_type"].startswith("application/vnd.oci.image.layer.v1.tar")
    assert target["size"] > sum(layer["size"] for layer in target["layers"])
    assert data["actions"] == {"executed": 8, "cached": 0, "failed": 0}
    assert set(data["bytes"]) == {"read", "written", "fetched", "moved"}
    assert data["bytes"]["read"] > 0
    assert data["bytes"]["written"] > 0
    assert data["bytes"]["fetched"] > 0
    assert isinstance(data["seconds"], float)


def test_json_of_an_unchanged_build_has_the_same_schema(settled: Space) -> None:
    first = settled.build(env={"BUILDRULES_CACHE_DIR": str(settled.folder / "fresh")})
    again = settled.build()
    assert again.data["actions"] == {"executed": 0, "cached": 8, "failed": 0}
    assert again.data["bytes"] == {"read": 0, "written": 0, "fetched": 0, "moved": {}}
    assert set(again.data) == set(first.data)
    strip = [[{**layer, "status": ""} for layer in report.targets[APP]["layers"]] for report in (first, again)]
    assert strip[0] == strip[1]
    assert again.digest == first.digest


def test_an_unchanged_build_is_answered_from_the_state(settled: Space) -> None:
    before = {path: path.stat().st_mtime_ns for path in settled.store.rglob("*")}
    result = settled.run("build", APP)
    result.said("unchanged", "0 built, 8 reused, 0 B read, 0 B written")
    after = {path: path.stat().st_mtime_ns for path in settled.store.rglob("*")}
    assert after == before, "an unchanged build wrote to the store"


@pytest.mark.parametrize(
    ("change", "layers", "executed"),
    [
        (lambda w: w.append("src/score.py", "# more\n"), {CODE}, 2),
        (lambda w: w.append("weights/labels.txt", "bird\n"), {SMALL_MODEL}, 2),
        (lambda w: w.write("src/new.py", "x = 1\n"), {CODE}, 2),
        (lambda w: w.write("src/deep/er/new.py", "x = 1\n"), {CODE}, 2),
        (lambda w: w.remove("src/helper.py"), {CODE}, 2),
        (lambda w: w.path("src/score.py").chmod(0o755), {CODE}, 2),
        (lambda w: w.rename_over("src/score.py", "def run(data):\n    return 7777\n"), {CODE}, 2),
        (lambda w: os.rename(w.path("src/helper.py"), w.path("src/helped.py")), {CODE}, 2),
        (lambda w: w.write("src/BUILD.yaml", "targets: {}\n"), set(), 0),
        (lambda w: w.write("src/__pycache__/score.cpython-311.pyc", b"\0"), set(), 0),
        (lambda w: w.write("notes.md", "nobody's input\n"), set(), 0),
        (lambda w: w.write("src/score.py", w.path("src/score.py").read_text()), set(), 0),
        (lambda w: os.utime(w.path("weights/model.txt")), set(), 0),
        (lambda w: w.path("src/score.py").chmod(0o600), set(), 0),
        (lambda w: w.append("BUILD.yaml", "# a comment\n"), set(), 0),
        (lambda w: w.edit("BUILD.yaml", "code: :code", "code: :code\n    environment: {A: b}"), set(), 1),
        (lambda w: w.edit("BUILD.yaml", "src/**", "src/score.*"), {CODE}, 2),
        (lambda w: w.edit("BUILD.yaml", ":server\n    code", ":server\n    labels: {a: b}\n    code"), set(), 1),
        (lambda w: w.edit("rules/tiny.yaml", "default: 2", "default: 3"), set(), 1),
        (lambda w: w.edit("rules/tiny.yaml", "own.", "own, described better."), set(), 0),
        (lambda w: w.edit("rules/tiny.yaml", "/srv/app", "/srv/code"), {CODE}, 2),
    ],
    ids=[
        "edit code",
        "edit model",
        "new file",
        "new file in new folders",
        "file removed",
        "now executable",
        "saved by renaming",
        "file renamed",
        "package inside the sources",
        "byte code",
        "file of no target",
        "written with the same content",
        "touched",
        "mode that does not matter",
        "comment in BUILD.yaml",
        "environment variable",
        "narrower glob",
        "label",
        "default in a rule",
        "words of a rule",
        "directory in a rule",
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["same process line", "json"])
def test_a_change_rebuilds_what_it_touches(built: Space, change, layers: set[str], executed: int, kept: bool) -> None:
    # `built` ran with --json, so the other command line is not known and plans from the files
    change(built)
    if kept:
        report = built.build()
        assert report.built == layers
        assert report.executed == executed
    else:
        built.run("build", APP).said(f"{executed} built")
    assert built.build().digests == built.clean_build().digests


def test_what_is_undone_is_taken_from_the_store(built: Space) -> None:
    first = built.build().digest
    text = built.path("src/score.py").read_text()
    built.write("src/score.py", "other = 1\n")
    assert built.build().digest != first
    built.write("src/score.py", text)
    again = built.build()
    assert again.digest == first
    assert again.executed == 0


def test_a_requirement_locks_again_and_changes_the_wheel_layers_only(built: Space) -> None:
    lock = built.path("pylock.env-linux-amd64.toml")
    before = lock.read_text()
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    report = built.build()
    assert "wrote pylock.env-linux-amd64.toml" in report.err
    assert lock.read_text() != before
    assert 'version = "2.0"' in lock.read_text()
    assert report.built == {"small wheels 2"}
    assert report.digests == built.clean_build().digests


def test_a_requirements_file_is_an_input(built: Space) -> None:
    built.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements_file: requirements.txt")
    built.write("requirements.txt", "numlib==1.0\n")
    same = built.build()
    assert same.built == set()
    built.write("requirements.txt", "numlib==2.0\n")
    assert built.build().built == {"small wheels 2"}


def test_a_conda_file_is_an_input(built: Space) -> None:
    built.edit("BUILD.yaml", "requirements: [numlib==1.0]", "conda_file: conda.yaml")
    conda = "name: e\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n    - numlib==1.0\n"
    built.write("conda.yaml", conda)
    built.build()
    before = built.path("pylock.env-linux-amd64.toml").read_text()
    built.write("conda.yaml", conda.replace("numlib==1.0", "numlib==2.0"))
    report = built.build()
    assert built.path("pylock.env-linux-amd64.toml").read_text() != before
    assert "small wheels 2" in report.built
    assert CODE not in report.built


def test_a_second_package_shares_every_layer_but_its_own(built: Space) -> None:
    built.append(
        "BUILD.yaml",
        "  code2: {rule: scoring_code, srcs: ['other/*.py'], entry_script: score.py}\n"
        "  app2: {rule: model_package, model: ':m', base_env: ':env', server: ':server', code: ':code2'}\n",
    )
    built.write("other/score.py", "def run(data): return 2\n")
    report = built.build("//:app", "//:app2")
    assert report.built == {"code code2"}
    assert report.executed == 2
    first, second = ({layer["digest"] for layer in report.targets[name]["layers"]} for name in ("//:app", "//:app2"))
    assert len(first & second) == 5
    assert report.data["bytes"]["fetched"] == 0


def test_a_second_package_reads_nothing_of_the_first_again(built: Space) -> None:
    built.write("other/score.py", "def run(data): return 2\n")
    built.settle()
    built.append(
        "BUILD.yaml",
        "  code2: {rule: scoring_code, srcs: ['other/*.py'], entry_script: score.py}\n"
        "  app2: {rule: model_package, model: ':m', base_env: ':env', server: ':server', code: ':code2'}\n",
    )
    size = built.path("other/score.py").stat().st_size
    report = built.build("//:app2")
    assert report.data["bytes"]["read"] <= 2 * size, "more was read than the new file (to hash it and to pack it)"


def test_a_server_of_the_workspace_is_one_yaml_file(workspace: Space) -> None:
    workspace.write(
        "rules/echo.yaml",
        "rule: echo\nprovides: server\nsummary: Echoes.\nattributes:\n"
        "  port: {type: integer, default: 9000, doc: Port.}\n"
        "requires: {code: always, model: optional}\nlayout: {model: /m, code: /c}\n"
        'image: {entrypoint: [python3, /c/score.py], ports: ["{port}"], environment: {PORT: "{port}"}}\n'
        'routes: {scoring: "{port}/echo"}\n',
    )
    workspace.edit("BUILD.yaml", "{rule: //rules:tiny}", '{rule: "//rules:echo", port: 9001}')
    report = workspace.build()
    config = workspace.config(report.digest)
    assert "PORT=9001" in config["Env"]
    assert "9001/tcp" in config["ExposedPorts"]
    assert config["Entrypoint"] == ["python3", "/c/score.py"]
    assert len(report.targets[APP]["layers"]) == 5  # the server has no packages of its own


def test_the_built_in_server_works_like_a_users_own(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "server: :server", "server: azureml_online")
    workspace.append("src/score.py", "def init():\n    pass\n")
    config = workspace.config(workspace.build().digest)
    assert config["Entrypoint"][0] == "azmlinfsrv"
    assert workspace.path("pylock.env+azureml_online-linux-amd64.toml").exists()


def test_all_targets_of_a_workspace(workspace: Space) -> None:
    report = workspace.build("//...")
    assert set(report.targets) == {"//:app", "//:base", "//:env"}
    assert workspace.build("//...", "-//:app").executed == 0


def test_patterns_are_relative_to_the_directory(workspace: Space) -> None:
    workspace.write(
        "sub/BUILD.yaml",
        "targets:\n  app: {rule: model_package, base_env: //:base, server: //:server, code: //:code}\n",
    )
    digest = workspace.build("//sub:app").targets["//sub:app"]["digest"]
    report = workspace.run("build", ":app", cwd="sub")
    report.said("//sub:app", digest)
    workspace.run("build", "//:app", cwd="sub").said("//:app")


def test_a_nested_workspace_that_is_none_any_more_is_noticed(workspace: Space) -> None:
    workspace.write("inner/BUILD.yaml", "workspace: {name: inner}\ntargets: {more: {rule: nonsense}}\n")
    workspace.settle("build", "//...")
    workspace.run("build", "//...").said("0 built")
    workspace.edit("inner/BUILD.yaml", "workspace: {name: inner}\n", "")
    workspace.run("build", "//...", code=2).said("nonsense")


@pytest.mark.slow
def test_a_workspace_nested_later_is_watched_too(workspace: Space) -> None:
    workspace.settle("build", "//...")
    workspace.write("inner/BUILD.yaml", "workspace: {name: inner}\ntargets: {more: {rule: nonsense}}\n")
    workspace.settle("build", "//...")
    workspace.run("build", "//...").said("0 built")
    workspace.edit("inner/BUILD.yaml", "workspace: {name: inner}\n", "")
    workspace.run("build", "//...", code=2).said("nonsense")


def test_the_image_says_what_it_is_locked_to(workspace: Space) -> None:
    def told() -> dict[str, str]:
        return dict(json.loads(workspace.config(workspace.build().digest)["Labels"]["buildrules.locks"]))

    first = told()
    assert set(first) == {"base", "environment", "server"}
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    second = told()
    assert {name for name in first if first[name] != second[name]} == {"environment"}


@pytest.mark.parametrize("unstable", [True, False])
def test_a_build_whose_inputs_changed_meanwhile_is_not_kept(workspace: Space, unstable: bool) -> None:
    with workspace.inside(".", {}):
        invocation = Invocation(str(workspace.root), "", ["", "build", APP], Request("build", [APP], {}))
        invocation.prepare(None)
        build = invocation.build()
        name, outcome = next(iter(build.outcomes.items()))
        build.outcomes[name] = outcome._replace(unstable=unstable)
        invocation.save(["text"], ("", "", ""))
    assert bool(workspace.states()) is not unstable


def test_a_package_is_the_same_alone_and_beside_others_of_the_same_names(workspace: Space) -> None:
    for package, version in (("one", "1.0"), ("two", "2.0")):
        workspace.write(
            f"{package}/BUILD.yaml",
            "targets:\n"
            f"  env: {{rule: python_env, base: //:base, requirements: [numlib=={version}]}}\n"
            "  app: {rule: model_package, base_env: ':env', server: //:server, code: //:code}\n",
        )
    together = workspace.build("//one:app", "//two:app").digests
    assert together["//one:app"] != together["//two:app"]
    for label, digest in together.items():
        assert workspace.clean_build(label).digests[label] == digest
    assert workspace.path("two/pylock.env+server-linux-amd64.toml").exists()


def test_two_servers_of_one_name_on_one_environment_are_an_error(workspace: Space) -> None:
    for package in ("one", "two"):
        workspace.write(
            f"{package}/BUILD.yaml",
            "targets:\n"
            "  server: {rule: //rules:tiny}\n"
            "  app: {rule: model_package, base_env: //:env, server: ':server', code: //:code}\n",
        )
    workspace.run("build", "//one:app", "//two:app", code=2).said("two servers named 'server'", "rename one")


def test_files_a_package_names_are_looked_for_before_anything_is_locked(workspace: Space) -> None:
    for lock in workspace.root.glob("pylock.*"):
        lock.unlink()
    workspace.edit("BUILD.yaml", "path: weights}", "path: weigths}")
    workspace.edit("BUILD.yaml", "entry_script: score.py", "entry_script: scor.py")
    workspace.append("BUILD.yaml", "    sample_request: none.json\n")
    result = workspace.run("build", APP, code=2)
    result.said("there is no 'weigths'", "did you mean 'weights'?")
    result.said("the code has no 'scor.py'", "did you mean 'score.py'?")
    result.said("there is no 'none.json'")
    assert not list(workspace.root.glob("pylock.*"))


def test_a_renamed_entry_script_is_noticed_from_the_kept_plan(settled: Space) -> None:
    settled.path("src/score.py").rename(settled.path("src/other.py"))
    settled.run("build", APP, code=2).said("the code has no 'score.py'")
