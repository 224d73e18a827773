"""What others wrote does not reach the terminal as commands."""

import io

from buildrules.cli.console import Console
from buildrules.cli.report import error_text
from buildrules.engine.events import Notice
from buildrules.errors import BuildrulesError, Position
from tests.support.repository import Repository
from tests.support.space import APP, Space

EVIL = "a\x1b]0;owned\x07\x9b2J\u202eb"
SHOWN = "a\\x1b]0;owned\\x07\\x9b2J\\u202eb"


def test_errors() -> None:
    error = BuildrulesError(EVIL, hint=EVIL, log=f"{EVIL}\n\ttab", position=Position(EVIL, 1, 2, EVIL))
    text = error_text(error)
    assert text.splitlines() == [
        f"error: {SHOWN}:1:2: {SHOWN}",
        f"    {SHOWN}",
        f"    {SHOWN}",
        "    \ttab",
        f"  hint: {SHOWN}",
    ]


def test_notices() -> None:
    stream = io.StringIO()
    Console(stream)(Notice(f"locked {EVIL}\nmore"))
    assert stream.getvalue() == f"locked {SHOWN}\nmore\n"


def test_a_line_break_in_a_name_or_a_value_makes_no_line(workspace: Space) -> None:
    name, forged = "src/a\nimage sha256:0.py", "image sha256:0"
    workspace.append("BUILD.yaml", '    environment: {FORGED: "1\\nimage sha256:0\\e[2J"}\n')
    workspace.append("BUILD.yaml", '    labels: {org.example: "\\e]0;owned\\ax\\nimage sha256:0"}\n')
    repository = Repository(workspace.root)
    repository.commit()
    told = [workspace.run("build", APP, "--verbose"), workspace.run("show", APP)]
    workspace.write(name, "a = 1\n" * 100_000)
    workspace.edit("BUILD.yaml", "1\\nimage", "2\\nimage")
    told += [workspace.run("why", APP), workspace.run("affected", "--since", "HEAD", "--why", APP)]
    told += [workspace.run("why", APP, "--since", "HEAD"), workspace.run("build", APP)]
    told += [workspace.run("diff", APP), workspace.run("diff", APP, "--output", "markdown")]
    told += [workspace.run("size", APP, "--verbose"), workspace.run("layers", APP)]
    for result in told:
        assert "\x1b" not in result.out and "\x07" not in result.out
        assert not [line for line in result.out.splitlines() if line.startswith(forged)], result.out
    assert all("a\\nimage sha256:0.py" in result.out for result in (told[2], told[3], told[4], told[5], told[6]))
    told[1].said("\\x1b]0;owned\\x07x\\nimage sha256:0")
    log = workspace.store / "logs"
    assert not [one for path in log.glob("*.log") for one in path.read_text().splitlines() if one.startswith(forged)]
