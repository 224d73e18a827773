"""Records made in one place are good in another: they name content, and the plan at hand knows where that is."""

import json
import os
import shutil
from pathlib import Path

import pytest

from buildrules.oci.recipe import LARGE_FILE, SMALL_LAYER
from tests.support.borrowing import borrow, exported
from tests.support.example import Example
from tests.support.space import APP, Space


@pytest.fixture
def other(workspace: Space, tmp_path: Path) -> Space:
    """The same workspace checked out elsewhere, with an empty store."""
    workspace.write("weights/large.bin", os.urandom(LARGE_FILE + 1000))
    for number in range(5):  # so many bytes that they are known by the layer they make together
        workspace.write(f"weights/small/{number}", os.urandom(SMALL_LAYER // 4))
    workspace.write("weights/text.txt", b"0.25 0.5 0.75 1.0\n" * (LARGE_FILE // 18 + 1))
    workspace.build()
    other = Space(tmp_path / "elsewhere", workspace.wheels)
    shutil.copytree(workspace.root, other.root)
    return other


def test_a_package_is_exported_from_records_made_elsewhere(workspace: Space, other: Space) -> None:
    texts = borrow(workspace.store, other.store)
    assert not [text for text in texts if str(workspace.folder) in text or '"workspace"' in text]
    report = other.build()
    assert report.executed == 0
    assert report.digest == workspace.build().digest
    for one in (workspace, other):
        one.run("export", APP, "-o", str(one.folder / "layout"))
    assert exported(other.folder / "layout") == exported(workspace.folder / "layout")


def test_what_is_not_here_is_not_made_up(workspace: Space, other: Space) -> None:
    borrow(workspace.store, other.store)
    before = other.build().targets[APP]["layers"]
    other.write("weights/large.bin", os.urandom(LARGE_FILE + 1000))
    after = other.build().targets[APP]["layers"]
    changed = [one["origin"] for one, old in zip(after, before, strict=True) if one["digest"] != old["digest"]]
    assert changed == ["model m: large.bin"]
    other.run("export", APP, "-o", str(other.folder / "layout"))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.xdist_group("examples")
def test_every_example_is_exported_from_records_made_elsewhere(tmp_path: Path, examples_store: Path) -> None:
    made = Example("examples", tmp_path / "made", examples_store)
    first = json.loads(made.run("build", "//...", "--locked", "--json"))
    borrow(examples_store, tmp_path / "empty")
    there = Example("examples", tmp_path / "there", tmp_path / "empty")
    second = json.loads(there.run("build", "//...", "--locked", "--json"))
    assert second["actions"]["executed"] == 0
    assert [one["digest"] for one in second["targets"]] == [one["digest"] for one in first["targets"]]
    for target in second["targets"]:
        if target["digest"]:
            for one in (made, there):
                one.run("export", target["label"], "-o", str(one.root.with_suffix(".layout")))
    assert exported(tmp_path / "there.layout") == exported(tmp_path / "made.layout")
