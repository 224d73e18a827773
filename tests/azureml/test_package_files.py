"""`--package FILE`: an Azure ML file built as it stands, without a BUILD.yaml."""

import json
import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.space import Report, Space, make_base, wheel
from tests.test_imports import ANSWER, imported

CONDA = "name: env\ndependencies:\n  - python=3.12\n  - numlib=1.0\n"
PACKAGE = """\
$schema: http://azureml/sdk-2-0/ModelVersionPackage.json
base_environment_source: {type: environment_asset, resource_id: "azureml:my-env:1"}
target_environment: {name: scored, version: "4"}
inferencing_server:
  type: azureml_online
  code_configuration: {code: src, scoring_script: score.py}
"""
FILES = {
    "package.yml": PACKAGE,
    "environment/env.yml": "name: my-env\nimage: registry.example/base:1\nconda_file: conda.yaml\n",
    "environment/conda.yaml": CONDA,
    "src/score.py": "def init():\n    pass\n\n\ndef run(data):\n    return data\n",
    "model/m.txt": "1 2 3\n",
}
OPTIONS = ("--base", "layout:base", "--python", "3.11")


@pytest.fixture
def azure(tmp_path: Path, wheelhouse: Path) -> Space:
    """A folder with a package and all it names, and the image it stands on."""
    space = Space(tmp_path, wheelhouse)
    make_base(space.root / "base")
    return fill(space, FILES)


def fill(space: Space, files: Mapping[str, str], below: str = "") -> Space:
    for path, text in files.items():
        space.write(below + path, text)
    return space


def build(space: Space, *args: str, cwd: str = ".") -> Report:
    result = space.run("build", "--package", *args, "--json", cwd=cwd)
    return Report(json.loads(result.out), result.err)


def only(report: Report) -> str:
    (digest,) = (str(target["digest"]) for target in report.targets.values())
    return digest


def test_builds_without_a_workspace(azure: Space) -> None:
    report = build(azure, "package.yml", "--model", "model", *OPTIONS)
    (label,) = report.targets
    config = azure.config(only(report))
    assert label.endswith(":scored")
    assert config["Env"].count("AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/model/1") == 1
    assert not (azure.root / "BUILD.yaml").exists()
    locks = sorted(path.name for path in azure.root.iterdir() if "lock" in path.name)
    assert locks == [
        "oci.scored-base-linux-amd64.lock",
        "pylock.my-env+azureml_online-linux-amd64.toml",
        "pylock.my-env-linux-amd64.toml",
    ]


def test_an_unchanged_one_is_answered_at_once(azure: Space) -> None:
    """Also outside of a workspace; and a path of the command line is another one in another directory."""
    for name in ("one", "other"):
        fill(azure, FILES, f"x/y/{name}/z/")
    azure.write("x/y/other/z/model/m.txt", "4 5 6\n")
    options = ("--model", "z/model", "--base", "layout:z/base", "--python", "3.11")
    for name in ("one", "other"):
        make_base(azure.root / f"x/y/{name}/z/base")
        azure.run("build", "--package", "z/package.yml", *options, "--json", cwd=f"x/y/{name}")
    azure.settle("build", "--package", "z/package.yml", *options, "--json", cwd="x/y/one")
    loaded = imported(azure, "build", "--package", "z/package.yml", *options, "--json", cwd="x/y/one")
    assert loaded.isdisjoint(ANSWER)
    found = [only(build(azure, "z/package.yml", *options, cwd=f"x/y/{name}")) for name in ("one", "other")]
    assert found[0] != found[1]
    # from elsewhere with the same words, but for the model
    azure.write("x/y/one/model/m.txt", "7 8 9\n")
    make_base(azure.root / "x/y/one/base")
    words = (f"{azure.root}/x/y/one/z/package.yml", "--model", "model", "--base", "layout:base", "--python", "3.11")
    here = only(build(azure, *words, cwd="x/y/one/z"))
    assert here == found[0]
    assert only(build(azure, *words, cwd="x/y/one")) != here


def test_environments_of_one_name_have_locks_of_their_own(azure: Space) -> None:
    azure.edit("environment/env.yml", "name: my-env", "name: my-env\nversion: 1")
    azure.write("environment/env2.yml", "name: my-env\nversion: 2\nconda_file: {dependencies: [numlib=2.0]}\n")
    azure.write("second.yml", PACKAGE.replace("my-env:1", "my-env:2").replace("scored", "second"))
    deployment = "endpoint_name: e\nmodel: {path: model}\ncode_configuration: {code: src, scoring_script: score.py}\n"
    for name, conda in (("third", "conda"), ("fourth", "conda-more")):
        azure.write(f"{name}.yml", f"name: {name}\n{deployment}environment: {{conda_file: environment/{conda}.yaml}}\n")
    azure.write("environment/conda-more.yaml", CONDA + "  - extra\n")
    for name in ("package", "second", "third", "fourth"):
        build(azure, f"{name}.yml", *OPTIONS)
    for name in ("package", "second", "third", "fourth"):
        azure.run("build", "--package", f"{name}.yml", *OPTIONS, "--locked")
    locks = {path.name.partition("+")[0] for path in azure.root.glob("pylock.*+*.toml")}
    assert locks == {"pylock.my-env-1", "pylock.my-env-2", "pylock.env-conda", "pylock.env-conda-more"}


def test_c4_the_server_makes_modules_while_it_runs(azure: Space) -> None:
    """What registers itself in `sys.modules`: names can be taken from it, and it is no attribute of a package."""
    modules = ("aml_request import AMLRequest, rawhttp", "aml_response import AMLResponse")
    text = "".join(f"from azureml.contrib.services.{line}\n" for line in modules) + FILES["src/score.py"]
    azure.write("src/score.py", text)
    options = ("--package", "package.yml", "--model", "model", *OPTIONS)
    azure.run("lint", *options).said("1 package: 0 errors, 0 warnings")
    for line in ("from azureml.contrib.services import rawhttp", "import azureml.contrib.services.aml_request"):
        azure.write("src/score.py", f"{line}\n{FILES['src/score.py']}")
        azure.run("lint", *options, code=1).said("src/score.py:1:1", "requirements: azureml-contrib-services")


MLFLOW = {
    "m/MLmodel": "flavors:\n  python_function: {env: conda.yaml, python_version: 3.9.1}\n"
    "  sklearn: {sklearn_version: 1.1.2}\nmlflow_version: 1.30.0\n",
    "m/conda.yaml": "dependencies:\n- python=3.11\n- pip:\n  - mlflow\n  - numlib==1.0\n",
    "m/requirements.txt": "mlflow\nnumlib==2.0\nextra\n",
    "mlflow.yml": "target_environment: scored\ninferencing_server: {type: azureml_online}\n",
}


def test_c3_what_files_of_a_model_disagree_on_is_said_alike_everywhere(azure: Space, tmp_path: Path) -> None:
    azure.env["UV_FIND_LINKS"] = str(shutil.copytree(azure.wheels, tmp_path / "links"))
    for name in ("mlflow", "pandas"):
        filename, data = wheel(name, "1.30")
        (tmp_path / "links" / filename).write_bytes(data)
    fill(azure, MLFLOW)
    options = ("--base", "layout:base", "--python", "3.11")
    found = [
        azure.run("lock", "--package", "mlflow.yml", "--model", "m", *options),
        azure.run("import", "azureml", "mlflow.yml", "--model", "m", *options),
    ]
    azure.write(
        "BUILD.yaml",
        "workspace: {name: a, platforms: [linux/amd64]}\ntargets:\n  base: {rule: oci_base, layout: base}\n"
        '  m: {rule: model, path: m}\n  e: {rule: python_env, base: ":base", model: ":m", python: \'3.11\'}\n',
    )
    found.append(azure.run("lock"))
    disagreement = re.compile(r"m/(?:MLmodel|conda.yaml|requirements.txt):\d.*(?:used|ask for it).*")
    said = [set(disagreement.findall(one.out + one.err)) for one in found]
    assert len(said[0]) == 4
    assert said == [said[0]] * 3


def test_says_why_it_would_be_rebuilt(azure: Space) -> None:
    build(azure, "package.yml", *OPTIONS)
    azure.append("src/score.py", "# more\n")
    azure.run("why", "--package", "package.yml", *OPTIONS).said("code src: would run", "file src/score.py changed")
    azure.run("why", "//:scored", "--package", "package.yml", code=2).said("both name what to build")
    azure.run("why", "//:scored", "--model", "model", code=2).said("--model belongs to --package")
    azure.run("why", code=2).said("no target given", "--package FILE")


def test_says_the_environment_it_makes(azure: Space) -> None:
    azure.run("build", "--package", "package.yml", *OPTIONS).said("scored:4", "took the folder model")


def test_a_python_that_there_is_not_must_be_overridden(azure: Space) -> None:
    azure.edit("environment/conda.yaml", "3.12", "3.7")
    azure.run("build", "--package", "package.yml", code=2).said("environment/conda.yaml:3:5", "--python 3.15")


def test_the_import_builds_the_same_image(azure: Space) -> None:
    direct = only(build(azure, "package.yml", *OPTIONS))
    azure.run("import", "azureml", "package.yml", "--base", "layout:base", "--python", "3.11")
    assert azure.build("//:scored").targets["//:scored"]["digest"] == direct


def test_the_same_image_from_elsewhere(azure: Space) -> None:
    """Wherever the folder lies, and wherever one stands."""
    here = only(build(azure, "package.yml", *OPTIONS))
    fill(azure, FILES, "some where/else 1/")
    make_base(azure.root / "some where/else 1/base")
    options = ("--base", "layout:else 1/base", "--python", "3.11")
    there = only(build(azure, "else 1/package.yml", *options, cwd="some where"))
    assert here == there


def test_an_unchanged_build_and_an_edit(azure: Space) -> None:
    first = build(azure, "package.yml", *OPTIONS)
    again = build(azure, "package.yml", *OPTIONS)
    assert again.executed == 0
    assert only(again) == only(first)
    azure.append("src/score.py", "# edited\n")
    edited = build(azure, "package.yml", *OPTIONS)
    assert edited.built == {"code src"}
    assert only(edited) != only(first)


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("package.yml", "name: scored", "name: marked", ":marked"),
        ("package.yml", "score.py}", "scoer.py}", "did you mean 'score.py'"),
        ("environment/env.yml", "my-env", "your-env", "there is no environment 'my-env:1'"),
        ("environment/conda.yaml", "numlib=1.0", "numlib=2.0", "numlib 1.0 -> 2.0"),
    ],
)
def test_every_file_it_depends_on_is_watched(azure: Space, path: str, old: str, new: str, said: str) -> None:
    """Also once everything is trusted: an answer must never come from what was there before."""
    command = ("build", "--package", "package.yml", *OPTIONS)
    azure.settle(*command)
    azure.run(*command).said("0 built")
    azure.edit(path, old, new)
    azure.run(*command, code=None).said(said)


def test_a_broken_neighbour_may_be_mended(azure: Space) -> None:
    """It is edited in place, so that no folder tells of it."""
    azure.edit("package.yml", "azureml:my-env:1", "azureml:my-env@latest")
    azure.edit("environment/env.yml", "name: my-env", "name: my-env\nversion: 1")
    azure.write("environment/env2.yml", 'name: my-env\nversion: "2\nimage: registry.example/base:1\n')
    azure.write("BUILD.yaml", "workspace:\n  name: acme\n  platforms: [linux/amd64]\n\ntargets: {}\n")
    command = ("build", "--package", "package.yml", *OPTIONS)
    azure.run(*command)  # writes the locks
    azure.settle(*command)
    azure.run(*command).said("0 built")
    azure.edit("environment/env2.yml", '"2', "2\nconda_file: other.yaml")
    azure.run(*command, code=2).said("other.yaml")


def test_a_sample_that_comes_later_is_seen(azure: Space) -> None:
    options = ("--model", "model", "--environment", "environment/conda.yaml")  # nothing is looked for by name
    command = ("test", "--package", "package.yml", "--runner", "rootfs", *options, *OPTIONS)
    azure.run(*command)
    azure.settle(*command)
    azure.run(*command).said("not tested", "no request: add")
    azure.write("sample-request.json", "{}")
    azure.run(*command, code=1).said("failed      //:scored")  # the base has no Python to start it with


def test_in_a_workspace_its_settings_count(azure: Space, tmp_path: Path) -> None:
    """Also for a model that lies outside of it."""
    azure.write("BUILD.yaml", "workspace:\n  name: acme\n  platforms: [linux/arm64]\n\ntargets: {}\n")
    said = "has no image for linux/arm64"
    azure.run("build", "--package", "package.yml", "--model", "model", *OPTIONS, code=2).said(said)
    os.makedirs(tmp_path / "far")
    os.rename(azure.root / "model", tmp_path / "far/model")
    azure.run("build", "--package", "package.yml", "--model", "../far/model", *OPTIONS, code=2).said(said)


def test_labels_are_those_of_the_workspace(azure: Space) -> None:
    azure.write("BUILD.yaml", "workspace:\n  name: acme\n")
    fill(azure, FILES, "models/one/")
    make_base(azure.root / "models/one/base")
    options = ("--base", "layout:models/one/base", "--python", "3.11")
    assert list(build(azure, "models/one/package.yml", *options).targets) == ["//models/one:scored"]


def test_a_base_of_the_workspace(azure: Space) -> None:
    azure.write("BUILD.yaml", "workspace:\n  name: acme\ntargets:\n  py: {rule: oci_base, layout: base}\n")
    fill(azure, FILES, "models/")
    report = build(azure, "models/package.yml", "--base", "//:py", "--python", "3.11")
    assert list(report.targets) == ["//models:scored"]


def test_targets_of_a_file_that_is_there_are_not_in_the_way(azure: Space) -> None:
    """An import that was edited since does not change what the Azure ML file means."""
    direct = only(build(azure, "package.yml", *OPTIONS))
    azure.write("BUILD.yaml", "workspace:\n  name: acme\ntargets:\n  scored: {rule: debian_base}\n")
    assert only(build(azure, "package.yml", *OPTIONS)) == direct


def test_model_and_code_from_elsewhere(azure: Space, tmp_path: Path) -> None:
    layers = build(azure, "package.yml", *OPTIONS).data["targets"][0]["layers"]
    os.makedirs(tmp_path / "far")
    os.rename(azure.root / "model", tmp_path / "far" / "model")
    os.rename(azure.root / "src", tmp_path / "far" / "src")
    report = build(azure, "package.yml", "--model", "../far/model", "--code", "../far/src", *OPTIONS)
    assert [layer["digest"] for layer in report.data["targets"][0]["layers"]] == [layer["digest"] for layer in layers]
    assert (azure.root / "pylock.my-env-linux-amd64.toml").exists()


@pytest.mark.parametrize("verb", ["export", "show", "lint"])
def test_other_verbs_take_it_too(azure: Space, verb: str) -> None:
    more = ("-o", "layout") if verb == "export" else ()
    azure.run(verb, "--package", "package.yml", *OPTIONS, *more)


def test_a_deployment_is_built_as_well(azure: Space) -> None:
    azure.write(
        "deployment.yml",
        "name: blue\nendpoint_name: e\nmodel: {name: m, version: 2, path: model}\nenvironment: azureml:my-env@latest\n"
        "code_configuration: {code: src, scoring_script: score.py}\nenvironment_variables: {A: 1}\n",
    )
    config = azure.config(only(build(azure, "deployment.yml", *OPTIONS)))
    assert {"A=1", "AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/m/2"} <= set(config["Env"])


@pytest.mark.parametrize("python", ["abc", "", "3", "2.7", "3.11.x", ">=3.11", "3.11 "])
@pytest.mark.parametrize("command", [("build", "--package"), ("import", "azureml", "--dry-run")])
def test_a_python_that_is_no_version(azure: Space, command: tuple[str, ...], python: str) -> None:
    result = azure.run(*command, "package.yml", "--base", "layout:base", "--python", python, code=2)
    result.said(f"--python '{python}' is not a version of Python", "hint: write it like --python 3.11")


def test_what_does_not_go_together(azure: Space) -> None:
    azure.run("build", "//:x", "--package", "package.yml", code=2).said("both name what to build")
    azure.run("build", "//:x", "--model", "model", code=2).said("--model belongs to --package")
    azure.run("build", "--package", "gone.yml", code=2).said("there is no file 'gone.yml'")
    azure.run("build", "--package", "environment/env.yml", *OPTIONS, code=2).said("describes no package")
    azure.run("build", "--package", "package.yml", "--model", "gone", code=2).said("there is no model 'gone'")
    azure.run("build", "--package", "package.yml", "--code", "gone", *OPTIONS, code=2).said("there is no folder 'gone'")
    azure.run("build", "--package", "package.yml", "--python", "3.7", code=2).said("there is no Python 3.7")
    azure.run("build", code=2).said("no targets given")


def test_every_attribute_is_in_the_image(azure: Space) -> None:
    azure.write("labels/a.txt", "a\n")
    azure.write("labels/labels.yml", "name: labels\nversion: 2\ntype: uri_folder\npath: .\n")
    azure.write("words.txt", "b\n")
    azure.write(
        "package.yml",
        PACKAGE
        + """\
model_configuration: {mode: copy, mount_path: /srv/models}
inputs:
  - {type: uri_folder, path: {resource_id: "azureml:labels:2"}, mount_path: /srv/labels}
  - {type: uri_file, mode: read_only_mount, path: {resource_id: "azureml:words@latest"}, mount_path: words}
tags: {owner: fraud}
environment_variables: {THREADS: 4, RATE: 1.50}
""",
    )
    azure.write("words.yml", "name: words\ntype: uri_file\npath: words.txt\n")
    azure.run("export", "--package", "package.yml", *OPTIONS, "-o", "layout")
    blobs = azure.root / "layout/blobs/sha256"
    (entry,) = json.loads((azure.root / "layout/index.json").read_text())["manifests"]
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())["config"]
    files: set[str] = set()
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"][7:]) as archive:
            files |= {member.name for member in archive if member.isfile()}
    assert {"srv/models/model/m.txt", "srv/labels/a.txt", "var/azureml-app/src/words/words.txt"} <= files
    assert "var/azureml-app/src/score.py" in files
    assert {"THREADS=4", "RATE=1.50", "AZUREML_MODEL_DIR=/srv/models"} <= set(config["Env"])
    assert "fraud" in config["Labels"].values()


def test_locks_can_be_made_alone(azure: Space) -> None:
    azure.run("lock", "--package", "package.yml", *OPTIONS).said("3 of 3 locks written")
    azure.run("build", "--package", "package.yml", *OPTIONS, "--locked")


def test_errors_name_the_azure_file_alone(azure: Space) -> None:
    """What is wrong with a target that was made from it stands in no line of any file."""
    result = azure.run(
        "build", "--package", "package.yml", "--mode", "download", "--download-uri", "nowhere://x", *OPTIONS, code=2
    )
    result.said("package.yml: 'nowhere://x' does not say where a model is")
    assert "BUILD.yaml" not in result.out + result.err


def test_a_mount_path_that_is_the_working_directory(azure: Space) -> None:
    azure.write("package.yml", PACKAGE + "model_configuration: {mode: copy, mount_path: .}\n")
    config = azure.config(only(build(azure, "package.yml", *OPTIONS)))
    assert "AZUREML_MODEL_DIR=/var/azureml-app/src" in config["Env"]


def test_a_model_behind_a_link(azure: Space, tmp_path: Path) -> None:
    direct = build(azure, "package.yml", *OPTIONS).data["targets"][0]["layers"]
    os.makedirs(tmp_path / "far")
    os.rename(azure.root / "model", tmp_path / "far/model")
    os.symlink("../far/model", azure.root / "model")
    layers = build(azure, "package.yml", *OPTIONS).data["targets"][0]["layers"]
    assert [layer["digest"] for layer in layers] == [layer["digest"] for layer in direct]


def test_a_link_that_is_pointed_elsewhere_is_seen(azure: Space, tmp_path: Path) -> None:
    for name in ("one", "two"):
        os.makedirs(tmp_path / name / "model")
        (tmp_path / name / "model/m.txt").write_text(name)
    os.rename(azure.root / "model", tmp_path / "old")
    os.symlink("../one/model", azure.root / "model")
    azure.settle("build", "--package", "package.yml", *OPTIONS)
    azure.run("build", "--package", "package.yml", *OPTIONS).said("0 built")
    os.remove(azure.root / "model")
    os.symlink("../two/model", azure.root / "model")
    assert build(azure, "package.yml", *OPTIONS).built == {"model model: small files"}


def test_what_docker_built_runs_as_its_own_user(azure: Space) -> None:
    """An environment from a Dockerfile, on `--base`: the image's own command and user, at the environment's routes."""
    azure.write(
        "deployment.yml",
        "name: tfs\nendpoint_name: e\nmodel: {name: m, version: 2, path: model}\n"
        "environment:\n  build: {path: .}\n  inference_config:\n"
        "    liveness_route: {port: 8501, path: /live}\n    readiness_route: {port: 8501, path: /live}\n"
        "    scoring_route: {port: 8501, path: /score}\n",
    )
    azure.run("build", "--package", "deployment.yml", code=2).said("deployment.yml:5:3", "--base docker:NAME")
    config = azure.config(only(build(azure, "deployment.yml", "--base", "layout:base")))
    assert config["Cmd"] == ["python3"] and not config.get("Entrypoint") and not config.get("User")
    assert list(config["ExposedPorts"]) == ["8501/tcp"]
    assert "AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/m/2" in config["Env"]


def test_a_container_without_a_model(azure: Space) -> None:
    azure.write(
        "deployment.yml",
        "name: tfs\nendpoint_name: e\nenvironment:\n  image: x\n  inference_config:\n"
        "    liveness_route: {port: 8501, path: /live}\n    readiness_route: {port: 8501, path: /live}\n"
        "    scoring_route: {port: 8501, path: /score}\n",
    )
    config = azure.config(only(build(azure, "deployment.yml", "--base", "layout:base")))
    assert list(config["ExposedPorts"]) == ["8501/tcp"]
