"""What goes wrong is said with its place and its way out, with the right exit code, and changes nothing."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.space import APP, Space, make_base, make_wheels

MISTAKES = {
    "broken yaml": (
        ("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: [numlib==1.0"),
        [r"BUILD.yaml:\d+:\d+: "],
    ),
    "no space after a colon": (
        ("BUILD.yaml", "code: {rule: scoring_code", "code: {rule:scoring_code"),
        [r"BUILD.yaml:11:10: the key 'rule:scoring_code' has no value", "space after the colon: `rule: scoring_code`"],
    ),
    "no rule": (("BUILD.yaml", "{rule: scoring_code, ", "{"), [r"BUILD.yaml:11:3: target 'code' has no 'rule'"]),
    "tab": (("BUILD.yaml", "    rule: python_env", "\trule: python_env"), [r"BUILD.yaml:\d+:\d+: "]),
    "twice the same key": (
        ("BUILD.yaml", "  m: {", "  code: {"),
        [r"BUILD.yaml:\d+:3: ", "code", "hint|twice|already"],
    ),
    "unknown rule": (
        ("BUILD.yaml", "rule: model,", "rule: modle,"),
        [r"BUILD.yaml:10:\d+: .*'?modle'?", "did you mean 'model'"],
    ),
    "unknown attribute": (
        ("BUILD.yaml", "path: weights", "pth: weights"),
        [r"BUILD.yaml:10:\d+: .*pth", "did you mean 'path'"],
    ),
    "missing attribute": (
        ("BUILD.yaml", 'srcs: ["src/**"], ', ""),
        [r"BUILD.yaml:11:\d+: .*srcs"],
    ),
    "wrong type": (
        ("BUILD.yaml", "{rule: //rules:tiny}", '{rule: "//rules:tiny", threads: many}'),
        [r"BUILD.yaml:12:43: expected a whole number, not 'many'"],
    ),
    "below the minimum": (
        ("BUILD.yaml", "{rule: //rules:tiny}", '{rule: "//rules:tiny", threads: 0}'),
        [r"BUILD.yaml:12:43: 0 is too small", "hint: the smallest value is 1"],
    ),
    "no such target": (
        ("BUILD.yaml", "code: :code", "code: :cod"),
        [r"BUILD.yaml:18:\d+: .*cod", "did you mean '(//)?:code'"],
    ),
    "wrong kind of target": (
        ("BUILD.yaml", "model: :m", "model: :code"),
        [r"BUILD.yaml:15:\d+: .*code"],
    ),
    "needs itself": (
        ("BUILD.yaml", "base: :base\n", "base: :env\n"),
        [r"BUILD.yaml:8:\d+: ", "env"],
    ),
    "unknown server": (
        ("BUILD.yaml", "server: :server", "server: azureml_onlin"),
        [r"BUILD.yaml:17:\d+: ", "azureml_online"],
    ),
    "no model archive": (
        ("BUILD.yaml", "server: :server\n    code: :code", "server: torchserve"),
        [r"BUILD.yaml:10:26: 'weights' is not a model archive", "torch-model-archiver"],
    ),
    "a folder as a request": (
        ("BUILD.yaml", "    code: :code\n", "    code: :code\n    sample_request: weights\n"),
        [r"BUILD.yaml:19:21: 'weights' is a folder", "name a file in it"],
    ),
    "no requirements file": (
        ("BUILD.yaml", "requirements: [numlib==1.0]", "requirements_file: src/hepler.py"),
        [r"BUILD.yaml:9:24: there is no 'src/hepler.py'", "did you mean 'helper.py'"],
    ),
    "a folder as a glob": (
        ("BUILD.yaml", 'srcs: ["src/**"]', "srcs: [src]"),
        [r"BUILD.yaml:11:\d+: no file matches the srcs of //:code", r"'src' is a folder; .* 'src/\*\*'"],
    ),
    "no module of a service": (
        ("BUILD.yaml", "server: :server", "server: bentoml"),
        [r"BUILD.yaml:17:\d+: the code has no module 'service', in which .* looks for 'service:Service'", "helper"],
    ),
    "no module of an application": (
        ("BUILD.yaml", "server: :server", "server: fastapi"),
        [r"BUILD.yaml:17:\d+: the code has no module 'app'", r'NAME: {rule: fastapi, app: "helper:app"}'],
    ),
    "path outside": (("BUILD.yaml", "path: weights", "path: ../weights"), [r"BUILD.yaml:10:\d+: "]),
    "absolute path": (("BUILD.yaml", "path: weights", "path: /etc"), [r"BUILD.yaml:10:\d+: "]),
    "missing model": (("BUILD.yaml", "path: weights", "path: weihgts"), [r"weihgts"]),
    "requirement that is none": (
        ("BUILD.yaml", "numlib==1.0", "'numlib=!1.0'"),
        [r"BUILD.yaml:9:\d+: .*numlib=!1.0"],
    ),
    "option in requirements": (
        ("BUILD.yaml", "numlib==1.0", "'--index-url http://127.0.0.1:1/simple'"),
        [r"BUILD.yaml:9:\d+: "],
    ),
    "unknown key of the workspace": (
        ("BUILD.yaml", "platforms: ", "plattforms: "),
        [r"BUILD.yaml:3:\d+: .*plattforms", "platforms"],
    ),
    "unknown platform of the workspace": (
        ("BUILD.yaml", "linux/amd64", "linux/amd46"),
        [r"BUILD.yaml:3:\d+: .*amd46"],
    ),
    "broken rule": (("rules/tiny.yaml", "{threads}", "{treads}"), [r"rules/tiny.yaml:\d+:\d+: .*treads", "threads"]),
    "rule with an unknown key": (("rules/tiny.yaml", "summary:", "sumary:"), [r"rules/tiny.yaml:\d+:\d+: .*sumary"]),
    "rule with an unknown type": (("rules/tiny.yaml", "type: integer", "type: intger"), [r"rules/tiny.yaml:\d+:\d+: "]),
}


@pytest.mark.parametrize(("edit", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_shown_where_it_is(built: Space, edit: tuple[str, str, str], expected: list[str]) -> None:
    store, locks = set(built.blobs()), {path: data for path, data in built.tree().items() if "lock" in path}
    built.edit(*edit)
    result = built.run("build", APP, code=None)
    assert result.code in (1, 2)
    assert result.out == "" or "FAILED" not in result.out
    for pattern in expected:
        assert re.search(pattern, result.err), f"{pattern!r} is missing in:\n{result.err}"
    assert re.search(r"^error: ", result.err, re.M)
    assert "Traceback" not in result.err
    assert str(built.folder) not in result.err, "an error shows where the workspace lies on this machine"
    assert set(built.blobs()) == store
    assert {path: data for path, data in built.tree().items() if "lock" in path} == locks


def test_all_mistakes_are_shown_at_once(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "rule: model,", "rule: modle,")
    workspace.edit("BUILD.yaml", "requirements:", "requirments:")
    workspace.write("sub/BUILD.yaml", "targets:\n  x: {rule: scoring_kode}\n")
    result = workspace.run("build", APP, code=2)
    result.said("BUILD.yaml:9:", "BUILD.yaml:10:", "sub/BUILD.yaml:2:")


@pytest.mark.parametrize("wrong", ["code: {rule:scoring_code, ", "code: {"])
def test_a_target_without_a_rule_is_not_missing_where_it_is_named(workspace: Space, wrong: str) -> None:
    workspace.edit("BUILD.yaml", "code: {rule: scoring_code, ", wrong)
    assert "does not exist" not in workspace.run("build", APP, code=2).said("BUILD.yaml:11:").err


def test_a_cycle_is_shown(workspace: Space) -> None:
    workspace.write(
        "rules/loop.yaml",
        "rule: loop\nextends: model\nprovides: model\nsummary: Loops.\nattributes:\n"
        "  next: {type: label, provider: model, required: true, doc: Next.}\n",
    )
    workspace.append(
        "BUILD.yaml",
        '  a: {rule: "//rules:loop", path: weights, next: ":b"}\n'
        '  b: {rule: "//rules:loop", path: weights, next: ":a"}\n',
    )
    workspace.run("query", code=2).said("//:a -> //:b -> //:a", "cycle", "BUILD.yaml:")


def test_visibility_is_kept(workspace: Space) -> None:
    workspace.write("lib/BUILD.yaml", "targets:\n  m: {rule: model, path: data, visibility: [//friends/...]}\n")
    workspace.write("lib/data/x.txt", "x")
    workspace.edit("BUILD.yaml", "model: :m", "model: //lib:m")
    result = workspace.run("build", APP, code=2)
    result.said("BUILD.yaml:15:", "'//lib:m' is not visible from '//:app'", "hint: ")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("//:ap", "did you mean"),
        ("//nowhere/...", "//nowhere/..."),
        ("//a b", "//a b"),
        ("///", "///"),
        ("", "pattern"),
        ("//../x:y", "//../x:y"),
        ("//:m", "only built as part of a package"),
    ],
)
def test_a_pattern_that_names_nothing(workspace: Space, pattern: str, text: str) -> None:
    workspace.run("build", pattern, code=2).said("error: ", text)


def test_an_export_of_two_images_asks_which(workspace: Space) -> None:
    workspace.append(
        "BUILD.yaml", "  two: {rule: model_package, base_env: ':base', server: ':server', code: ':code'}\n"
    )
    result = workspace.run("export", "//...", "-o", str(workspace.folder / "out"), code=2)
    result.said("names 2 packages", "//:app", "//:two", "hint: name one")
    assert not (workspace.folder / "out").exists()


def test_no_workspace(workspace: Space, tmp_path: Path) -> None:
    workspace.root = tmp_path
    workspace.run("build", APP, code=2).said("no workspace here", "buildrules init")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["biuld", APP], "did you mean 'build'?"),
        (["build"], "PATTERN"),
        (["build", APP, "--lokced"], "--locked"),
        (["build", APP, "-j", "0"], "jobs"),
        (["build", APP, "--platform", "windows/amd64"], "no platform 'windows/amd64'"),
        (["cache", "gc", "--keep", "soon"], "not a duration"),
        (["export", "//:env", "-o", "out"], "names no package that could be"),
        (["help-rule", "python_enf"], "python_env"),
        (["load", "//:env"], "names no package that could be"),
    ],
)
def test_a_command_line_that_cannot_be(workspace: Space, args: list[str], text: str) -> None:
    workspace.run(*args, code=2).said(text)


def test_unsatisfiable_requirements_come_with_the_resolvers_reason(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, needy]")
    before = workspace.tree()
    result = workspace.run("build", APP, code=1)
    result.said("numlib>=2", "numlib==1.0", "env")
    assert workspace.tree() == before


def test_a_package_that_does_not_exist(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "numlib==1.0", "no-such-package-here")
    workspace.run("build", APP, code=1).said("no-such-package-here")


def test_the_python_of_base_and_environment_must_agree(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "requirements: [numlib==1.0]", 'requirements: [numlib==1.0]\n    python: "3.12"')
    result = workspace.run("build", APP, code=1)
    result.said(
        "BUILD.yaml:10:",
        "python '3.12' is asked for, and the base has Python 3.11.2",
        "hint: choose a base with Python 3.12",
    )


def test_an_environment_needs_a_base_with_python(workspace: Space) -> None:
    make_base(workspace.path("bare"), python="")
    workspace.edit("BUILD.yaml", "layout: base", "layout: bare")
    workspace.run("build", APP, code=1).said("has no Python", 'python: "3.12"')


def test_a_python_that_nothing_in_the_image_speaks_of(workspace: Space) -> None:
    make_base(workspace.path("bare"), python="")
    workspace.edit("BUILD.yaml", "layout: base}", 'layout: bare, python: "3.11"}')
    workspace.run("build", APP).said("warning: //:base: /usr/local/bin/python3.11 is taken to be its Python")
    workspace.edit("BUILD.yaml", 'python: "3.11"', 'python: "3.11", interpreter: /usr/bin/python3.11')
    assert "is taken to be" not in workspace.run("build", APP).err


def test_a_base_that_says_another_python_than_it_has(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "layout: base}", 'layout: base, python: "3.12"}')
    workspace.run("build", APP, code=1).said("has Python 3.11.2, and the target says 3.12")


def test_a_wheel_that_changed_at_its_place(workspace: Space, tmp_path: Path) -> None:
    links = make_wheels(tmp_path / "links")
    workspace.env["UV_FIND_LINKS"] = str(links)
    workspace.path("pylock.env-linux-amd64.toml").read_text()
    file = links / "numlib-1.0-py3-none-any.whl"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = workspace.run("build", APP, code=None)
    assert result.code in (1, 4)
    result.said("numlib-1.0-py3-none-any.whl")
    workspace.sound()
    file.write_bytes(data)
    assert workspace.build().digest == workspace.clean_build().digest


def test_a_wheel_that_is_gone_says_to_lock_again(workspace: Space, tmp_path: Path) -> None:
    links = make_wheels(tmp_path / "links")
    workspace.env["UV_FIND_LINKS"] = str(links)
    (links / "numlib-1.0-py3-none-any.whl").unlink()
    result = workspace.run("build", APP, code=4)
    result.said("numlib-1.0-py3-none-any.whl", "buildrules lock --upgrade numlib")


def test_a_wheel_that_is_gone_may_be_put_beside_the_lock(workspace: Space, tmp_path: Path) -> None:
    """Also while the plan is kept."""
    links = make_wheels(tmp_path / "links")
    workspace.env["UV_FIND_LINKS"] = str(links)
    export = ("export", APP, "-o", str(tmp_path / "layout"))
    workspace.run(*export)
    workspace.settle(*export)
    wheel = links / "numlib-1.0-py3-none-any.whl"
    data = wheel.read_bytes()
    wheel.unlink()
    shutil.rmtree(workspace.store / "blobs")
    shutil.rmtree(workspace.store / "table")
    shutil.rmtree(tmp_path / "layout")
    workspace.run(*export, code=4).said("numlib-1.0-py3-none-any.whl", "put the file beside the lock")
    workspace.write("numlib-1.0-py3-none-any.whl", data)
    workspace.run(*export)


def test_a_failing_build_reports_as_json_too(built: Space) -> None:
    built.path("src/broken.py").symlink_to("nowhere")
    result = built.run("build", APP, "--json", code=1)
    data = json.loads(result.out)
    assert data["actions"]["failed"] == 1  # the code; the image that needs it is skipped
    assert data["targets"] == []
    assert "src/broken.py" in data["errors"][0]["message"]


def test_keep_going_builds_what_does_not_need_the_failure(workspace: Space) -> None:
    workspace.append(
        "BUILD.yaml",
        "  none: {rule: scoring_code, srcs: ['none/*.py']}\n"
        "  bad: {rule: model_package, base_env: ':env', server: ':server', code: ':none'}\n",
    )
    workspace.path("none").mkdir()
    workspace.path("none/broken.py").symlink_to("nowhere")
    result = workspace.run("build", "//:app", "//:bad", "--keep-going", "--json", code=1)
    data = json.loads(result.out)
    assert [target["label"] for target in data["targets"]] == [APP]
    assert data["actions"]["failed"] == 1
    assert workspace.build().executed == 0


def test_a_store_of_a_newer_version(built: Space) -> None:
    (built.store / "version").write_text("99\n")
    before = {path: path.stat().st_mtime_ns for path in built.store.rglob("*")}
    built.append("src/score.py", "#\n")
    result = built.run("build", APP, code=1)
    result.said("written by a newer buildrules", "BUILDRULES_CACHE_DIR")
    assert {path: path.stat().st_mtime_ns for path in built.store.rglob("*")} == before


def test_a_store_where_nothing_may_be_written(workspace: Space) -> None:
    (workspace.folder / "file").write_text("")
    result = workspace.run("build", APP, env={"BUILDRULES_CACHE_DIR": str(workspace.folder / "file" / "store")}, code=1)
    result.said("cannot", "store", "BUILDRULES_CACHE_DIR")


@pytest.fixture
def as_nobody() -> Iterator[list[str]]:
    """What to put before a command so that it runs without root's rights."""
    yield [] if os.getuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_a_store_that_is_read_only(built: Space, as_nobody: list[str]) -> None:
    if as_nobody and not _reachable(built):
        pytest.fail("the temporary directory cannot be read by others")
    for path in [built.store, *built.store.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    built.append("src/score.py", "#\n")
    try:
        result = built.process("build", APP, code=1, prefix=as_nobody)
        result.said("store", "hint:")
        assert "Traceback" not in result.err
    finally:
        for path in [built.store, *built.store.rglob("*")]:
            path.chmod(0o755)


def _reachable(space: Space) -> bool:
    """Let others come to the workspace: pytest's own folders are private."""
    for path in [space.root, *space.root.parents]:
        if path.parent == path:
            break
        mode = path.stat().st_mode
        if not mode & 0o001:
            path.chmod(mode | 0o055)
    return True


def test_docker_is_not_there(built: Space) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{built.folder}/no.sock"}
    for verb in ("load", "run"):
        result = built.run(verb, APP, env=nowhere, code=1)
        result.said("error: ", "Docker", "hint: ")


def test_nothing_hints_at_secrets(workspace: Space) -> None:
    secret = "canary-5f1b"
    env = {"UV_FIND_LINKS": "", "UV_CONFIG_FILE": "", "UV_DEFAULT_INDEX": f"http://me:{secret}@127.0.0.1:9/simple"}
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    result = workspace.run("build", APP, env=env, code=1)
    assert secret not in result.out + result.err
    for path in workspace.folder.rglob("*"):
        if path.is_file() and "uv" not in path.relative_to(workspace.folder).parts:
            assert secret.encode() not in path.read_bytes(), path


def test_json_of_a_failed_load_is_an_object_with_all_errors(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirement: [numlib==1.0]\n    bass: 1")
    result = workspace.run("build", APP, "--json", code=2)
    found = json.loads(result.out)
    assert found["targets"] == []
    assert found["actions"] == {"executed": 0, "cached": 0, "failed": 0}
    assert len(found["errors"]) >= 2
    assert all(error["position"].startswith("BUILD.yaml:") for error in found["errors"])


def test_two_environments_with_one_lock(workspace: Space) -> None:
    """The names of locks have no dots (PEP 751)."""
    workspace.append(
        "BUILD.yaml",
        """\
  env.b: {rule: python_env, base: ":base", requirements: [numlib]}
  env-b: {rule: python_env, base: ":base", requirements: [numlib]}
""",
    )
    workspace.run("build", "//...", code=2).said(
        "two environments would have the lock 'pylock.env-b-", "'env.b'", "rename"
    )


def test_another_target_is_refused_before_it_is_built(workspace: Space) -> None:
    workspace.remove("pylock.env-linux-amd64.toml")
    workspace.append(
        "BUILD.yaml", "  also: {rule: model_package, model: ':m', base_env: ':env', server: ':server', code: ':code'}\n"
    )
    for words in (["run", "-d"], ["load"], ["export", "-o", "out"], ["show"], ["push"]):
        workspace.run(*words, "//:env", code=2).said(
            "'//:env' names no package that could be", "name a package that is made of it: //:also, //:app"
        )
    workspace.run("deploy-files", "--for", "kubernetes", "//:base", code=2).said("//:base", "//:also, //:app")
    workspace.run("load", "//...", code=2).said("'//...' names 2 packages: //:also, //:app", "name one")
    assert not workspace.path("pylock.env-linux-amd64.toml").exists()


def test_what_takes_the_place_of_a_default_visibility_is_all_of_it(workspace: Space) -> None:
    space = workspace
    space.append("BUILD.yaml", '  lib: {rule: python_library, srcs: ["src/*.py"]}\ndefault_visibility: [//one/...]\n')
    user = '  {name}: {{rule: python_library, srcs: [score.py], deps: ["//:lib"]}}\n'
    for name in ("one", "two"):
        space.write(f"{name}/BUILD.yaml", "targets:\n" + user.format(name=name))
        space.write(f"{name}/score.py", "")
    space.run("query", code=2).said("by `default_visibility`; give it `visibility: [//one/..., //two:all]`")
    space.edit("BUILD.yaml", "lib: {", "lib: {visibility: [//one/..., //two:all], ")
    space.run("query")


def test_a_visibility_that_names_a_package_and_means_a_target_is_one_error(workspace: Space) -> None:
    lib = "targets:\n  m: {rule: model, path: data, visibility: [HERE]}\n"
    workspace.write("lib/BUILD.yaml", lib.replace("HERE", "//other"))
    workspace.write("lib/data/w.bin", "1")
    user = (
        "targets:\n  SELF: {rule: model_package, model: //lib:m, base_env: //:env, server: //:server, code: //:code}\n"
    )
    workspace.write("other/BUILD.yaml", user.replace("SELF", "app") + user.replace("SELF", "more").partition("\n")[2])
    said = workspace.run("query", code=2)
    said.said("lib/BUILD.yaml:2:", "'//other' names the target '//other:other'", "write //other:all")
    assert "is not visible" not in said.err
    workspace.write("lib/BUILD.yaml", lib.replace(", visibility: [HERE]", "") + "default_visibility: [//nowhere]\n")
    workspace.run("query", code=2).said("lib/BUILD.yaml:3:", "write //nowhere:all")
    workspace.write("lib/BUILD.yaml", lib.replace("HERE", "//other:all"))
    workspace.run("query")
    workspace.write("lib/BUILD.yaml", lib.replace("HERE", "//other"))
    workspace.write("other/BUILD.yaml", user.replace("SELF", "other"))
    workspace.run("query")


def test_a_tag_that_nothing_named_has_is_said(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  code: {rule", "  code: {tags: [nightly], rule")
    for _ in range(2):  # and where nothing has changed
        workspace.run("build", "//:base", "--tag", "nightly").said(
            "nothing that is named and can be built fits --tag nightly\n0 built, 0 reused"
        )
