"""The hooks of `.pre-commit-hooks.yaml`, installed and run by pre-commit and by prek."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import Space

ROOT = Path(__file__).parents[2]
HOOKS = ("buildrules-fmt", "buildrules-lint", "buildrules-lock-check")
FMT, LINT, LOCKS = "buildrules fmt", "buildrules lint", "buildrules lock --check"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as it lies here, as a repository of its own."""
    folder = tmp_path_factory.mktemp("hooks") / "buildrules"
    folder.mkdir()
    for name in ("buildrules", "rules"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "hooks")
    return folder


class Runner:
    """pre-commit or prek with the hooks installed, which takes half a minute: once for all tests."""

    def __init__(self, name: str, hooks: Path, folder: Path) -> None:
        self._program = Path(sys.executable).parent / name
        self._home = {"PRE_COMMIT_HOME": str(folder), "PREK_HOME": str(folder)}
        self._path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # prek takes uv from there
        listed = ", ".join(f"{{id: {name}}}" for name in HOOKS)
        revision = git(hooks, "rev-parse", "HEAD").strip()
        self.config = f"repos:\n  - repo: file://{hooks}\n    rev: {revision}\n    hooks: [{listed}]\n"
        project = folder.with_name(f"{name}-project")
        project.mkdir()
        git(project, "init", "-q")
        (project / ".pre-commit-config.yaml").write_text(self.config)
        done = self._run("install-hooks", folder=project, env=dict(os.environ))
        assert done.returncode == 0, done.stdout + done.stderr

    def _run(self, *words: str, folder: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        env = {**env, **self._home, "PATH": self._path, "NO_COLOR": "1"}
        return subprocess.run([self._program, *words], cwd=folder, env=env, check=False, capture_output=True, text=True)

    def run(self, space: Space, *words: str, fails: tuple[str, ...] = ()) -> dict[str, str]:
        """What became of each hook, in the repository around two workspaces; those that `fails` names must fail."""
        git(space.folder, "add", "-A", "--", "ws", "other", ".pre-commit-config.yaml")
        done = self._run("run", "--verbose", *words, folder=space.folder, env=space.env)
        found = {}
        for line in done.stdout.splitlines():
            name, dots, state = line.partition("..")
            if dots:
                found[name] = state.strip(".").removeprefix("(no files to check)").strip(".")
        failed = [name for name, state in found.items() if state == "Failed"]
        assert failed == list(fails), done.stdout + done.stderr
        assert done.returncode == bool(fails)
        return {**found, "": "\n".join(map(str.strip, done.stdout.splitlines()))}


@pytest.fixture(scope="module", params=["pre-commit", "prek"])
def runner(request: pytest.FixtureRequest, hooks: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(request.param, hooks, tmp_path_factory.mktemp("runner") / request.param)


@pytest.fixture
def space(new_space: Callable[..., Space], runner: Runner) -> Space:
    """A repository with two workspaces and a file in neither."""
    space = new_space()
    shutil.copytree(space.root, space.folder / "other")
    (space.folder / "README.md").write_text("Two workspaces.\n")
    (space.folder / ".pre-commit-config.yaml").write_text(runner.config)
    git(space.folder, "init", "-q")
    git(space.folder, "add", "README.md", "ws", "other", ".pre-commit-config.yaml")
    git(space.folder, "commit", "-qm", "first")
    space.run("fmt")
    space.run("fmt", str(space.folder / "other"))
    return space


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pre-commit")]


def test_sound_workspaces_pass(runner: Runner, space: Space) -> None:
    shutil.copytree(space.folder / "other", space.folder / "-dashed")
    git(space.folder, "add", "--", "-dashed")
    found = runner.run(space, "--all-files")
    assert [found[name] for name in (FMT, LINT, LOCKS)] == ["Passed"] * 3
    assert found[""].count("locks are up to date") == 3, "one line for each workspace"


def test_a_commit_of_other_files_runs_nothing(runner: Runner, space: Space) -> None:
    found = runner.run(space, "--files", "README.md")
    assert (found[FMT], found[LOCKS]) == ("Skipped", "Skipped")
    assert found[LINT] == "Passed"
    assert not space.store.exists()


def test_fmt_mends_what_is_committed(runner: Runner, space: Space) -> None:
    path = space.folder / "other/BUILD.yaml"
    usual = path.read_text()
    path.write_text(usual.replace("targets:\n", "targets:\n\n\n"))
    runner.run(space, "--files", "ws/BUILD.yaml", "other/BUILD.yaml", fails=(FMT,))
    assert path.read_text() == usual


def test_lint_finds_a_secret_in_the_code_of_one_of_them(runner: Runner, space: Space) -> None:
    key = "".join(("AKIA", "Q3EGVSAMPLE7XWZT"))
    (space.folder / "other/src/helper.py").write_text(f"key = '{key}'\n")
    found = runner.run(space, "--files", "other/src/helper.py", fails=(LINT,))
    assert "src/helper.py:1:" in found[""]
    assert "[secret]" in found[""]
    assert runner.run(space, "--files", "ws/src/helper.py")[LINT] == "Passed"


def test_a_stale_lock_is_found(runner: Runner, space: Space) -> None:
    space.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    found = runner.run(space, "--files", "ws/BUILD.yaml", "other/BUILD.yaml", fails=(LINT, LOCKS))
    assert found[""].count("in 'ws':\nerror: the lock 'pylock.env-linux-amd64.toml'") == 2
    assert "in 'other':\n3 locks are up to date" in found[""]
