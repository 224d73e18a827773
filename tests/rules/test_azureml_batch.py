"""The driver of batch packages, run over real files with this Python."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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
        done = subprocess.run(
            self.command(*args),
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
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
    batch.files("sleep")
    process = subprocess.Popen(
        batch.command(), cwd=batch.root, env=batch.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(b"init"), line + process.communicate(timeout=30)[1]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"error: stopped by a signal" in said
