"""`fmt`: which files it takes, and what it says of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildrules.authoring.form import usual_form
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


def test_what_the_workspace_ignores_is_of_others(workspace: Space, tmp_path: Path) -> None:
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  ignore: [theirs/sub]\n")
    for folder in ("theirs", "theirs/sub"):
        workspace.write(f"{folder}/BUILD.yaml", "targets:   {}\n")
        workspace.write(f"{folder}/pylock.x.toml", workspace.path("pylock.env-linux-amd64.toml").read_text())
    lock = workspace.path("theirs/sub/pylock.x.toml")
    lock.write_text(lock.read_text().replace('name = "numlib"', 'name = "elsewhere"'))
    assert workspace.run("fmt", "--check", code=1).out.splitlines() == ["theirs/BUILD.yaml"]
    assert workspace.run("fmt", "--check", "theirs", code=1).out.splitlines() == ["theirs/BUILD.yaml"]
    assert workspace.run("fmt", "theirs/sub").out == "theirs/sub/BUILD.yaml\n", "it was asked for"
    workspace.run("lock", "--upgrade", "elsewhere", code=2).said("no lock has a package 'elsewhere'")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "BUILD.yaml").write_text("targets:   {}\n")
    assert workspace.run("fmt", str(tmp_path / "none")).said("1 of 1 files changed")


def test_an_editor_pipes(workspace: Space) -> None:
    command = [sys.executable, "-m", "buildrules", "fmt", "-"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, input="targets:   {}", env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "targets: {}\n"


def test_a_link_out_of_the_workspace_is_not_written_through(workspace: Space, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("targets:   {}\n")
    workspace.path("sub").mkdir()
    workspace.path("sub/BUILD.yaml").symlink_to(other)
    workspace.run("fmt", code=2).said("a link leads out of the workspace")
    assert other.read_text() == "targets:   {}\n"
    workspace.path("sub/BUILD.yaml").unlink()
    workspace.write("real.yaml", "targets:   {}\n")
    workspace.path("sub/BUILD.yaml").symlink_to("../real.yaml")
    workspace.run("fmt", "sub")
    assert workspace.path("real.yaml").read_text() == "targets: {}\n"
    assert workspace.path("sub/BUILD.yaml").is_symlink()


def test_what_is_saved_meanwhile_stays(workspace: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    def saved_meanwhile(path: str, text: str) -> str:
        workspace.rename_over("BUILD.yaml", BUILD + "# saved\n")
        return usual_form(path, text)

    monkeypatch.setattr("buildrules.cli.commands.fmt.usual_form", saved_meanwhile)
    workspace.write("BUILD.yaml", UNTIDY)
    workspace.run("fmt", code=2).said("'BUILD.yaml' was changed meanwhile", "run it again")
    assert workspace.path("BUILD.yaml").read_text() == BUILD + "# saved\n"


def test_other_encodings_are_said_as_by_every_reader(workspace: Space) -> None:
    workspace.path("BUILD.yaml").write_bytes(BUILD.encode("utf-16"))
    workspace.run("fmt", "BUILD.yaml", code=2).said("'BUILD.yaml' is not UTF-8", "UTF-16")
