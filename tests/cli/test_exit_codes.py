"""Exit codes: the table of docs/reference/cli.md, each by a command in a process of its own."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import APP, Space, make_wheels

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")
TABLE, _, MORE = PAGE.partition("## Exit codes")[2].partition("They keep their meaning")


def _done(space: Space) -> subprocess.Popen[str]:
    return space.start("build", APP)


def _failed(space: Space) -> subprocess.Popen[str]:
    space.remove("pylock.env-linux-amd64.toml")
    return space.start("build", APP, "--locked")


def _wrong(space: Space) -> subprocess.Popen[str]:
    return space.start("build", "//:none")


def _gone(space: Space) -> subprocess.Popen[str]:
    links = make_wheels(space.folder / "links")
    (links / "numlib-1.0-py3-none-any.whl").unlink()
    return space.start("build", APP, env={"UV_FIND_LINKS": str(links)})


def _interrupted(space: Space) -> subprocess.Popen[str]:
    events = space.folder / "events.jsonl"
    process = space.start("build", APP, "--events", str(events))
    while not events.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    return process


def _unheard(space: Space) -> subprocess.Popen[str]:
    process = space.start("rules")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    return process


CASES: dict[int, Callable[[Space], subprocess.Popen[str]]] = {
    0: _done,
    1: _failed,
    2: _wrong,
    4: _gone,
    130: _interrupted,
    141: _unheard,
}


def test_the_table_has_these_codes() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", TABLE, re.M)] == list(CASES)


@pytest.mark.parametrize("code", CASES)
def test_a_command_ends_with_the_code_of_the_table(workspace: Space, code: int) -> None:
    process = CASES[code](workspace)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f"{out}{err}"


def _lint(space: Space) -> str:
    space.write("src/score.py", "def run(data)\n")
    return "lint"


def _lock(space: Space) -> str:
    space.remove("pylock.env-linux-amd64.toml")
    return "lock --check"


def _verify(space: Space) -> str:
    blob = max(space.blobs().values(), key=lambda path: path.stat().st_size)
    blob.chmod(0o600)
    blob.write_bytes(b"x" * blob.stat().st_size)
    return "cache verify"


def _import(space: Space) -> str:
    space.write("azure/good/model.yml", "name: good\nversion: 1\ntype: custom_model\npath: weights\n")
    space.write("azure/good/weights/model.txt", "1 2 3\n")
    space.write("azure/bad/model.yml", "type: custom_model\n")
    return "import azureml azure"


def _form(space: Space) -> str:
    space.append("BUILD.yaml", "  more:   {srcs: [ 'more/**' ],   rule: scoring_code, entry_script: score.py}\n")
    return "fmt --check"


def _diff(space: Space) -> str:
    space.append("BUILD.yaml", "  other: {rule: model_package, base_env: ':env', server: ':server', code: ':code'}\n")
    return f"diff --exit-code {APP} //:other"


@pytest.mark.parametrize("prepare", [_lint, _lock, _verify, _import, _form, _diff])
def test_commands_end_with_1_where_the_table_says_so(built: Space, prepare: Callable[[Space], str]) -> None:
    words = prepare(built).split()
    assert f"| `{' '.join(words[:2]) if len(words) > 1 else words[0]}`" in MORE
    built.run(*words, code=1)
