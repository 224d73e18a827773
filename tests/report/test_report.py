"""`buildrules report -o report.json`: what it says of builds that went well, that failed, and that nobody made."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.workspace import generate
from buildrules.report.builds import LastBuilds
from buildrules.report.data import critical_path
from buildrules.report.layout import heights, orders
from tests.report.conftest import EVIL_FILE
from tests.support.space import APP, CODE, Space, make_base

PAGE = (Path(__file__).parents[2] / "docs/reference/report.md").read_text(encoding="utf-8")


def told(space: Space, *patterns: str) -> dict[str, Any]:
    path = space.folder / "report.json"
    space.run("report", *patterns, "-o", str(path))
    return dict(json.loads(path.read_text()))


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def test_layers_and_who_has_them_are_those_that_layers_says(reported: Space) -> None:
    found = told(reported)
    images, targets, layers = rows(found["images"]), rows(found["targets"]), rows(found["layers"])
    said = json.loads(reported.run("layers", "//...", "--json").out)
    mine = {
        layers[number]["digest"]: sorted(
            f"{targets[image['target']]['label']} {image['platform']}" for image in images if number in image["layers"]
        )
        for number in range(len(layers))
    }
    assert mine == {layer["digest"]: sorted(layer["images"]) for layer in said["layers"]}
    assert sum(layer["size"] for layer in layers) == said["bytes_stored"]


def test_targets_need_what_their_files_say(reported: Space) -> None:
    found = rows(told(reported)["targets"])
    needs = {row["label"]: {found[number]["label"] for number in row["needs"]} for row in found}
    assert needs[APP] == {"//:env", "//:server", "//:m", "//:code"}
    for label in (APP, "//:env", "//:code"):
        said = set(reported.run("query", f"deps({label}, 1)").out.split())
        assert {one for one in said if one.startswith("//:")} - {label} == needs[label]
    assert all(found[number]["height"] < row["height"] for row in found for number in row["needs"])
    assert {row["label"]: row["provides"] for row in found}[APP] == "package"


def test_a_package_with_code_of_several_targets_needs_each(built: Space) -> None:
    built.append("BUILD.yaml", "  prep: {rule: python_library, srcs: [prep.py]}\n")
    built.write("prep.py", "x = 1\n")
    built.edit("BUILD.yaml", "    code: :code", '    code: [":code", ":prep"]')
    built.run("build", APP)
    found = told(built)
    targets = {row["label"]: row for row in rows(found["targets"])}
    assert not [label for label in targets if "," in label]
    needs = {list(targets)[number] for number in targets[APP]["needs"]}
    assert {"//:code", "//:prep"} <= needs
    assert targets["//:code"]["provides"] == "code"


def test_the_last_build_that_did_something_and_the_last_push_are_told(reported: Space) -> None:
    found = told(reported)
    steps, build = rows(found["steps"]), rows(found["build"]["steps"])
    ran = {steps[row["step"]]["title"]: row for row in build if row["status"] == "executed"}
    assert found["reasons"][ran[CODE]["reasons"]] == [f"file {EVIL_FILE} is new"]
    assert found["build"]["verb"] == "build" and found["build"]["exit_code"] == 0
    assert any(row["critical"] for row in build)
    assert found["push"]["bytes"]["sent"] > 0 and len(found["push"]["packages"]) == 2
    assert found["tests"] is None


def test_the_page_lists_every_field(reported: Space) -> None:
    found = told(reported)
    described = set(re.findall(r"`(\w+)`", PAGE))
    assert set(found) <= described
    for name in ("targets", "steps", "layers", "images"):
        assert set(found[name]["columns"]) <= described
    assert set(found["build"]) <= described and set(found["build"]["steps"]["columns"]) <= described
    assert found["schema"] == 1 and "is 1." in PAGE


def test_patterns_narrow_it_and_what_was_never_built_is_said(reported: Space) -> None:
    found = told(reported, APP)
    assert [rows(found["targets"])[image["target"]]["label"] for image in rows(found["images"])] == [APP]
    reported.run("report", "//none/...", code=2).said("'//none/...' names nothing", "hint: buildrules build //none/...")


def test_before_the_first_build_the_way_out_is_named(workspace: Space) -> None:
    workspace.run("report", code=2).said("nothing was built in this workspace yet", "hint: buildrules build //...")


def test_a_first_build_that_failed_is_shown(workspace: Space) -> None:
    workspace.remove("src/score.py")
    workspace.path("src/score.py").symlink_to("/etc/hostname")
    workspace.run("build", APP, "-k", code=1)
    found = told(workspace)
    failed = [row for row in rows(found["build"]["steps"]) if row["status"] == "failed"]
    assert CODE in {rows(found["steps"])[row["step"]]["title"] for row in failed}
    assert all("score.py" in row["error"]["message"] for row in failed)
    assert found["build"]["exit_code"] == 1


def test_a_workspace_that_never_loaded_is_said_to_have_no_nodes(workspace: Space) -> None:
    workspace.write("more/BUILD.yaml", "targets: [")
    workspace.run("build", APP, code=2)
    workspace.run("report").said("nothing was built yet, only how the last build failed")


def _newest(space: Space) -> Path:
    """What the last build told; names of two builds in one second are in no order."""
    return max((space.store / "logs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)


def test_a_damaged_state_leaves_the_last_build(built: Space) -> None:
    built.append("src/score.py", "# more\n")
    built.run("build", APP)
    (state,) = (built.store / "workspaces").glob("*/*.state")
    data = state.read_bytes()
    for at in range(0, len(data), len(data) // 60):
        state.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        assert told(built)["build"]["id"]


def test_a_damaged_record_of_a_build_is_passed_over(built: Space) -> None:
    built.append("src/score.py", "# more\n")
    built.run("build", APP)
    kept = _newest(built)
    text = kept.read_text()
    kept.write_text(text[: len(text) // 2])
    assert told(built)["build"]["id"] == kept.stem
    kept.write_text("{")
    assert (told(built)["build"] or {}).get("id") != kept.stem
    kept.unlink()
    os.mkfifo(kept)  # opened like a file, it would wait for its other end
    assert (told(built)["build"] or {}).get("id") != kept.stem


def test_whatever_byte_of_a_record_is_another_only_its_row_is_missing(built: Space) -> None:
    built.append("src/score.py", "# more\n")
    built.run("build", APP)
    kept = _newest(built)
    data = kept.read_bytes()

    def steps() -> list[dict[str, Any]]:
        found = LastBuilds(str(built.store), str(built.root)).build
        return found.steps if found is not None and found.begin["id"] == kept.stem else []

    sound = steps()
    assert len(sound) > 1
    for at in range(0, len(data), 7):
        kept.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = steps()
        assert all(row in sound for row in found)
        assert not found or len(found) >= len(sound) - 2  # a line end that is gone damages both beside it


def test_a_page_is_as_small_as_promised(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path / "many", wheelhouse)
    generate(space.root, 40)
    space.run("build", "//...")
    space.run("report")
    size = (space.root / "report.html").stat().st_size
    assert size <= 250_000 + 300 * len(told(space)["targets"]["rows"])


graphs = st.integers(1, 30).flatmap(
    lambda size: st.tuples(*[st.sets(st.integers(0, max(0, node - 1)), max_size=min(4, node)) for node in range(size)])
)


@given(graphs)
def test_each_node_stands_above_all_it_needs_and_has_a_place_of_its_own(needs: tuple[set[int], ...]) -> None:
    needs = tuple(row - {node} for node, row in enumerate(needs))
    height = heights(needs)
    assert all(height[node] == 1 + max((height[other] for other in row), default=-1) for node, row in enumerate(needs))
    order = orders(needs, height)
    for column in set(height):
        places = sorted(order[node] for node in range(len(needs)) if height[node] == column)
        assert places == list(range(len(places)))


def test_the_longest_chain_is_the_critical_path() -> None:
    steps = [
        {"step": "base", "needs": [], "seconds": 3.0},
        {"step": "wheel", "needs": [], "seconds": 2.0},
        {"step": "other wheel", "needs": ["gone"], "seconds": 4.0},
        {"step": "env", "needs": ["base", "wheel"], "seconds": 2.0},
        {"step": "image", "needs": ["env", "other wheel"], "seconds": 0.1},
    ]
    assert critical_path(steps) == {"base", "env", "image"}
    assert critical_path([]) == set()


def test_a_package_for_two_platforms_has_an_image_for_each(new_space: Callable[..., Space]) -> None:
    space = new_space(locked=False)
    platforms = ("linux/amd64", "linux/arm64")
    make_base(space.root / "base", platforms=platforms)
    space.edit("BUILD.yaml", "platforms: [linux/amd64]", "platforms: [linux/amd64, linux/arm64]")
    space.run("build", APP)
    found = told(space)
    labels = [row["label"] for row in rows(found["targets"])]
    images = rows(found["images"])
    assert [(labels[image["target"]], image["platform"]) for image in images] == [(APP, one) for one in platforms]
    assert all(len(image["layers"]) > 4 for image in images)
