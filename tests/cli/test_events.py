"""`--events`, `--progress`: what a build tells programs, line by line, as docs/reference/events.md says."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.space import APP, Space

PAGE = (Path(__file__).parents[2] / "docs/reference/events.md").read_text(encoding="utf-8")


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def told(space: Space, *words: str, code: int = 0) -> list[dict[str, Any]]:
    path = space.folder / "events.jsonl"
    space.run(*words, "--events", str(path), code=code)
    return rows(path.read_text())


def test_a_build_tells_each_step_and_how_it_ended(workspace: Space) -> None:
    path = workspace.folder / "events.jsonl"
    workspace.run("build", APP, "--events", str(path)).said("8 built, 0 reused")
    found = rows(path.read_text())
    assert found[0]["event"] == "build_started" and found[0]["schema"] == 1
    assert found[0]["verb"] == "build" and found[0]["patterns"] == [APP]
    started = [row["step"] for row in found if row["event"] == "step_started"]
    finished = {row["step"]: row for row in found if row["event"] == "step_finished"}
    assert set(started) == {step for step, row in finished.items() if row["status"] == "executed"}
    assert all(need in finished for row in finished.values() for need in row["needs"])
    (total,) = [row["total"] for row in found if row["event"] == "steps_counted"]
    assert total == len(finished) == 10
    last = found[-1]
    assert last["event"] == "build_finished" and last["exit_code"] == 0
    assert last["steps"] == {"executed": 8, "cached": 0, "unchanged": 0, "failed": 0, "skipped": 0}, "without lints"
    (kept,) = (workspace.store / "logs").glob("*.jsonl")
    assert kept.stem == found[0]["id"]
    assert rows("\n".join(line[17:] for line in kept.read_text().splitlines()))[-1] == last, "after its digest"


def test_rows_have_the_fields_that_the_page_lists(workspace: Space) -> None:
    workspace.write("src/score.py", "def run(data)\n")
    found = told(workspace, "build", APP)
    found += told(workspace, "build", "//:none", code=2)
    described = set(re.findall(r"`(\w+)`", PAGE))
    for row in found:
        assert f"| `{row['event']}` |" in PAGE
        assert set(row) - {"event"} <= described


def test_a_failed_step_and_a_wrong_file_are_told_with_their_errors(built: Space) -> None:
    built.write("weights/model.txt", "")
    built.path("weights/model.txt").chmod(0)
    if os.access(built.path("weights/model.txt"), os.R_OK):  # root reads everything
        built.remove("weights/model.txt")
        built.path("weights/model.txt").symlink_to("/etc/hostname")
    found = told(built, "build", APP, code=1)
    (failed,) = [row for row in found if row.get("status") == "failed"]
    assert "model.txt" in failed["error"]["message"]
    assert found[-1]["exit_code"] == 1 and found[-1]["steps"]["failed"] == 1
    built.write("more/BUILD.yaml", "targets: [")
    (first, *_, wrong, last) = told(built, "build", APP, code=2)
    assert first["event"] == "build_started" and wrong["event"] == "error"
    assert wrong["position"] == last["error"]["position"]
    assert last["exit_code"] == 2 and last["error"]["position"].startswith("more/BUILD.yaml:1")


def test_an_unchanged_build_is_told_too_and_not_kept(settled: Space) -> None:
    words = ("build", APP, "--events", str(settled.folder / "events.jsonl"))
    settled.settle(*words)
    before = set((settled.store / "logs").glob("*.jsonl"))
    settled.run(*words).said("0 built, 8 reused")
    last = rows((settled.folder / "events.jsonl").read_text())[-1]
    assert last["event"] == "build_finished"
    assert last["steps"] == {"executed": 0, "cached": 0, "unchanged": 8, "failed": 0, "skipped": 0}
    assert set((settled.store / "logs").glob("*.jsonl")) == before


def test_progress_as_json_is_standard_error(workspace: Space) -> None:
    result = workspace.run("build", APP, "--progress", "json")
    found = rows(result.err)
    assert found[0]["event"] == "build_started" and found[-1]["event"] == "build_finished"
    assert "built, " in result.out
    workspace.write("src/score.py", "import nowhere\n" + workspace.path("src/score.py").read_text())
    found = rows(workspace.run("build", APP, "--progress", "json").err)
    (notice,) = [row for row in found if row["event"] == "notice"]
    assert notice["warning"] and "nowhere" in notice["message"] and "\n  hint: " in notice["message"]


def test_errors_are_rows_where_events_are_asked_for(workspace: Space) -> None:
    def errors(code: int, **env: str) -> list[dict[str, Any]]:
        found = rows(workspace.run("build", APP, "--progress", "json", code=code, **env).err)
        assert found[-1]["event"] == "build_finished" and found[-1]["exit_code"] == code
        return [row for row in found if row["event"] == "error"]

    workspace.path("src/score.py").unlink()
    workspace.path("src/score.py").symlink_to("/etc/hostname")
    (one,) = errors(1)
    assert "score.py" in one["message"] and one["hint"]
    workspace.write("a/BUILD.yaml", "targets: {x: {type: nothing}}\n")
    workspace.write("b/BUILD.yaml", "targets: {x: {type: nothing}}\n")
    assert [row["position"].partition(":")[0] for row in errors(2)] == ["a/BUILD.yaml", "b/BUILD.yaml"]
    workspace.path("BUILD.yaml").unlink()
    workspace.path("WORKSPACE.yaml").unlink(missing_ok=True)
    found = rows(workspace.run("build", APP, "--progress=json", code=2).err)
    assert [row["event"] for row in found] == ["error"]


def test_the_last_line_says_how_it_ended(workspace: Space) -> None:
    assert re.fullmatch(r"\d+ built, .* in [\d.]+ s", workspace.run("build", APP).out.splitlines()[-1])
    workspace.path("src/score.py").unlink()
    workspace.path("src/score.py").symlink_to("/etc/hostname")
    failed = workspace.run("build", APP, code=1).err.splitlines()[-1]
    assert re.fullmatch(r"failed: \d+ built, \d+ reused, 1 failed, .*; the full log of build \S+: \S+", failed)


@pytest.mark.parametrize("option", ["--events", "--profile"])
def test_a_place_that_cannot_be_written_is_an_error(workspace: Space, option: str) -> None:
    workspace.run("build", APP, option, "/proc/none/x", code=2).said("cannot write '/proc/none/x'", "hint: ")


def test_a_full_disk_is_said_once_and_costs_nobody_the_build(workspace: Space) -> None:
    said = workspace.run("build", APP, "--events", "/dev/full").err
    assert said.count("warning: cannot write the events to '/dev/full'") == said.count("no space left on device") == 1


@pytest.mark.parametrize("words", [("build", APP, "--events"), ("build", APP, "--profile"), ("report", "-o")])
def test_a_file_is_replaced_only_by_what_it_is(built: Space, words: tuple[str, ...]) -> None:
    before = built.path("BUILD.yaml").read_bytes()
    built.run(*words, "BUILD.yaml", code=2).said("'BUILD.yaml' is there, and is nothing that this command wrote")
    assert built.path("BUILD.yaml").read_bytes() == before
    built.write("empty", "")
    for name in ("empty", "out", "out", "/dev/null"):
        built.run(*words, name)
    assert built.path("out").read_text() and built.path("empty").read_text()
    assert not list(built.root.glob("*.tmp"))


def test_a_dash_is_standard_output(built: Space) -> None:
    done = built.run("build", APP, "--events", "-")
    found = rows(done.out)
    assert found[0]["event"] == "build_started" and found[-1]["event"] == "build_finished"
    assert APP in done.err and not built.path("-").exists()
    built.run("build", APP, "--events", "-", "--json", code=2).said("both write to standard output")
    page = built.run("report", "-o", "-")
    assert page.out.startswith("<!doctype html>") and page.out.rstrip().endswith("</html>")
    assert "nodes" in page.err and not built.path("-").exists()


def test_a_killed_report_leaves_the_page_as_it_was(built: Space) -> None:
    """The disk takes no more than a part of the page, then the process is gone: SIGXFSZ, which nothing can clean up."""
    built.run("report")
    before = built.path("report.html").read_bytes()
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); "
    limited += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); "
    limited += "from buildrules.__main__ import main; sys.argv[1:] = ['report']; sys.exit(main())"
    env = {**os.environ, **built.env, "PYTHONDONTWRITEBYTECODE": "1"}
    assert len(before) > 50_000
    done = subprocess.run([sys.executable, "-c", limited], cwd=built.root, env=env, capture_output=True, check=False)
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    assert built.path("report.html").read_bytes() == before
    assert list(built.root.glob("*.tmp"))
    built.run("report")
    assert not list(built.root.glob("*.tmp"))
