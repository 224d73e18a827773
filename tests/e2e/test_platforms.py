"""Images of several platforms from one command: an OCI index over them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from buildrules.engine.events import Stream
from buildrules.net.session import Session
from buildrules.prepared import prepare
from buildrules.serving.platform import emulator_path
from buildrules.store.store import Store
from buildrules.workspace.disk import SHAPE
from tests.support.space import APP, Space, make_base

BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
def both(workspace: Space) -> Space:
    """The usual workspace, for two platforms."""
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", platforms=BOTH)
    workspace.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    workspace.run("lock")
    return workspace


def test_one_build_makes_an_index_over_both_images(both: Space) -> None:
    targets = json.loads(both.run("build", APP, "--json").out)["targets"]
    first, second, index = targets
    assert [first["platform"], second["platform"]] == list(BOTH)
    assert index["platforms"] == {BOTH[0]: first["digest"], BOTH[1]: second["digest"]}
    assert f"index {index['digest']}  (2 platforms" in both.run("build", APP, "-v").out
    assert index["digest"] in both.run("show", APP).out


def test_an_emulator_that_comes_later_is_seen(both: Space) -> None:
    """A plan of tests says what it depends on: also where Linux would list the emulator."""
    both.append(
        "BUILD.yaml", "  check: {rule: package_test, package: ':app', requests: [{route: scoring, json: {}}]}\n"
    )
    store = Store(str(both.store))
    prepared = prepare(str(both.root), "", [APP], {"test": True}, store, Stream(), Session())
    goals = prepared.plan().goals
    (other,) = [goal for goal in goals if goal.kind == "untested"]
    assert prepared.disk.found[SHAPE, emulator_path(other.platform)] == "nothing"


def test_what_both_images_share_is_made_once(both: Space) -> None:
    first, second, index = json.loads(both.run("build", APP, "--json").out)["targets"]
    shared = {layer["digest"] for layer in first["layers"]} & {layer["digest"] for layer in second["layers"]}
    origins = {layer["origin"] for layer in first["layers"] if layer["digest"] in shared}
    assert {"code code", "model m: small files"} <= origins
    assert index["size"] < first["size"] + second["size"]


def test_an_exported_layout_holds_the_index(both: Space, tmp_path: Path) -> None:
    out = both.run("export", APP, "-o", str(tmp_path / "layout")).out
    assert "skopeo copy --all" in out
    entry = json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]
    index = json.loads((tmp_path / "layout/blobs/sha256" / entry["digest"][7:]).read_text())
    assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64", "arm64"]
    copied = ["skopeo", "copy", "-q", "--all", f"oci:{tmp_path}/layout:acme/app:latest", f"dir:{tmp_path}/copied"]
    subprocess.run(copied, check=True)
    assert len(list((tmp_path / "copied").glob("*.manifest.json"))) == 2


def test_one_platform_of_several_is_exported_alone(both: Space, tmp_path: Path) -> None:
    both.run("export", APP, "--platform", BOTH[1], "-o", str(tmp_path / "layout"))
    entry = json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]
    assert "manifest" in entry["mediaType"]


def test_a_docker_archive_holds_the_image_of_this_machine(both: Space, tmp_path: Path) -> None:
    both.run("export", APP, "--format", "docker-archive", "-o", str(tmp_path / "app.tar"))
    assert (tmp_path / "app.tar").stat().st_size > 0


def test_an_edit_makes_two_small_images_and_one_index(both: Space) -> None:
    both.build()
    both.append("src/score.py", "# more\n")
    report = both.build()
    assert report.executed == 4  # the code layer, two images, the index


def test_what_is_loaded_here_is_built_for_this_machine_only(both: Space) -> None:
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    loaded = both.run("load", APP, code=None, env=nowhere)
    assert loaded.code != 0
    assert "linux/amd64" in loaded.err
    assert "linux/arm64" not in loaded.err
    assert "linux/arm64" in both.run("load", APP, "--platform", BOTH[1], code=None, env=nowhere).err
