"""What nobody caught is one error: its text, its JSON, its exit code, and where the traceback is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.quick import first_quick
from tests.support.space import APP, Result, Space

BUGGY = """
import sys
from buildrules.__main__ import main
from buildrules.cli import query

def broken(*words):
    raise MISTAKE

query.answer = broken
sys.exit(main())
"""


BUG = 'LookupError("https://me:passw0rd@host/")'


def buggy(space: Space, *args: str, mistake: str = BUG, code: int = 1) -> Result:
    """Run a command of which one verb raises `mistake`."""
    done = subprocess.run(
        [sys.executable, "-c", BUGGY.replace("MISTAKE", mistake), *args],
        cwd=space.root,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_bug_is_one_error_with_its_traceback_in_a_log(workspace: Space) -> None:
    result = buggy(workspace, "query", APP)
    result.said(
        "error: buildrules failed unexpectedly: LookupError: https://host/", "hint: this is a bug of buildrules"
    )
    (log,) = re.findall(r"the traceback is in (\S+)", result.err)
    text = Path(log).read_text()
    assert "Traceback (most recent call last)" in text
    assert "in broken" in text
    assert "passw0rd" not in text + result.err
    assert len(result.err.splitlines()) == 2


def test_a_bug_is_json_where_json_is_asked_for(workspace: Space) -> None:
    (error,) = json.loads(buggy(workspace, "query", APP, "--output=json").out)["errors"]
    assert "LookupError" in error["message"]
    assert "the traceback is in" in error["hint"]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("PermissionError(13, 'Permission denied', '/srv/x')", "permission denied: '/srv/x'"),
        ("OSError(28, 'No space left on device')", "no space left on device"),
        ("BrokenPipeError(32, 'Broken pipe')", "broken pipe"),  # of a server: standard output is well
        ("ConnectionResetError('http://me:passw0rd@host/ is gone')", "http://host/ is gone"),
    ],
)
def test_what_the_system_refuses_is_one_error(workspace: Space, mistake: str, said: str) -> None:
    result = buggy(workspace, "query", APP, "--output=json", mistake=mistake)
    (error,) = json.loads(result.out)["errors"]
    assert error["message"] == said
    assert Path(error["hint"].removeprefix("the traceback is in ")).is_file()
    assert "Traceback" not in result.err


def test_ctrl_c_is_no_crash(workspace: Space) -> None:
    assert buggy(workspace, "query", APP, mistake="KeyboardInterrupt", code=130).err == "\nerror: interrupted\n"


def test_a_traceback_that_cannot_be_kept_is_shown_with_verbose(workspace: Space) -> None:
    workspace.env["BUILDRULES_CACHE_DIR"] = "/proc/nowhere"
    buggy(workspace, "query", APP).said("the traceback is shown with --verbose")


def test_a_deleted_current_directory_is_said(workspace: Space) -> None:
    for command in (
        ["rules"], ["build", APP], ["query", APP], ["why", APP], ["lock"], ["schema"], ["help-rule", "model"], ["init"],
        ["clean"], ["show", APP, "--json"], ["import", "azureml", "."],
    ):  # fmt: skip
        gone = workspace.folder / "gone"
        gone.mkdir(exist_ok=True)
        result = _in_deleted(workspace, gone, command)
        assert result.returncode in (0, 2), f"{command}: {result.stdout}{result.stderr}"
        assert "Traceback" not in result.stderr, command
        if result.returncode:
            assert "the current directory does not exist any more" in result.stderr, f"{command}: {result.stderr}"
        if "--json" in command:
            assert json.loads(result.stdout)["errors"][0]["hint"] == "change into one that does"


def _in_deleted(space: Space, gone: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command in a directory that is deleted before it begins."""
    return subprocess.run(
        ["sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), sys.executable, "-m", "buildrules", *command],
        cwd=gone,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )


PIPED = ["show //:app", "build //:app", "build //:app --json", "rules", "schema", "--help", "help-rule model"]


@pytest.mark.parametrize("command", PIPED)
@pytest.mark.parametrize("verb", first_quick(["first", "unchanged"]))
def test_a_pipe_nobody_reads_ends_it_quietly(settled: Space, command: str, verb: str) -> None:
    if verb == "first":
        shutil.rmtree(settled.store / "workspaces")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = _shell(settled, f'exec "$PYTHON" -m buildrules {command}', stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", PIPED)
@pytest.mark.parametrize("verb", first_quick(["first", "unchanged"]))
def test_a_full_disk_is_said(settled: Space, command: str, verb: str) -> None:
    if verb == "first":
        shutil.rmtree(settled.store / "workspaces")
    done = _shell(settled, f'"$PYTHON" -m buildrules {command} > /dev/full')
    assert done.returncode == 1
    assert "error: cannot write the output: no space left on device\n  hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("command", PIPED)
def test_a_closed_output_is_nobodys_business(settled: Space, command: str) -> None:
    done = _shell(settled, f'exec "$PYTHON" -m buildrules {command} >&-')
    assert (done.returncode, done.stderr) == (0, "")


def test_errors_that_nobody_can_read_do_not_change_the_exit_code(workspace: Space) -> None:
    assert _shell(workspace, '"$PYTHON" -m buildrules build //:nope 2> /dev/full').returncode == 1
    done = _shell(workspace, f'"$PYTHON" -m buildrules build {APP} --verbose 2> /dev/full')
    assert (done.returncode, done.stdout) == (1, "")


def _shell(space: Space, script: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", script],
        cwd=space.root,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHON": sys.executable},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
