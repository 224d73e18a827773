"""The state through the command line: what each way costs, what is noticed, and what is nobody's business."""

import os
import time
from collections.abc import Callable
from mmap import mmap
from pathlib import Path

import pytest

from buildrules.state.reader import State, open_state
from tests.support.space import APP, BUILD, CODE, Space

MakeSpace = Callable[..., Space]

TWO = """\
targets:
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  app: {rule: model_package, base_env: //:env, server: //:server, code: ":code"}
"""


def state_of(space: Space) -> State:
    (path,) = [path for path in space.states() if path.suffix == ".state"]
    state = open_state(str(path))
    assert state is not None
    return state


@pytest.fixture
def pair(workspace: Space) -> Space:
    """Two packages, //one:app and //two:app, built long enough ago, together and each alone."""
    for name in ("one", "two"):
        workspace.write(f"{name}/BUILD.yaml", TWO)
        workspace.write(f"{name}/src/score.py", f"def run(data):\n    return '{name}'\n")
    workspace.run("build", "//...")
    workspace.settle("build", "//...")
    for patterns in (["//one:app"], ["//two:app"]):
        workspace.settle("build", *patterns)
    return workspace


def test_each_command_line_and_directory_has_its_own_answer(built: Space) -> None:
    built.run("build", APP)
    built.run("build", APP, cwd="src")
    built.run("build", ":app")
    built.run("build", ":app", cwd="src", code=2)
    found = {request.words for request in state_of(built).requests()}
    assert found == {
        ("", "build", APP, "--json"),
        ("", "build", APP),
        ("src", "build", APP),
        ("", "build", ":app"),
    }


def test_variables_that_count_are_part_of_it(settled: Space) -> None:
    plain = settled.build()
    assert plain.data["bytes"]["read"] == 0
    dated = settled.build(env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert dated.digest != plain.digest
    assert settled.build().digest == plain.digest


def test_a_workspace_that_moved_or_was_copied_has_none(settled: Space) -> None:
    expected = settled.build()
    settled.root.rename(settled.folder / "moved")
    settled.root = settled.folder / "moved"
    moved = settled.build()
    assert moved.digest == expected.digest
    assert moved.executed == 0
    assert moved.data["bytes"]["read"] > 0


STRUCTURE: dict[str, tuple[str, Callable[[Space], object]]] = {
    "a new package": ("//...", lambda w: w.write("sub/BUILD.yaml", "targets: {x: {rule: model, path: src}}\n")),
    "a package gone": ("//...", lambda w: w.remove("lib/BUILD.yaml")),
    "a broken package": ("//...", lambda w: w.write("sub/BUILD.yaml", "targets: {x: {rule: modle}}\n")),
    "a package in a new folder": ("//...", lambda w: w.write("a/b/BUILD.yaml", "targets: {x: {rule: modle}}\n")),
    "a misspelt file": ("//...", lambda w: w.write("sub/BUILD.yml", "targets: {}\n")),
    "a new rule": ("//...", lambda w: w.write("rules/other.yaml", "rule: other\nprovides: nothing\n")),
    "the model's folder is a file now": (
        APP,
        lambda w: (w.path("weights").rename(w.path("old")), w.write("weights", "1")),
    ),
    "the workspace ends here": (APP, lambda w: w.write("BUILD.yaml", "targets: {}\n")),
    "another rule": (APP, lambda w: w.edit("rules/tiny.yaml", "default: 2", "default: none")),
    "no lock": (APP, lambda w: w.remove("pylock.env-linux-amd64.toml")),
}


@pytest.mark.parametrize(("pattern", "change"), STRUCTURE.values(), ids=STRUCTURE)
def test_a_kept_plan_gives_what_a_new_plan_gives(
    settled: Space, pattern: str, change: Callable[[Space], object]
) -> None:
    settled.settle("build", pattern, "--json")
    change(settled)
    kept = settled.run("build", pattern, "--json", code=None)
    settled.run("clean", code=None)
    new = settled.run("build", pattern, "--json", code=None)
    assert kept.code == new.code
    digests = [[line for line in result.out.splitlines() if '"digest"' in line] for result in (kept, new)]
    assert digests[0] == digests[1]
    if "wrote" not in kept.err:
        assert kept.err == new.err


def test_a_model_that_appears_is_noticed(workspace: Space) -> None:
    """What was not there decided something, too."""
    workspace.write("BUILD.yaml", BUILD.replace("path: weights", "srcs: ['weights/*.bin', 'weights/*.txt']"))
    first = workspace.build().digest
    workspace.settle("build", APP, "--json")
    workspace.write("weights/new.bin", b"1")
    assert workspace.build().digest != first
    assert workspace.build().digest == workspace.clean_build().digest


def test_another_package_is_not_the_business_of_one_target(pair: Space) -> None:
    """Not even where it is broken; whoever asks for it, or for everything, is told."""
    expected = pair.run("build", "//one:app").out
    pair.rename_over("two/src/score.py", "other = 1\n")
    pair.write("two/BUILD.yaml", "targets: {x: {rule: modle}}\n")
    pair.write("three/BUILD.yml", "")
    before = {path: path.read_bytes() for path in pair.states()}
    assert pair.run("build", "//one:app").out.splitlines()[0] == expected.splitlines()[0]
    assert {path: path.read_bytes() for path in pair.states()} == before
    pair.run("build", "//two:app", code=2).said("modle")
    pair.run("build", "//...", code=2).said("modle")


def test_what_mattered_to_one_command_line_goes_on_mattering_after_another(pair: Space) -> None:
    pair.write("one/src/more.py", "x = 1\n")
    pair.run("build", "//one:app")
    pair.run("build", "//two:app", "--verbose")  # a plan of its own
    pair.remove("one/src/score.py")
    pair.run("build", "//one:app", code=2).said("the code has no 'score.py'")


def test_what_one_command_line_builds_another_does_not_take_for_unchanged(pair: Space) -> None:
    pair.append("src/score.py", "# for all that use it\n")
    pair.append("one/src/score.py", "# for one\n")
    assert "2 built" in pair.run("build", "//one:app").out
    everything = pair.run("build", "//...").out
    assert "2 built" in everything, "the app at the root, and not //one:app again"
    assert {line.split()[-3] for line in everything.splitlines() if "image sha256" in line} <= set(
        pair.clean_run("build", "//...").out.split()
    )
    (one,) = [line.split()[2] for line in everything.splitlines() if line.startswith("//one:app")]
    assert one == pair.clean_build("//one:app").digests["//one:app"]
    assert "0 built" in pair.run("build", "//...").out


def test_what_nobody_asked_for_is_built_when_somebody_does(pair: Space) -> None:
    """`build //:env` renews rows that images stand on: they are not up to date for that."""
    pair.write("shared/BUILD.yaml", TWO.replace("src/**", "lib/**"))
    pair.write("shared/lib/score.py", "x = 1\n")
    pair.edit(
        "one/BUILD.yaml",
        "app:",
        "other: {rule: model_package, base_env: //:env, server: //:server, code: //shared:code, tags: {a: b}}\n  app:",
    )
    pair.settle("build", "//...")
    pair.settle("build", "//shared:app")
    pair.append("shared/lib/score.py", "# edited\n")
    assert "2 built" in pair.run("build", "//shared:app").out
    report = pair.run("build", "//...").out
    assert "1 built" in report, "the other image on the same code"
    assert pair.build("//...").digests == pair.clean_build("//...").digests


def test_an_editor_that_saves_the_same_renews_a_row_and_nothing_else(settled: Space) -> None:
    text = settled.path("src/score.py").read_text()
    settled.rename_over("src/score.py", text)
    settled.run("build", APP).said("0 built, 8 reused")
    time.sleep(2.05)
    settled.run("build", APP).said("0 built, 8 reused")
    before = {path: path.read_bytes() for path in settled.states()}
    settled.run("build", APP).said("0 built, 8 reused, 0 B read")
    assert {path: path.read_bytes() for path in settled.states()} == before


def test_the_second_run_after_a_build_hashes_what_is_racy_and_plans_nothing(workspace: Space) -> None:
    workspace.write("src/score.py", "def run(data):\n    return 3\n")
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    first = workspace.build()  # it writes a lock as well
    names = planned(workspace)
    again = workspace.build()
    assert planned(workspace) == names, "the second run planned anew"
    assert (again.digest, again.executed) == (first.digest, 0)


def planned(space: Space) -> int:
    """A number that another base of the state changes: only a new plan writes one."""
    return state_of(space).generation


def test_a_new_folder_is_searched_and_looked_into(settled: Space) -> None:
    settled.settle("build", "//...")
    before = planned(settled)
    settled.write("src/new/deep/x.py", "x = 1\n")
    settled.run("build", "//...").said("2 built")
    assert planned(settled) == before, "a folder without packages needs no new plan"
    os.utime(settled.path("src/new/deep/x.py"))
    settled.write("src/new/deep/y.py", "y = 1\n")
    assert settled.build("//...", options=["--verbose"]).digests == settled.clean_build("//...").digests
    settled.run("build", "//...").said("0 built")
    assert settled.build().digest == settled.clean_build().digest
    settled.write("src/new/deep/BUILD.yaml", "targets: {x: {rule: modle}}\n")
    settled.run("build", "//...", code=2).said("modle")


def test_states_are_compacted(settled: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    from buildrules.state import writer

    monkeypatch.setattr(writer, "_LONGEST", 1000)
    before = planned(settled)
    for number in range(3):
        settled.append("src/score.py", f"# {number}\n")
        assert settled.build().built == {CODE}
    assert planned(settled) != before
    assert settled.build().digest == settled.clean_build().digest


def test_a_state_that_cannot_be_written_costs_time_only(built: Space, tmp_path: Path) -> None:
    expected = built.build().digest
    for path in built.states():
        path.unlink()
        path.mkdir()
    assert built.build().digest == expected


def test_a_check_that_breaks_is_said_again_and_costs_no_new_plan(
    settled: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    from buildrules.lints import secrets

    before = planned(settled)

    def broken(*_: object) -> object:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "_by_name", broken)
        settled.append("src/score.py", "# edited\n")
        for _ in range(2):
            settled.run("build", APP).said("FAILED  ")
    assert "FAILED" not in settled.run("build", APP).err
    assert planned(settled) == before
    assert settled.build().digest == settled.clean_build().digest


def test_a_file_from_the_future_is_read_once(settled: Space) -> None:
    os.utime(settled.path("src/score.py"), (4e9, 4e9))
    settled.build()
    time.sleep(2.05)
    assert settled.build().data["bytes"]["read"] > 0, "its change time was too young to be trusted"
    assert settled.build().data["bytes"]["read"] == 0


def test_d5_a_write_through_a_map_is_found_where_the_kernel_tells_and_after_a_touch(settled: Space) -> None:
    """A page that was written to and is not flushed gets no new time: documented, with `touch` as the way out."""
    path = settled.path("weights/model.txt")
    with open(path, "r+b") as file, mmap(file.fileno(), 0) as mapped:
        mapped[0] = ord("7")
        settled.settle()
        first = settled.build()
        assert first.digest == settled.clean_build().digest
        mapped[0] = ord("8")
        os.utime(path)
        assert settled.build().digest == settled.clean_build().digest != first.digest
