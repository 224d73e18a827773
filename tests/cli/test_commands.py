"""Every command, on a small workspace."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.space import APP, CODE, FILES, Space, make_base

EXAMPLES = Path(__file__).parents[2] / "examples"


def layout_image(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(manifest, config) of the one image in a layout, every blob checked."""
    blobs = folder / "blobs" / "sha256"
    for path in blobs.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    return manifest, config


# -- export -----------------------------------------------------------------------------------------------------------


def test_export_writes_a_layout(built: Space) -> None:
    digest = built.build().digest
    out = built.folder / "out"
    built.run("export", APP, "-o", str(out), "--tag", "registry.example/team/app:7").said(digest)
    manifest, config = layout_image(out)
    assert len(manifest["layers"]) == 6
    assert config["architecture"] == "amd64"
    names = json.loads((out / "index.json").read_text())["manifests"][0]["annotations"]
    assert names["org.opencontainers.image.ref.name"] == "registry.example/team/app:7"
    labels = config["config"]["Labels"]
    assert any("8080/score" in value for value in labels.values())


@pytest.mark.parametrize(("form", "tag"), [("oci-layout", "team/my__app:7"), ("oci-archive", "x.example/app:7")])
def test_export_says_how_to_copy_it_on(built: Space, form: str, tag: str) -> None:
    out = built.folder / "an out"
    result = built.run("export", APP, "-o", str(out), "--format", form, "--tag", tag)
    (line,) = re.findall("^copy it on with: (skopeo copy .*)$", result.out, re.M)
    *command, target = shlex.split(line)
    assert target == ("docker://HOST/team/my__app:7" if form == "oci-layout" else "docker://x.example/app:7")
    subprocess.run([*command, f"dir:{built.folder}/copy"], check=True, capture_output=True)
    assert (built.folder / "copy" / "manifest.json").exists()


def test_a_second_export_writes_what_changed(built: Space) -> None:
    out = built.folder / "out"
    built.run("export", APP, "-o", str(out))
    before = {path: path.stat().st_mtime_ns for path in (out / "blobs").rglob("*") if path.is_file()}
    built.append("src/score.py", "# edited\n")
    built.run("export", APP, "-o", str(out)).said("3 blobs", "5 were there")
    layout_image(out)
    after = {path: path.stat().st_mtime_ns for path in (out / "blobs").rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if path in before} == before
    assert len(after) == len(before) + 3


def test_the_layers_hold_the_files(built: Space) -> None:
    out = built.folder / "out"
    built.path("src/score.py").chmod(0o755)
    built.run("export", APP, "-o", str(out))
    manifest, _ = layout_image(out)
    found: dict[str, tarfile.TarInfo] = {}
    for layer in manifest["layers"]:
        with tarfile.open(out / "blobs" / "sha256" / layer["digest"][7:]) as archive:
            for entry in archive:
                found[entry.name] = entry
                assert (entry.uid, entry.gid, entry.mtime, entry.uname) == (0, 0, 0, "")
    assert found["srv/app/score.py"].mode == 0o755
    assert found["srv/app/helper.py"].mode == 0o644
    assert found["srv/model/weights/labels.txt"].size == len(FILES["weights/labels.txt"])
    for path in ("numlib/__init__.py", "tinyserver/__init__.py", "extra/__init__.py"):
        assert f"opt/venv/lib/python3.11/site-packages/{path}" in found
    assert found["opt/venv/bin/tinyserver"].mode == 0o755
    assert found["opt/venv/bin/python"].linkname == "/usr/local/bin/python3.11"


TRANSPORTS = {"oci-layout": "oci", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}


@pytest.mark.parametrize(("form", "transport"), TRANSPORTS.items())
def test_other_tools_read_what_export_writes(built: Space, form: str, transport: str, tool: Any) -> None:
    out = built.folder / "out"
    digest = built.build().digest
    built.run("export", APP, "--format", form, "-o", str(out))
    shown = json.loads(
        tool("skopeo", "inspect", f"{transport}:{out}" + (":acme/app:latest" if form == "oci-layout" else ""))
    )
    assert len(shown["Layers"]) == 6
    assert shown["Architecture"] == "amd64"
    if form != "docker-archive":
        assert shown["Digest"] == digest
    copy = built.folder / "copy"
    tool("skopeo", "copy", f"{transport}:{out}" + (":acme/app:latest" if form == "oci-layout" else ""), f"oci:{copy}:c")
    tool("umoci", "unpack", "--rootless", "--image", f"{copy}:c", str(built.folder / "bundle"))
    root = built.folder / "bundle" / "rootfs"
    assert (root / "srv/app/score.py").read_text() == FILES["src/score.py"]
    assert (root / "srv/model/weights/model.txt").read_text() == FILES["weights/model.txt"]


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_archives_are_the_same_every_time(built: Space, form: str) -> None:
    first, second = built.folder / "first.tar", built.folder / "second.tar"
    built.run("export", APP, "--format", form, "-o", str(first))
    built.run("export", APP, "--format", form, "-o", str(second), cwd="src")
    assert first.read_bytes() == second.read_bytes()


def test_export_leaves_a_foreign_folder_alone(built: Space) -> None:
    out = built.folder / "out"
    out.mkdir()
    (out / "thesis.doc").write_text("precious")
    built.run("export", APP, "-o", str(out), code=2).said("out")
    assert [path.name for path in out.iterdir()] == ["thesis.doc"]


# -- why --------------------------------------------------------------------------------------------------------------


def test_why_before_and_after_an_edit(built: Space) -> None:
    built.run("why", APP, "--verbose").said("code code: up to date", "last built because: ")
    built.append("src/score.py", "# edited\n")
    for _ in range(2):  # asking builds nothing
        result = built.run("why", APP)
        result.said("code code: would run", "file src/score.py changed: sha256:")
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


# -- query, rules, schema ---------------------------------------------------------------------------------------------


def test_query_lists_and_follows(workspace: Space) -> None:
    workspace.run("query").said("//:app  model_package", "//:server  //rules:tiny")
    assert workspace.run("query", "//:env", "--deps").out.split()[::2] == ["//:base", "//:env"]
    assert workspace.run("query", "//:m", "--rdeps").out.split()[::2] == ["//:app", "//:m"]
    rows = {row["label"]: row for row in json.loads(workspace.run("query", "--json").out)}
    assert rows["//:app"]["deps"] and "//:m" in rows["//:app"]["deps"]
    assert rows["//:m"]["position"].startswith("BUILD.yaml:10:")
    assert rows["//:env"]["provides"] == "env"
    workspace.run("query", "//:nothing", code=2).said("no target matches")


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
    workspace.run("help-rule", "python_env").said("requirements", "base", "required")


def test_the_schema_accepts_what_buildrules_accepts(workspace: Space) -> None:
    import jsonschema
    import yaml

    schema = json.loads(workspace.run("schema").out)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    document = yaml.safe_load(workspace.path("BUILD.yaml").read_text())
    jsonschema.validate(document, schema)
    for old, new in (("path: weights", "pth: weights"), ("rule: model,", "rule: modle,"), ("srcs: [", "srcs: [1, ")):
        text = workspace.path("BUILD.yaml").read_text()
        assert old in text
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(text.replace(old, new)), schema)


def test_the_schema_accepts_the_examples_and_this_repository() -> None:
    import jsonschema
    import yaml

    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.schema import build_schema, rule_schema
    from buildrules.workspace.disk import Disk

    schema = build_schema(Catalogue(Disk(str(EXAMPLES))))
    files = list(EXAMPLES.rglob("BUILD.yaml"))
    assert len(files) == 3
    for path in files:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    rules = [*(EXAMPLES.parent / "rules").glob("*.yaml"), *(EXAMPLES / "rules").glob("*.yaml")]
    assert len(rules) >= 10
    for path in rules:
        jsonschema.validate(yaml.safe_load(path.read_text()), rule_schema())


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


# -- init -------------------------------------------------------------------------------------------------------------


def test_init_writes_what_then_builds(workspace: Space) -> None:
    workspace.root = workspace.folder / "plain"
    workspace.write("model/model.pkl", b"\x80\x04N.")
    workspace.write("score.py", "def init():\n    pass\n\ndef run(data):\n    return data\n")
    workspace.write("requirements.txt", "numlib==1.0\n")
    workspace.write("sample-request.json", "{}")
    result = workspace.run("init", "--name", "plain")
    result.said("wrote BUILD.yaml", "model: model", "scoring script: score.py", "environment: requirements.txt")
    text = workspace.path("BUILD.yaml").read_text()
    assert "sample_request: sample-request.json" in text
    workspace.run("query").said("//:plain  model_package")
    make_base(workspace.path("base"))
    workspace.edit("BUILD.yaml", "{rule: debian_base, suite: bookworm}", "{rule: oci_base, layout: base}")
    workspace.run("build", ":plain").said("image sha256:")
    workspace.run("init", code=2).said("there is a BUILD.yaml already")
    assert "image sha256:" in workspace.clean_run("build", ":plain").out


def test_init_inside_a_workspace_adds_a_package(workspace: Space) -> None:
    workspace.write("new/app.py", "from fastapi import FastAPI\n\napp = FastAPI()\n")
    workspace.write("new/weights.onnx", b"onnx")
    workspace.run("init", "new").said("new/BUILD.yaml", "ASGI application: app.py:app", "none found")
    assert "workspace:" not in workspace.path("new/BUILD.yaml").read_text()
    workspace.run("query", "//new/...").said("//new:new  model_package", "fastapi")


def test_init_in_an_empty_folder_says_what_is_missing(workspace: Space) -> None:
    (workspace.root / "empty").mkdir()
    workspace.run("init", "empty").said("no model found", "no init() and run() found")


SCRIPT = "def init():\n    pass\n\ndef run(data):\n    return data\n"
ASGI = "from fastapi import FastAPI\n\napp = FastAPI()\n"
PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["numlib==1.0"]\n'
FOLDERS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "helpers": (
        {"score.py": SCRIPT, "helper/__init__.py": "", "helper/data/x.csv": "1", "other.py": SCRIPT, "w.pkl": ""},
        ['srcs: ["*.py", "helper/**"]', "entry_script: score.py", "path: w.pkl"],
        ["scoring script: several found (score.py, other.py), took score.py"],
    ),
    "package": (
        {"src/svc/__init__.py": "", "src/svc/main.py": ASGI, "pyproject.toml": PROJECT},
        ['srcs: ["src/svc/**"], strip_prefix: src', 'app: "svc.main:app"', "pyproject: pyproject.toml"],
        ["ASGI application: src/svc/main.py:app"],
    ),
    "top_package": (
        {"svc/__init__.py": "", "svc/main.py": ASGI, "requirements.txt": "numlib"},
        ['srcs: ["svc/**"]', 'app: "svc.main:app"', "requirements_file: requirements.txt"],
        [],
    ),
    "mlflow": (
        {
            "mod/MLmodel": "",
            "mod/model.pkl": "",
            "mod/conda.yaml": "dependencies: [pip: [numlib]]",
            "requirements.txt": "",
        },
        ["path: mod}", "    model: :mlflow_model    #", "server: azureml_online"],
        ["comes from its own files"],
    ),
    "mlflow_itself": ({"MLmodel": "", "model.pkl": ""}, ['path: "."'], ["comes from its own files"]),
    "two_models": ({"one/a.onnx": "", "two/b.onnx": ""}, ["path: one}"], ["model: several found (one, two), took one"]),
    "odd_names": ({"# 1, x/a.onnx": "", "a: b/score.py": SCRIPT}, ['path: "# 1, x"', 'srcs: ["a: b/**"]'], []),
    "newer": ({"pyproject.toml": PROJECT + 'requires-python = ">=3.12"\n'}, ["suite: trixie"], []),
    "newest": (
        {"pyproject.toml": PROJECT + 'requires-python = ">=3.14"\n'},
        ["suite: bookworm", 'python: "3.11"    # pyproject.toml asks for another'],
        ["pyproject.toml asks for Python >=3.14, which no Debian base has: took 3.11"],
    ),
    "conda_fits": ({"conda.yaml": "dependencies:\n- python=3.13\n"}, ["suite: trixie"], []),
    "conda_pin": ({"conda.yml": "dependencies:\n  - python=3.12.4\n"}, ['python: "3.11"'], ["==3.12.4"]),
    "conda_range": ({"conda.yml": "dependencies:\n  - python>=3.9,<3.12\n"}, ["suite: bookworm"], []),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_init_for_many_kinds_of_folder(workspace: Space, kind: str) -> None:
    files, written, said = FOLDERS[kind]
    workspace.root = workspace.folder / kind
    for path, content in files.items():
        workspace.write(path, content)
    workspace.run("init").said(*said)
    text = workspace.path("BUILD.yaml").read_text()
    for part in written:
        assert part in text
    assert ("_model:" in text) == (kind not in ("package", "top_package"))
    assert ("_code:" in text) == (not kind.startswith("mlflow"))
    assert ('python: "3.11"' in text) == (kind in ("newest", "conda_pin"))
    workspace.run("query").said(f"//:{kind}  model_package")


@pytest.mark.parametrize(
    ("kind", "placed"),
    [
        ("helpers", ["score.py", "other.py", "helper/__init__.py", "helper/data/x.csv"]),
        ("package", ["svc/__init__.py", "svc/main.py"]),
        ("top_package", ["svc/__init__.py", "svc/main.py"]),
    ],
)
def test_init_keeps_packages_whole(workspace: Space, kind: str, placed: list[str]) -> None:
    workspace.root = workspace.folder / kind
    for path, content in FOLDERS[kind][0].items():
        workspace.write(path, content)
    workspace.run("init")
    make_base(workspace.path("base"))
    workspace.edit("BUILD.yaml", "{rule: debian_base, suite: bookworm}", "{rule: oci_base, layout: base}")
    text = workspace.path("BUILD.yaml").read_text()
    server = "custom_server, entrypoint: [python3], ports: [8080], routes: {readiness: 8080/, scoring: 8080/}}"
    text = re.sub("fastapi, app: .*", server, text)
    workspace.write("BUILD.yaml", text)
    out = workspace.folder / "out"
    workspace.run("export", f":{kind}", "-o", str(out))
    names: set[str] = set()
    for layer in layout_image(out)[0]["layers"]:
        with tarfile.open(out / "blobs" / "sha256" / layer["digest"][7:]) as archive:
            names.update(archive.getnames())
    (main,) = [name for name in names if name.endswith("/" + placed[0])]
    root = main.removesuffix(placed[0])
    assert {name for name in names if name.startswith(root) and "." in name[len(root) :]} == {root + p for p in placed}


@pytest.mark.parametrize("name", ["models.v1", "My Model!", "1st", "con\u00fc", "-x", "CamelCase"])
def test_init_makes_a_name_of_any_folder_or_refuses(workspace: Space, name: str) -> None:
    shutil.copytree(workspace.path("src"), workspace.root / name)
    result = workspace.run("init", f"./{name}", code=None)
    if result.code:
        assert result.code == 2
        result.said("hint: rename")
    workspace.run("query", "//...")


def test_init_takes_a_folder_of_any_name_as_a_workspace(workspace: Space) -> None:
    shutil.copytree(workspace.path("src"), workspace.folder / "My Model!")
    workspace.root = workspace.folder / "My Model!"
    workspace.run("init")
    workspace.run("query").said("//:my_model  model_package")


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


def test_a_trace_has_every_action(workspace: Space) -> None:
    trace = workspace.folder / "trace.json"
    workspace.run("build", APP, "--trace", str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    assert {event["name"] for event in events} >= {"code code", "base base", "virtual environment"}
    assert len(events) == 9  # two of them lints
    assert all(event["dur"] >= 0 for event in events)


@pytest.mark.parametrize("option", ["--trace={}", "--trace {}"])
def test_a_trace_is_written_of_an_unchanged_build_too(settled: Space, option: str) -> None:
    trace = settled.folder / "trace.json"
    words = option.format(trace).split()
    settled.settle("build", APP, *words)  # the state knows this very command line
    trace.unlink()
    settled.run("build", APP, *words).said("0 built, 7 reused")
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
