"""The installed program ends at once, and nothing is lost by it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.space import APP, Space

PROGRAM = "from buildrules.__main__ import command; command(); print('never')"


def run(space: Space, *args: str) -> tuple[int, str, str]:
    """A command as the installed program runs it: exit code, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *args],
        cwd=space.root,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_edit_is_reported_and_kept(settled: Space) -> None:
    settled.append("src/score.py", "# more\n")
    code, out, err = run(settled, "build", APP, "--json")
    assert code == 0, err
    assert '"executed": 2' in out
    assert out.endswith("}\n")
    code, out, _ = run(settled, "build", APP, "--json")
    assert code == 0
    assert '"executed": 0' in out


def test_exit_codes_and_errors(settled: Space) -> None:
    code, out, err = run(settled, "build", "//:none")
    assert (code, out) == (2, "")
    assert "no target matches '//:none'" in err
    assert run(settled, "rules")[0] == 0
    assert run(settled, "bild")[0] == 2


def test_an_output_that_is_full_is_said(settled: Space) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "rules"],
            cwd=settled.root,
            env={**os.environ, **settled.env, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "cannot write the output" in done.stderr
