"""Completion, in real shells: what stands on the line after a tab."""

import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.cli.table import VERBS
from tests.support.repository import Repository
from tests.support.space import Space

ROOT = Path(__file__).parents[2]
START = {
    "bash": ("bash --norc --noprofile -i", "source <(buildrules completion bash)"),
    "zsh": ("zsh -f -i", "autoload -Uz compinit; compinit -u; source <(buildrules completion zsh)"),
    "fish": ("fish --no-config -i", "buildrules completion fish | source"),
}


class Terminal:
    """A shell in a terminal."""

    def __init__(self, space: Space, folder: Path, shell: str) -> None:
        command, setup = START[shell]
        folder.mkdir()
        program = folder / "buildrules"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m buildrules "$@"\n')
        program.chmod(0o755)
        self.pid, self._file = pty.fork()
        if not self.pid:
            os.chdir(space.root)
            path = f"{folder}:/usr/bin:/bin"
            env = {**space.env, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "HOME": str(folder), "PS1": "$ "}
            os.execvpe(command.split()[0], command.split(), env)
        self._text = b""
        self.send(f"{setup}; echo re''ady\n")
        self.until("ready")

    def send(self, text: str) -> None:
        """Type."""
        os.write(self._file, text.encode())

    def until(self, wanted: str, seconds: float = 60.0) -> str:
        """Read until something stands there."""
        end = time.monotonic() + seconds
        while wanted not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self._file], [], [], 0.1)[0]:
                self._text += os.read(self._file, 4096)
        found = self.text
        self._text = b""
        return found

    @property
    def text(self) -> str:
        """What came since, without what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|[\x00-\x08\r]", "", self._text.decode(errors="replace"))

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)


@pytest.fixture
def nested(workspace: Space) -> Space:
    """With packages below each other."""
    for package, names in {"models": ["one", "two"], "models/deep": ["three"], "libs": ["shared"]}.items():
        text = "".join(f"  {name}: {{rule: model, path: weights}}\n" for name in names)
        workspace.write(f"{package}/BUILD.yaml", f"targets:\n{text}")
        workspace.write(f"{package}/weights/w.bin", "w")
    return workspace


@pytest.fixture(params=START)
def terminal(request: pytest.FixtureRequest, nested: Space, tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        assert not os.environ.get("CI"), f"CI has {request.param}"
        pytest.skip(f"no {request.param} here")
    terminal = Terminal(nested, tmp_path / "shell", request.param)
    yield terminal
    terminal.close()


def test_a_line_in_a_real_shell(terminal: Terminal) -> None:
    for typed, whole in (
        ("buildrules bui\t", "buildrules build"),
        ("buildrules build //li\t", "//libs:"),
        ("buildrules build //models:o\t", "//models:one"),
        ("buildrules build //models/d\t", "//models/deep:"),
        ("buildrules test --runner podm\t", "--runner podman"),
        ("buildrules build --keep-g\t", "--keep-going"),
    ):
        terminal.send(typed)
        terminal.until(whole)
        terminal.send("\x15")  # Ctrl-U: an empty line


def completed(space: Space, *words: str, cwd: str = ".") -> list[str]:
    return space.run("completion", "bash", "--", *words, cwd=cwd).out.split()


def test_labels_folder_by_folder(nested: Space) -> None:
    assert completed(nested, "build", "") == ["//:", "//libs:", "//models/", "//models:"]
    assert completed(nested, "build", "//m") == ["//models/", "//models:"]
    assert completed(nested, "build", "//models/") == ["//models/deep:"]
    assert completed(nested, "build", "//models:") == ["//models:one", "//models:two"]
    assert completed(nested, "build", "//...", "-//l") == ["-//libs:"]
    assert completed(nested, "build", ":t", cwd="models") == [":two"]
    assert completed(nested, "-C", "models", "build", ":") == completed(nested, "build", ":")
    assert completed(nested, "build", "//nothing") == []


def test_verbs_options_and_values(nested: Space) -> None:
    assert completed(nested, "") == list(VERBS)
    assert completed(nested, "cac") == ["cache"]
    assert completed(nested, "cache", "ver") == ["verify"]
    assert completed(nested, "completion", "") == ["bash", "zsh", "fish"]
    assert completed(nested, "completion", "bash", "") == []
    assert completed(nested, "build", "--loc") == ["--locked"]
    assert completed(nested, "build", "--platform", "linux/a") == ["linux/amd64", "linux/arm64"]
    assert completed(nested, "nonsense", "x") == []
    assert completed(nested, "build", "--platform=linux/am") == ["--platform=linux/amd64"]
    assert completed(nested, "export", "//:app", "-o", "") == []  # files, which the shell knows


def test_configurations_tags_and_revisions(nested: Space) -> None:
    nested.edit("BUILD.yaml", "workspace:\n", "workspace:\n  configurations: [gpu, debug]\n")
    nested.edit("BUILD.yaml", "  code: {rule", "  code: {tags: [nightly], rule")
    nested.edit("BUILD.yaml", "    requirements: [", "    group: models\n    requirements: [")
    nested.run("lock", "//:env")
    assert completed(nested, "lock", "--sync", "") == ["models"]
    assert "numlib" in completed(nested, "lock", "--upgrade", "num")
    assert completed(nested, "build", "--config", "g") == ["gpu"]
    assert completed(nested, "query", "--config=") == ["--config=gpu", "--config=debug"]
    assert completed(nested, "test", "--tag", "") == ["nightly", "-nightly"]
    assert completed(nested, "affected", "--since", "") == []  # no repository
    repository = Repository(nested.root)
    repository.commit()
    repository.git("tag", "v1")
    assert {"HEAD", "v1"} <= {*completed(nested, "affected", "--since", "")}
    assert completed(nested, "why", "//:app", "--since", "v") == ["v1"]


def test_outside_of_a_workspace_and_in_a_broken_one_nothing_is_said(nested: Space, tmp_path: Path) -> None:
    nested.write("models/BUILD.yaml", "targets: {")
    assert completed(nested, "build", "//") == []
    result = nested.run("completion", "bash", "--", "build", "//", cwd=str(tmp_path))
    assert (result.out, result.err) == ("", "")
