"""Commands on a small workspace: why, query, rules, schema, clean and cache; help and traces."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.space import APP, CODE, FILES, Space

EXAMPLES = Path(__file__).parents[2] / "examples"


# -- why --------------------------------------------------------------------------------------------------------------


def test_why_before_and_after_an_edit(built: Space) -> None:
    built.run("why", APP, "--verbose").said("code code: up to date", "last built because: ")
    built.append("src/score.py", "# edited\n")
    for _ in range(2):  # asking builds nothing
        result = built.run("why", APP)
        result.said("code code: would run", "file src/score.py changed: 31 -> 40 bytes, +1 -0 lines")
        result.said("image of //:app: depends on what would run", "needs code code")
    assert built.build().built == {CODE}
    built.run("why", APP).said("code code: up to date", "last built because: file src/score.py changed")
    built.edit("src/score.py", "# edited\n", "")
    built.run("why", APP).said("code code: would be taken from the store")


def test_why_names_parameters_and_new_files(built: Space) -> None:
    built.write("src/new.py", "")
    built.run("why", APP).said("file src/new.py is new")
    built.remove("src/new.py")
    built.remove("src/helper.py")
    built.run("why", APP).said("file src/helper.py is gone")
    built.write("src/helper.py", FILES["src/helper.py"])
    built.edit("BUILD.yaml", "code: :code", "code: :code\n    environment: {WHY: because}")
    built.run("why", APP, "--verbose").said("WHY", "sees ", "key ")


def test_why_changes_nothing(built: Space) -> None:
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    before = built.tree()
    built.run("why", APP).said("would lock", "the requirements have changed")
    assert built.tree() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-p 8080:8000", "the package's own port is known: -p 8080"),
        ("-p 127.0.0.1:80:8000", "the package's own port is known: -p 80"),
        ("-p 99999", "99999 is not in the range"),
        ("--rm", "no option '--rm': the container is removed when it ends"),
        ("-it", "no option '-i': to look inside: buildrules load"),
        ("--entrypoint sh", "--entrypoint python3 IMAGE"),
        ("--nmae x", "--name"),
    ],
)
def test_run_says_what_there_is_instead_of_docker_s_options(workspace: Space, words: str, said: str) -> None:
    workspace.run("run", APP, *words.split(), code=2).said(said)


def test_a_switch_says_what_else_can_stand_there(workspace: Space) -> None:
    workspace.append("BUILD.yaml", "    gpu: all\n")
    for wrote, hint in (("all", '{cuda: "12"}'), ("1", '{cuda: "12"}'), ('"13"', '{cuda: "13"}')):
        workspace.edit("BUILD.yaml", workspace.path("BUILD.yaml").read_text().rpartition("gpu: ")[2], f"{wrote}\n")
        workspace.run("query", code=2).said("expected true or false", f"write true, false or {hint}")
    workspace.edit("BUILD.yaml", 'gpu: "13"', "gpu: {}")
    workspace.run("query", code=2).said("an empty map says nothing", 'write true, false or {cuda: "12"}')


# -- query, rules, schema ---------------------------------------------------------------------------------------------


def test_query_lists_and_follows(workspace: Space) -> None:
    workspace.run("query").said("//:app  model_package", "//:server  //rules:tiny")
    assert workspace.run("query", "deps(:env)").out.split()[::2] == ["//:base", "//:env"]
    assert workspace.run("query", "rdeps(//..., :m)", "--output=label").out.split() == ["//:app", "//:m"]
    rows = {row["label"]: row for row in json.loads(workspace.run("query", "--output", "json").out)}
    assert rows["//:app"]["deps"]["//:m"] == "model"
    assert rows["//:m"]["position"].startswith("BUILD.yaml:10:")
    assert rows["//:env"]["provides"] == "env"
    workspace.run("query", "//:nothing", code=2).said("no target matches", "targets of //: ")
    workspace.run("query", "//nothing/...", code=2).said("no target matches", "there is no package //nothing")
    workspace.write("empty/BUILD.yaml", "")
    workspace.run("query", "//empty", code=2).said(
        "no target matches '//empty:empty'", "'empty/BUILD.yaml' has no targets: they stand"
    )
    workspace.run("show", "//:code", code=2).said("only built as part of a package", "hint: name //:app instead")
    workspace.run("lock", "//:code", code=2).said("provides code, of which nothing is locked", "name //:app instead")
    workspace.path("BUILD.yaml").write_text("workspace: {name: acme}\n")
    workspace.run("query", "//...", code=2).said("the workspace has no targets yet")


def test_query_needs_no_lock(workspace: Space) -> None:
    for lock in [*workspace.root.glob("*.lock"), *workspace.root.glob("pylock*")]:
        lock.unlink()
    before = workspace.tree()
    workspace.run("query", "//...")
    assert workspace.tree() == before


def test_rules_lists_built_in_rules_and_the_workspaces_own(workspace: Space, tmp_path: Path) -> None:
    workspace.run("rules").said("azureml_online", "debian_base", "//rules:tiny", "A server of this workspace's own.")
    workspace.root = tmp_path
    assert "//rules:tiny" not in workspace.run("rules").said("azureml_online").out


def test_help_rule_shows_attributes(workspace: Space) -> None:
    workspace.run("help-rule", "//rules:tiny").said("provides server", "threads", "Threads that answer.", "default 2")
    workspace.run("help-rule", "model_package").said("base_env", "label (env or base)", "required")


def test_the_schema_accepts_what_buildrules_accepts(workspace: Space) -> None:
    import jsonschema
    import yaml

    schema = json.loads(workspace.run("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(yaml.safe_load(workspace.path("BUILD.yaml").read_text()))
    for old, new in (("path: weights", "pth: weights"), ("rule: model,", "rule: modle,"), ("srcs: [", "srcs: [1, ")):
        text = workspace.path("BUILD.yaml").read_text()
        assert old in text
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(yaml.safe_load(text.replace(old, new)))


def test_the_schema_accepts_the_examples_and_this_repository() -> None:
    import jsonschema
    import yaml

    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.schema import build_schema, rule_schema
    from buildrules.workspace.disk import Disk

    schema = jsonschema.Draft202012Validator(build_schema(Catalogue(Disk(str(EXAMPLES)))))
    files = list(EXAMPLES.rglob("BUILD.yaml"))
    assert len(files) == 5
    for path in files:
        schema.validate(yaml.safe_load(path.read_text()))
    rules = [*(EXAMPLES.parent / "rules").glob("*.yaml"), *(EXAMPLES / "rules").glob("*.yaml")]
    assert len(rules) >= 10
    schema = jsonschema.Draft202012Validator(rule_schema())
    for path in rules:
        schema.validate(yaml.safe_load(path.read_text()))


# -- clean, cache -----------------------------------------------------------------------------------------------------


def test_clean_forgets_this_workspace_only(built: Space) -> None:
    expected = built.build().digest
    built.run("clean").said("forgot the builds of")
    assert built.states() == []
    report = built.build()
    assert report.digest == expected
    assert report.executed == 0


def test_clean_expunge_removes_the_store(built: Space) -> None:
    expected = built.build().digest
    built.run("clean", "--expunge").said("removed")
    assert not built.store.exists()
    assert built.build().digest == expected


def test_cache_info_says_where_and_how_much(built: Space) -> None:
    result = built.run("cache", "info")
    result.said(f"store      {built.store}", f"blobs      {len(built.blobs())},", "states     1,")


def test_cache_commands_work_outside_a_workspace(built: Space, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    built.root = tmp_path / "elsewhere"
    for args in (["info"], ["verify"], ["gc"]):
        built.run("cache", *args)


def test_cache_gc_says_what_it_removed(built: Space) -> None:
    built.append("src/score.py", "#\n")
    built.build()
    built.run("cache", "gc").said("removed 0 blobs")


# -- help, trace ------------------------------------------------------------------------------------------------------


def test_help_of_every_command(workspace: Space) -> None:
    names = re.findall(r"^  ([a-z][a-z-]+)  ", workspace.run("--help").out, re.M)
    assert {"build", "load", "run", "export", "why", "lock", "query", "cache", "clean", "init", "schema"} <= set(names)
    for name in names:
        workspace.run(name, "--help").said("Usage: buildrules")
    workspace.run("--version").said("buildrules")
    workspace.run(code=2).said("Usage: buildrules")


def test_another_directory_can_be_named(built: Space) -> None:
    digest = built.build().digest
    built.run("-C", str(built.root), "build", APP, cwd="..").said(digest)


def test_a_profile_has_every_action(workspace: Space) -> None:
    trace = workspace.folder / "trace.json"
    workspace.run("build", APP, "--profile", str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    assert {event["name"] for event in events} >= {"code code", "base base", "virtual environment"}
    assert len(events) == 10  # two of them lints
    assert all(event["dur"] >= 0 for event in events)


def test_a_profile_after_an_edit_has_what_was_looked_at(settled: Space) -> None:
    words = ("--profile", str(settled.folder / "trace.json"))
    settled.settle("build", APP, *words)
    settled.append("src/score.py", "# edited\n")
    settled.run("build", APP, *words).said("2 built, 6 reused")
    events = json.loads((settled.folder / "trace.json").read_text())["traceEvents"]
    assert sorted(event["cat"] for event in events) == ["files_layer", "image", "lint"]


@pytest.mark.parametrize("option", ["--profile={}", "--profile {}"])
def test_a_profile_is_written_of_an_unchanged_build_too(settled: Space, option: str) -> None:
    trace = settled.folder / "trace.json"
    words = option.format(trace).split()
    settled.settle("build", APP, *words)  # the state knows this very command line
    trace.unlink()
    settled.run("build", APP, *words).said("0 built, 8 reused")
    assert json.loads(trace.read_text())["traceEvents"] == []  # nothing had to be looked at


def test_verbose_shows_every_layer_and_action(built: Space) -> None:
    built.append("src/score.py", "#\n")
    result = built.run("build", APP, "--verbose")
    result.said("reused", "virtual environment", "start   code code", "done    code code")


def test_a_reader_that_goes_away_is_no_crash(built: Space) -> None:
    process = built.start("rules")
    assert process.stdout is not None
    process.stdout.close()
    err = process.stderr.read() if process.stderr else ""
    process.wait(30)
    assert "Traceback" not in err


def test_the_script_and_the_module_are_the_same(built: Space) -> None:
    script = Path(sys.executable).with_name("buildrules")
    done = subprocess.run([script, "build", APP], cwd=built.root, env=built.env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert built.build().digest in done.stdout.decode()


def test_e_help_shows_options_in_groups(built: Space) -> None:
    """The verb's own options come first, those of files of Azure ML stand by themselves."""
    own, building, azureml = re.split(r"\n\n(?:Building|Files of Azure ML):\n", built.run("run", "--help").out)
    assert re.findall(r"^  (?:-., )?(--[a-z-]+)", own, re.MULTILINE) == [
        "--port",
        "--env",
        "--env-file",
        "--volume",
        "--gpus",
        "--network",
        "--name",
        "--timeout",
        "--detach",
        "--help",
    ]
    assert "--locked" in building
    assert "--package" in azureml
    assert "--mode" in azureml
    for verb in ("build", "load", "test", "lint", "export", "show"):
        built.run(verb, "--help").said("\nBuilding:\n", "\nFiles of Azure ML:\n")
    for verb in (("why",), ("lock",), ("import", "azureml")):
        assert "\nBuilding:\n" not in built.run(*verb, "--help").said("\nFiles of Azure ML:\n").out
    assert "\nBuilding:\n" not in built.run("report", "--help").said("  --config NAME ").out
    built.run("build", "--mode", "copy", APP, code=2).said("--mode belongs to --package")
