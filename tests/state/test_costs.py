"""What a command costs, in counts: the same in a workspace of twelve packages as in one of three, but for the stats."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.state.reader import State, open_state
from tests.support.space import Space

REPOSITORY = Path(__file__).parents[2]
ALL, ONE = "//...", "//p1:app"
SIZES = (3, 12)
PACKAGE = """\
targets:
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  app: {rule: model_package, base_env: //:env, server: //:server, code: ":code"}
"""
DRIVER = """
import json, os, sys
import buildrules
found = {"stats": 0, "opened": [], "listed": 0, "keyed": 0}
real = os.stat

def stat(*args, **more):
    found["stats"] += 1
    return real(*args, **more)

def hear(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(args[0]))
        if path.startswith(os.environ["FOLDER"]):
            found["opened"].append(path)
    elif event == "os.scandir":
        found["listed"] += 1

def counted(walk):
    def walked(*args):
        found["keyed"] += 1
        return walk(*args)
    return walked

if os.environ["KEYS"]:
    from buildrules.engine import key
    key.walk = counted(key.walk)
os.stat = stat
sys.addaudithook(hear)
from buildrules.__main__ import main
code = main()
text = json.dumps(found)
with open(os.environ["COUNTS"], "w") as file:
    file.write(text)
sys.exit(code)
"""


def counts(space: Space, *args: str, keys: bool = False) -> dict[str, Any]:
    """What `buildrules build` does: stats, files below the space that it opens, directories it lists, keys."""
    written = space.folder / "counts.json"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, "build", *args],
        cwd=space.root,
        env={
            **space.env,
            "PYTHONPATH": str(REPOSITORY),
            "COUNTS": str(written),
            "FOLDER": str(space.folder),
            "KEYS": "1" if keys else "",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(written.read_text())
    found["said"] = done.stdout.splitlines()[-1]
    found["inside"] = [path for path in found["opened"] if path.startswith(f"{space.root}/")]
    return found


def state_of(space: Space) -> State:
    (path,) = [path for path in space.states() if path.suffix == ".state"]
    state = open_state(str(path))
    assert state is not None
    return state


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, template: Path) -> list[Space]:
    """Workspaces of different sizes, built long enough ago, whole and one target alone."""
    import shutil

    made = []
    for size in SIZES:
        space = Space(tmp_path_factory.mktemp("costs") / str(size), wheelhouse)
        shutil.copytree(template, space.root)
        for number in range(1, size + 1):
            space.write(f"p{number}/BUILD.yaml", PACKAGE)
            space.write(f"p{number}/src/score.py", f"def run(data):\n    return {number}\n")
            space.write(f"p{number}/src/more.py", "more = 1\n")
        space.run("build", ALL)
        made.append(space)
    time.sleep(2.05)
    for space in made:
        for words in (ALL, ONE, ALL, ONE):
            space.run("build", words)
    return made


def settle(spaces: list[Space]) -> None:
    """Build everything once more when nothing is too young to be trusted."""
    for space in spaces:
        space.settle("build", ALL)
        space.run("build", ONE)


def both(spaces: list[Space], measure: Callable[[Space], Any]) -> list[Any]:
    return [measure(space) for space in spaces]


def test_an_unchanged_build_stats_each_path_once_and_opens_the_state(spaces: list[Space]) -> None:
    for space in spaces:
        found = counts(space, ALL)
        _, per_group, paths, _ = state_of(space).all_groups()
        assert found["said"].startswith("0 built")
        assert sum(per_group) == paths.count(b"\0") == len(set(paths.split(b"\0"))) - 1
        assert found["stats"] == sum(per_group)
        assert [Path(path).suffix for path in found["opened"]] == [".yaml", ".state", ".journal"]
        assert found["listed"] == 0


def test_one_unchanged_target_costs_the_same_in_any_workspace(spaces: list[Space]) -> None:
    found = both(spaces, lambda space: counts(space, ONE))
    assert found[0]["stats"] == found[1]["stats"] < 25
    assert len(found[0]["opened"]) == len(found[1]["opened"]) == 3

    def read(space: Space) -> int:
        state = state_of(space)
        request = state.request(("", "build", ONE))
        assert request is not None
        assert state.changed(request, f"{space.root}/") == []
        return state.bytes_read

    small, large = both(spaces, read)
    assert abs(small - large) < 200  # numbers of groups and actions have more digits


def test_an_edit_keys_what_it_touches_and_appends_to_the_journal(spaces: list[Space]) -> None:
    def edit(space: Space) -> tuple[int, list[str], int]:
        before = {path: path.stat() for path in space.states()}
        space.append("p1/src/more.py", "# edited\n")
        found = counts(space, ALL, keys=True)
        assert found["said"].startswith("2 built")
        (base,) = [path for path in space.states() if path.suffix == ".state"]
        assert base.stat().st_mtime_ns == before[base].st_mtime_ns, "the base was written"
        (journal,) = [path for path in space.states() if path.suffix == ".journal"]
        grown = journal.stat().st_size - (before[journal].st_size if journal in before else 0)
        return found["keyed"], sorted({os.path.relpath(path, space.root) for path in found["inside"]}), grown

    settle(spaces)
    small, large = both(spaces, edit)
    assert small[0] == large[0] <= 8  # the code, what looks for mistakes in it, the image: to look, to run, to explain
    assert small[1] == large[1] == ["BUILD.yaml", "p1/src/more.py", "p1/src/score.py"]
    assert abs(small[2] - large[2]) < 200


def test_a_save_next_door_costs_one_target_nothing(spaces: list[Space]) -> None:
    settle(spaces)
    for space in spaces:
        before = counts(space, ONE)
        states = {path: path.read_bytes() for path in space.states()}
        space.rename_over("p2/src/more.py", space.path("p2/src/more.py").read_text())
        after = counts(space, ONE)
        assert (after["stats"], after["opened"], after["listed"]) == (before["stats"], before["opened"], 0)
        assert {path: path.read_bytes() for path in space.states()} == states


def test_a_save_of_the_same_text_plans_nothing_and_runs_nothing(spaces: list[Space]) -> None:
    settle(spaces)
    for space in spaces:
        space.rename_over("p3/BUILD.yaml", PACKAGE)
        space.rename_over("p3/src/more.py", "more = 1\n")
        found = counts(space, ALL, keys=True)
        assert found["said"].startswith("0 built")
        assert found["keyed"] <= 2  # the code and what looks for mistakes in it
        assert {os.path.relpath(path, space.root) for path in found["inside"]} <= {
            "BUILD.yaml",
            "p3/BUILD.yaml",
            "p3/src/more.py",
            "p3/src/score.py",
        }
