"""The driver of batch packages, run over real files with this Python."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).parents[2] / "rules" / "azureml_batch.py"
SCRIPT = """
import logging, os, sys, time

def say(*words):
    # At once: print() writes word by word, and the workers share a pipe.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")

def init():
    global mark
    mark = "ready"
    say("init", os.environ.get("MODE", ""), sys.argv[1:])
    if os.environ.get("MODE") == "forked":
        if not os.fork():
            while not os.path.exists("../released"):
                time.sleep(0.05)
        os._exit(5)
    if os.environ.get("MODE") == "broken":
        raise RuntimeError("the weights are torn")

def run(mini_batch):
    logging.getLogger("score").info("%s files", len(mini_batch))
    rows = []
    for path in mini_batch:
        with open(path) as file:
            text = file.read().strip()
        tried = os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], os.path.basename(path) + ".tried")
        if text == "once" and not os.path.exists(tried):
            open(tried, "w").close()
            raise ValueError("not yet")
        if text == "raise":
            raise ValueError("torn file")
        if text == "crash":
            os._exit(7)
        if text == "sleep":
            time.sleep(60)
        if text == "none":
            return None
        if text != "skip":
            rows.append([os.path.basename(path), text])
    return rows

def shutdown():
    say("shutdown", mark)
"""


QUIET: Any = {"capture_output": True, "text": True, "timeout": 60}


class Batch:
    """A script, a folder of files, and a folder of results."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, root / "out"
        (root / "code").mkdir()
        (root / "code" / "score.py").write_text(SCRIPT)

    def files(self, *texts: str) -> None:
        (self.root / "in").mkdir()
        for number, text in enumerate(texts):
            (self.root / "in" / f"{number}.txt").write_text(text)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, str(DRIVER), *(args or ("in", "out"))]

    def environment(self, **environment: object) -> dict[str, str]:
        variables = {"BATCH_MAX_RETRIES": 0, "BATCH_MINI_BATCH_SIZE": 1, **environment}
        said = {name: str(value) for name, value in variables.items()}
        return {"PYTHONUNBUFFERED": "1", "AZUREML_ENTRY_SCRIPT": "code/score.py", **said}

    def run(self, *args: str, code: int = 0, **environment: object) -> str:
        variables = self.environment(**environment)
        done = subprocess.run(self.command(*args), check=False, cwd=self.root, env=variables, **QUIET)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def rows(self) -> list[str]:
        return (self.out / "predictions.csv").read_text().splitlines()


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def test_rows_come_in_the_order_of_the_files(batch: Batch) -> None:
    batch.files(*"abcdefg")
    (batch.root / "in" / ".hidden").write_text("raise")
    (batch.root / "in" / "deep").mkdir()
    (batch.root / "in" / "deep" / "x.txt").write_text("x")
    said = batch.run(BATCH_MINI_BATCH_SIZE=2, BATCH_WORKERS=3)
    assert batch.rows == [*(f"['{number}.txt', '{text}']" for number, text in enumerate("abcdefg")), "['x.txt', 'x']"]
    assert said.count("shutdown ready") == 3
    assert "init  []" in said
    assert "INFO score: 2 files" in said
    assert "8 files in 4 mini batches" in said
    assert "done: 8 files, 0 failed, 8 rows" in said
    assert os.listdir(batch.out) == ["predictions.csv"]


def test_failing_mini_batches_are_tried_again_and_counted(batch: Batch) -> None:
    batch.files("a", "once", "raise", "crash", "none", "b", "skip")
    said = batch.run(BATCH_MAX_RETRIES=1)
    assert batch.rows == ["['0.txt', 'a']", "['1.txt', 'once']", "['5.txt', 'b']"]
    assert "done: 7 files, 4 failed, 3 rows" in said
    for text, times in (("not yet", 1), ("torn file", 2), ("died with code 7", 2)):
        assert said.count(text) - said.count(f'ValueError("{text}")') == times, text
    assert "run() returned NoneType; it must return a DataFrame or a list" in said
    assert "1 files and only 0 rows" in said
    assert "/in/2.txt" in said


def test_a_mini_batch_that_takes_too_long(batch: Batch) -> None:
    batch.files("sleep")
    said = batch.run(code=1, BATCH_MAX_RETRIES=1, BATCH_TIMEOUT=1)
    assert said.count("run() took longer than 1 s") == 2
    assert said.count("init  []") == 2, "the worker is started again"


def test_the_threshold(batch: Batch) -> None:
    batch.files("a", "raise", "b", "raise", "c", "raise")
    batch.run(BATCH_ERROR_THRESHOLD=3)
    assert len(batch.rows) == 3
    (batch.out / "predictions.csv").unlink()
    said = batch.run(code=1, BATCH_ERROR_THRESHOLD=1)
    assert "error: 2 files failed, and the error threshold is 1" in said
    assert os.listdir(batch.out) == ["predictions.csv.incomplete"]


def test_only_what_the_script_writes(batch: Batch) -> None:
    batch.files("once", "a")
    batch.run("in/1.txt", "in/0.txt", "in/out", BATCH_OUTPUT_ACTION="summary_only", BATCH_MAX_RETRIES=1)
    assert os.listdir(batch.root / "in" / "out") == ["0.txt.tried"]
    batch.run("in", "in/out", BATCH_OUTPUT_FILE="rows.txt")  # the output folder is no input
    assert (batch.root / "in" / "out" / "rows.txt").read_text() == "['0.txt', 'once']\n['1.txt', 'a']\n"


def test_results_are_no_input_where_both_are_one_folder(batch: Batch) -> None:
    batch.files("a", "b")
    (batch.root / "in" / "predictions.csv.incomplete").write_text("raise")
    for _ in range(2):
        assert "done: 2 files, 0 failed" in batch.run("in", "in")
    (batch.root / "in" / "predictions.csv").write_text("c")
    assert "done: 3 files" in batch.run("in", "in", BATCH_OUTPUT_FILE="other.csv")
    assert "done: 4 files" in batch.run("in", "in", BATCH_OUTPUT_ACTION="summary_only")


def test_an_unreadable_folder_is_not_passed_over(batch: Batch) -> None:
    batch.files("a")
    (batch.root / "in" / "deep").mkdir(mode=0)
    # root reads everything, unless it gives that up
    limits = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*limits, *batch.command()],
        check=False,
        cwd=batch.root,
        env=batch.environment(PATH=os.environ["PATH"]),
        **QUIET,
    )
    assert done.returncode == 2, done.stderr
    assert f"error: cannot read the input '{batch.root}/in/deep': Permission denied; let user" in done.stderr
    assert not batch.out.joinpath("predictions.csv").exists()


def test_a_script_that_forks_and_dies(batch: Batch) -> None:
    """What it left behind holds the driver's pipes open, and is not waited for."""
    batch.files("a")
    with open(batch.root / "said", "w+") as said:
        process = subprocess.Popen(
            batch.command(), cwd=batch.root, env=batch.environment(MODE="forked"), stdout=said, stderr=said
        )
        try:
            assert process.wait(timeout=60) == 1
        finally:
            (batch.root / "released").touch()
            process.wait(timeout=60)
        said.seek(0)
        assert "the worker's process died with code 5" in said.read()


def test_what_ends_a_run_at_once(batch: Batch) -> None:
    assert "usage: docker run" in batch.run("in", code=2)
    assert "error: there is no input" in batch.run(code=2)
    batch.files()
    assert "error: there is no file in in" in batch.run(code=2)
    (batch.root / "in" / "a").write_text("raise")
    assert "error: every mini batch failed" in batch.run(code=1)
    said = batch.run(code=1, MODE="broken")
    assert "error: init() of" in said
    assert "the weights are torn" in said
    for name, value in {
        "BATCH_TIMEOUT": "soon",
        "BATCH_WORKERS": 0,
        "BATCH_OUTPUT_ACTION": "append",
        "BATCH_OUTPUT_FILE": "../x",
        "BATCH_DELIMITER": "::",
        "BATCH_LOG_LEVEL": "LOUD",
        "AZUREML_ENTRY_SCRIPT": "code/none.py",
    }.items():
        assert f"error: {name} is " in batch.run(code=2, **{name: value})


def test_a_signal_ends_it(batch: Batch) -> None:
    batch.files(*["sleep"] * 4)
    environment = batch.environment(BATCH_MAX_RETRIES=50, BATCH_WORKERS=4)
    process = subprocess.Popen(
        batch.command(), cwd=batch.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines == [b"init  []\n"] * 4, process.communicate(timeout=30)[1]
    process.send_signal(signal.SIGTERM)
    printed, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"error: stopped by a signal" in said
    assert b"Traceback" not in said
    assert b", attempt 2 of" not in said
    assert b"init" not in printed, "no worker is started any more"
