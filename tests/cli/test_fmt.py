"""`fmt`: which files it takes, and what it says of them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.space import BUILD, Space

UNTIDY = BUILD.replace("  m: {rule: model, path: weights}", "  m:   {path: weights,rule: model}  # heavy")


def test_the_workspace_a_folder_or_a_file(workspace: Space) -> None:
    workspace.write("BUILD.yaml", UNTIDY)
    workspace.write("sub/BUILD.yaml", "targets:   {}\n")
    listed = workspace.run("fmt", "--check", code=1)
    assert listed.out.splitlines() == ["BUILD.yaml", "sub/BUILD.yaml"]
    listed.said("2 of 2 files would change")
    diff = workspace.run("fmt", "--diff", "BUILD.yaml", code=1).out
    assert "+  m: {rule: model, path: weights}  # heavy" in diff
    assert workspace.path("BUILD.yaml").read_text() == UNTIDY
    assert workspace.run("fmt", "sub").out == "sub/BUILD.yaml\n"
    os.chmod(workspace.path("BUILD.yaml"), 0o640)
    workspace.run("fmt").said("1 of 2 files changed")
    assert "  m: {rule: model, path: weights}  # heavy\n" in workspace.path("BUILD.yaml").read_text()
    assert workspace.path("BUILD.yaml").stat().st_mode & 0o777 == 0o640
    assert workspace.run("fmt", "--check").out == ""
    assert not list(workspace.root.rglob("*.tmp"))


def test_what_cannot_be_read_stays_and_the_rest_is_done(workspace: Space) -> None:
    workspace.write("BUILD.yaml", UNTIDY)
    workspace.write("sub/BUILD.yaml", "targets: {a: 1, a: 2}\n")
    workspace.run("fmt", code=2).said("sub/BUILD.yaml:1:17", "'a'")
    assert workspace.path("sub/BUILD.yaml").read_text() == "targets: {a: 1, a: 2}\n"
    assert "path: weights}  # heavy" in workspace.path("BUILD.yaml").read_text()
    workspace.run("fmt", "absent", code=2).said("no file or folder 'absent'")


def test_an_editor_pipes(workspace: Space) -> None:
    command = [sys.executable, "-m", "buildrules", "fmt", "-"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, input="targets:   {}", env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "targets: {}\n"
