"""What is shown while a build goes on: on a terminal, in a log, and after Ctrl-C or SIGTERM."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from buildrules.cli.console import Console
from buildrules.cli.progress import Row
from buildrules.engine.action import Action
from buildrules.engine.changes import short_name
from buildrules.engine.events import ActionFinished, ActionStarted, BuildStarted, Progress, Status
from buildrules.errors import Interrupted
from tests.support.space import APP, Space

REPOSITORY = str(Path(__file__).parents[2])
LONG = "a_distribution_with_quite_a_long_name-2024.11.12-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("numpy-2.3.1-cp311-cp311-manylinux_2_28_x86_64.whl", "numpy 2.3.1"),
        ("scikit_learn-1.7.0-py3-none-any.whl", "scikit-learn 1.7.0"),
        ("numpy-1.19.5.tar.gz", "numpy 1.19.5"),
        ("model-part-2.bin", "model-part-2.bin"),
    ],
)
def test_files_have_the_names_people_use(what: str, name: str) -> None:
    assert short_name(what) == name


def _step(title: str = "numpy 1.19.5 from source") -> Action:
    return Action(id=title, target="//:env", kind="build_wheel", title=title, weight=20.0)


def test_a_silent_step_gets_a_line_and_keeps_it_until_it_ends() -> None:
    row = Row("numpy 1.19.5", 0.0, action=True)
    assert not row.visible(1.0)
    assert row.visible(20.0)
    assert row.amount(20.0) == "20 s"
    row.update(5, 10, 21.0)
    assert row.share().startswith("50 %")
    row.update(0, None, 22.0)
    assert row.visible(22.0)
    assert row.amount(22.0) == "22 s"


def test_what_ctrl_c_stopped_has_not_failed() -> None:
    out = io.StringIO()
    console = Console(out)
    console(BuildStarted(1))
    console(ActionStarted(_step(), 0.0, 0))
    console(ActionFinished(_step(), Status.FAILED, [], 0.0, 9.0, 0, None, Interrupted("interrupted")))
    console.close()
    assert out.getvalue() == ""


DRIVER = f"""
import sys, time
from buildrules.cli.console import Console
from buildrules.engine.events import BuildStarted, Notice, Progress
console = Console()
console(BuildStarted(35))
time.sleep(0.5)
console(Progress("the environment //a/rather/deep/package/in/the:workspace", 0, None))
for number in range(20):
    console(Progress(f"file {{number}}", 1, None))
for done in range(0, 900, 100):
    console(Progress({LONG!r}, done * 10**6, 10**9))
    console(Progress("locking //env", 0, None))
    time.sleep(0.1)
console(Notice("a notice"))
console.close()
"""


@pytest.mark.parametrize("width", [40, 80, 200])
def test_bars_fit_the_terminal(width: int) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.environ.update(
            COLUMNS=str(width), TERM="xterm", PYTHONIOENCODING="utf-8", PYTHONPATH=str(Path(__file__).parents[2])
        )
        os.execv(sys.executable, [sys.executable, "-c", DRIVER])
    written = b""
    try:
        while data := os.read(terminal, 65536):
            written += data
    except OSError:  # Linux: the other end is closed
        pass
    finally:
        os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, written.decode()
    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", written.decode())) if line]
    assert max(map(len, lines)) < width
    text = "\n".join(lines)
    if width >= 80:
        assert "800.0/1000.0 MB" in text
    assert "0 of 35 steps" in text
    assert "locking //env" in text
    assert "a notice" in text


def test_progress_of_what_has_no_end_is_told_in_a_log() -> None:
    out = io.StringIO()
    console = Console(out)
    console(Progress("locking //env", 0, None))
    console(Progress("locking //env", 1, 1))
    console.close()
    assert out.getvalue() == ""


SLOW = """
import os, time
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    open(os.environ["UV_MARK"], "w").write(str(os.getpid()))
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_build_from_source_and_takes_its_files_away(workspace: Space, number: signal.Signals) -> None:
    workspace.write(
        "slow/pyproject.toml",
        '[project]\nname = "slow"\nversion = "1"\n[build-system]\nrequires = []\n'
        'build-backend = "back"\nbackend-path = ["."]\n',
    )
    workspace.write("slow/back.py", SLOW)
    workspace.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: [numlib==1.0, ./slow]")
    temporary = workspace.folder / "tmp"
    temporary.mkdir()
    mark = workspace.folder / "mark"
    process = workspace.start("build", APP, env={"TMPDIR": str(temporary), "UV_MARK": str(mark)})
    while not (mark.exists() and mark.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "interrupted" in err
    assert "FAILED" not in err
    assert not [path for path in temporary.iterdir() if path.name.startswith("buildrules-")]
    ends = time.monotonic() + 10  # uv ends what it has started a moment later; by itself it would run for a minute
    while _runs(int(mark.read_text())):
        assert time.monotonic() < ends
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked for yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
