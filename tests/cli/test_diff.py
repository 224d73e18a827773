"""`buildrules diff`: how two images differ, wherever they are."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from buildrules.oci.config import ImageConfig
from buildrules.oci.docker_http import Engine
from buildrules.oci.image import build_image
from buildrules.oci.layout import write_layout
from buildrules.serving.platform import host_platform
from tests.oci.registry.servers import registry
from tests.support.dockerlab import tidy
from tests.support.handmade import Shelf
from tests.support.repository import Repository
from tests.support.space import APP, Space, make_base

MLMODEL = """\
flavors:
  sklearn: {{sklearn_version: 1.7.0}}
metadata: {{metrics: {{rmse: {rmse}}}}}
signature:
  inputs: '[{{"name": "weight", "type": "{kind}"}}]'
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def diff(space: Space, *words: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(space.run("diff", *words, "--json", code=code).out)
    return found


def rows(found: dict[str, Any], section: str) -> dict[str, str]:
    """The names of a section's rows with their marks."""
    return {row["name"]: row["mark"] for row in found[section]}


def test_an_edit_against_what_was_before_it(built: Space) -> None:
    before = built.build()
    assert built.run("diff", APP, code=2).said("no build here has made another image of it")
    built.edit("src/score.py", "return data", "return [data]")
    found = diff(built, APP, "--exit-code", code=1)
    assert found["from"]["digest"] == before.digest
    assert found["to"]["digest"] == built.build().digest
    assert rows(found, "layers") == {"scoring code": "~"}
    assert rows(found, "files") == {"srv/app/score.py": "~"}
    assert not found["python"] and not found["models"] and not found["settings"]
    sizes = {layer["digest"]: layer["size"] for layer in before.targets[APP]["layers"]}
    code = before.layer("code code")
    assert found["bytes"]["shared"] == sum(sizes.values()) - code["size"]
    assert found["bytes"]["only_before"] == code["size"]
    assert built.run("diff", f"{APP}@before", APP).said("~ srv/app/score.py  31 -> 33 bytes", "size  ")
    assert diff(built, APP, APP, "--exit-code")["same"], "an image does not differ from itself"


def test_before_is_what_was_built_last_whatever_else_was_planned_since(built: Space) -> None:
    built.append("BUILD.yaml", "  second: {rule: model_package, base_env: ':env', server: ':server', code: ':code'}\n")
    digests = [built.build().digest]
    for threads in (3, 4):
        built.edit("rules/tiny.yaml", f"default: {threads - 1}", f"default: {threads}")
        built.build("//:second")  # another plan, after which the state knows nothing of the first
        assert "first build here" not in built.run("why", APP).out
        digests.append(built.build().digest)
        found = diff(built, APP)
        assert [found["from"]["digest"], found["to"]["digest"]] == digests[-2:]
    built.build("//:second")
    assert diff(built, APP)["from"]["digest"] == digests[-2], "the same image again is no change"


def test_another_version_of_a_wheel(built: Space) -> None:
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    found = diff(built, APP)
    assert [(row["name"], row["from"], row["to"]) for row in found["python"]] == [("numlib", "1.0", "2.0")]
    assert {row["name"]: row["mark"] for row in found["files"]}.items() >= {
        "opt/venv/lib/python3.11/site-packages/numlib/__init__.py": "~",
        "opt/venv/lib/python3.11/site-packages/numlib-1.0.dist-info/METADATA": "-",
        "opt/venv/lib/python3.11/site-packages/numlib-2.0.dist-info/METADATA": "+",
    }.items()
    assert "site-packages/numlib/data.bin" not in json.dumps(found["files"]), "it is in both, and the same"
    text = built.run("diff", APP).said("~ numlib 1.0 -> 2.0", "file of numlib", "label buildrules.locks").out
    assert "numlib/__init__.py" not in text, "what belongs to a package is counted"
    assert built.run("diff", APP, "--verbose").said("numlib/__init__.py")


def test_one_image_in_every_kind_of_place(built: Space, hub: str) -> None:
    folder = built.folder
    built.run("export", APP, "-o", str(folder / "out"))
    built.run("export", APP, "-o", str(folder / "out.tar"), "--format", "oci-archive")
    built.run("push", APP, "--to", f"{hub}/one/app", "--tag", "1")
    places = [f"oci-layout:{folder}/out", f"oci-archive:{folder}/out.tar", f"{hub}/one/app:1"]
    for place in places:
        assert diff(built, APP, place, "--exit-code")["same"]
        assert built.run("diff", place, places[0]).said("no differences")
    built.edit("src/score.py", "return data", "return [data]")
    expected = diff(built, APP)
    for place in places:
        found = diff(built, place, APP)
        assert {**found, "from": 0, "to": 0} == {**expected, "from": 0, "to": 0}, "no plan and no recipe is needed"


@pytest.mark.docker
def test_what_docker_has(built: Space, engine: Engine) -> None:
    place = f"docker-daemon:{built.name}/diff:1"
    with tidy(engine, built.name):
        built.run("load", APP, "--tag", f"{built.name}/diff:1")
        assert diff(built, APP, place)["same"], "it is packed in another way"
        built.edit("src/score.py", "return data", "return [data]")
        assert rows(diff(built, place, APP), "files") == {"srv/app/score.py": "~"}


def test_metrics_and_signature_of_a_model(built: Space) -> None:
    built.write("weights/MLmodel", MLMODEL.format(rmse="0.5", kind="double"))
    built.run("build", APP)
    built.write("weights/MLmodel", MLMODEL.format(rmse="0.25", kind="long"))
    found = diff(built, APP)
    told = {row["name"].partition("MLmodel ")[2]: (row["from"], row["to"]) for row in found["models"]}
    assert told["metadata metrics rmse"] == ("0.5", "0.25")
    assert told["signature inputs weight type"] == ("double", "long")
    assert any(name.startswith("digest of /srv/model") for name in rows(found, "models"))


def test_settings_and_no_secret_among_them(built: Space) -> None:
    built.append("BUILD.yaml", "    environment: {API_TOKEN: hunter2hunter2, MODE: a}\n    labels: {team: risk}\n")
    found = built.run("diff", APP, "--json").out + built.run("diff", APP).out
    assert "hunter2" not in found
    told = json.loads(built.run("diff", APP, "--json").out)
    assert rows(told, "settings") == {"variable API_TOKEN": "+", "variable MODE": "+", "label team": "+"}


def test_markdown_of_hostile_names(workspace: Space) -> None:
    space, shelf = workspace, Shelf()
    name = "a```b\x1b[31m</details>.txt"
    for folder, files in (("one", {"x": b"1"}), ("two", {name: b"22"})):
        layer = shelf.layer(files)
        image = build_image([layer], ImageConfig(), "linux/amd64")
        write_layout(str(space.folder / folder), image, shelf.stream, names=["image:1"])
    words = (f"oci-layout:{space.folder}/one", f"oci-layout:{space.folder}/two")
    text = space.run("diff", *words, "--output", "markdown", "--exit-code", code=1).out
    assert "\x1b" not in text
    assert "\n````diff\n" in text, "a longer fence than any that is inside"
    assert rows(diff(space, *words), "files") == {name: "+", "x": "-"}


def test_what_is_wrong_is_said(built: Space) -> None:
    built.run("diff", "//:code", APP, code=2).said("'//:code' provides code")
    built.run("diff", "//:env", APP, code=2).said("'//:env' is not an image")
    built.run("diff", "oci-layout:nowhere", code=2).said("is to be compared with nothing")
    built.run("diff", "oci-layout:nowhere", APP, code=2).said("nowhere")
    built.run("diff", f"{APP}@", APP, code=2).said("names no revision")
    built.run("diff", f"{APP}@", code=2).said("names no revision")
    Repository(built.root).commit()
    built.run("diff", f"{APP}@nope", code=2).said("there is no revision 'nope' here")
    built.run("diff", f"{APP}@HEAD..main", code=2).said("'HEAD..main' is a range")
    assert diff(built, f"{APP}@HEAD")["same"]


def test_of_an_index_the_image_for_this_machine_or_the_platform_asked_for(workspace: Space) -> None:
    shutil.rmtree(workspace.path("base"))
    make_base(workspace.path("base"), platforms=("linux/amd64", "linux/arm64"))
    workspace.edit("BUILD.yaml", "platforms: [linux/amd64]", "platforms: [linux/amd64, linux/arm64]")
    report = workspace.build()
    workspace.run("export", APP, "-o", str(workspace.folder / "out"))
    place = f"oci-layout:{workspace.folder}/out"
    digests = {row["platform"]: row["digest"] for row in report.data["targets"]}
    for platform in ("linux/amd64", "linux/arm64"):
        found = diff(workspace, APP, place, "--platform", platform)
        assert found["same"]
        assert found["to"]["digest"] == found["from"]["digest"] == digests[platform]
    assert diff(workspace, APP, place)["to"]["digest"] == digests[host_platform()]
    workspace.run("diff", APP, place, "--platform", "linux/riscv64", code=None).said("linux/riscv64")
