"""Colours stand on a terminal that shows them, and nowhere else: row E of what was met in the field."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.cli.colour import coloured
from buildrules.cli.console import make_bars
from buildrules.cli.output import Output
from tests.support.space import APP, Space

RED, YELLOW, END = "\x1b[1;31m", "\x1b[33m", "\x1b[0m"
CODES = re.compile(r"\x1b\[[0-9;]*m")


def _on_terminal(space: Space, *args: str, env: Mapping[str, str]) -> str:
    """What a command writes to a terminal, with newlines as it wrote them."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "buildrules", *args],
        cwd=space.root,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2]), **env},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 65536):
            written += data
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    process.wait()
    return written.decode().replace("\r\n", "\n")


def test_e_errors_and_hints_have_colours_on_a_terminal(built: Space) -> None:
    text = _on_terminal(built, "build", "//:nothing", env={"TERM": "xterm"})
    assert text.startswith(f"{RED}error:{END} ")
    plain = built.process("build", "//:nothing", code=2)
    assert CODES.sub("", text) == plain.out + plain.err
    usage = _on_terminal(built, "build", "--nothing", env={"TERM": "xterm"})
    assert f"\n{RED}Error:{END} " in usage


@pytest.mark.parametrize("env", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_e_nobody_gets_colours_who_cannot_see_or_does_not_want_them(built: Space, env: Mapping[str, str]) -> None:
    assert _on_terminal(built, "build", "//:nothing", env=env).startswith("error: ")


def test_e_failed_steps_have_a_colour(built: Space) -> None:
    project = '[project]\nname = "slow"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "back"\n'
    built.write("own/pyproject.toml", f'{project}backend-path = ["."]\n')
    built.write("own/back.py", "def build_wheel(*_):\n    raise SystemExit('broken')\n")
    built.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./own]")
    text = _on_terminal(built, "build", APP, env={"TERM": "xterm"})
    assert f"{RED}FAILED{END}  slow from source" in text
    assert f"{RED}error:{END} 'slow' could not be built" in text


def test_a_line_after_bars_has_its_colour() -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)
        output: Any = Output(terminal)
        for task in ((), ("download",), ("download", "slow")):
            with make_bars(output) as bars:
                for name in task:
                    bars.add_task(name, amount="1 s")
                bars.refresh()
            output.write("error: x\n")
            output.write("not a begin: ")
            output.write("error: y\n")
        terminal.flush()
        written = ""
        while written.count("y\r\n") < 3:  # a terminal hands on in pieces
            written += os.read(ours, 65536).decode()
    os.close(ours)
    assert written.count(f"{RED}error:{END} x") == 3
    assert written.count("not a begin: error: y") == 3


def test_a_line_keeps_its_colour_with_a_bar_before_it() -> None:
    assert coloured("\r\x1b[2Kwarning: x\n", begun=False) == f"\r\x1b[2K{YELLOW}warning:{END} x\n"
    assert coloured("error: x\n", begun=True) == "error: x\n"
    assert coloured("\r\x1b[2Kerror: x\n", begun=True) == f"\r\x1b[2K{RED}error:{END} x\n", "over the bar"
    assert coloured("errors: x\nfailed-job\npassed  //:t\n", begun=False).count(END) == 1


@given(
    st.lists(st.sampled_from(["error: a", "warning:", "  hint: b", "\n", "x", "failed", " passed", ""])), st.booleans()
)
def test_colours_change_no_text(pieces: list[str], begun: bool) -> None:
    text = "".join(pieces)
    assert CODES.sub("", coloured(text, begun=begun)) == text
