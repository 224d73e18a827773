"""What is in the Python that steps bring along, and what is not."""

import re
import subprocess
import tomllib
from pathlib import Path

from buildrules.executors.reapi.tool import _WITHOUT, _loaded


def test_floors_above_are_left_out() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    above = " ".join(layers[: layers.index("buildrules.executors")])
    assert {*_WITHOUT["buildrules"].split()} == {*re.findall(r"buildrules\.(\w+)", above)} - {"__main__"}


def test_a_program_runs_without_what_nobody_loads(tmp_path: Path) -> None:
    whole = Path("/bin/echo").read_bytes()
    program = tmp_path / "echo"
    program.write_bytes(_loaded(whole))
    program.chmod(0o755)
    assert subprocess.check_output([program, "hello"]) == b"hello\n"
    assert program.stat().st_size < len(whole)
    assert _loaded(b"#!/bin/sh\n") == b"#!/bin/sh\n"
