"""Many builds in one process: each as in a process of its own."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.guest import arguments, workspace
from tests.guest.hosted import Host, Worker
from tests.support.space import APP, Space

ROOT = Path(__file__).parents[2]


@pytest.fixture
def host(tmp_path: Path, wheelhouse: Path) -> Host:
    space = Space(tmp_path, wheelhouse).populate()
    space.run("lock", APP)
    return Host(space)


@pytest.fixture
def worker(host: Host) -> Iterator[Worker]:
    made = Worker(host.space)
    yield made
    assert made.end() == 0
    assert not list(host.space.folder.glob(".buildrules-*"))


def test_packages_by_a_worker_are_those_of_plain_builds(tmp_path: Path) -> None:
    space = workspace(tmp_path, 4)
    words = arguments(space, 4)
    trace = tmp_path / "trace"
    worker = Worker(space, "strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=openat", "-o", str(trace))
    worker.build(words[0])
    after_one = trace.read_text(errors="replace").count("numlib-1.0-py3-none-any.whl")
    for number, one in enumerate(words[1:], 1):
        flags = tmp_path / f"{number}.flags"
        flags.write_text("".join(f"{word}\n" for word in one))
        worker.build([f"@{flags}"])
    assert worker.end() == 0
    assert after_one == trace.read_text(errors="replace").count("numlib-1.0-py3-none-any.whl") > 0
    digests = space.build("//...").digests
    for number in range(4):
        assert (tmp_path / f"out{number}/digest").read_text().strip() == digests[f"//p{number}:app"]


def test_a_file_that_changed_between_requests_counts(host: Host, worker: Worker) -> None:
    lines = host.lines()
    words = host.arguments(host.space.root, lines, "--offline")
    worker.build(words)
    before = host.digest()
    host.space.write("src/score.py", "def run(data):\n    return [data]\n")
    host.space.write("weights/model.txt", "3 2 1\n" * 200)
    worker.build(words)
    assert before != host.digest() == host.space.build().digest
    missing = host.arguments(host.space.root, [line for line in lines if "numlib" not in line], "--offline", out="less")
    assert "numlib-1.0-py3-none-any.whl" in worker.build(missing, code=3)  # though it was there a moment ago
    worker.build(words)


def test_content_that_changed_between_requests_is_refused_and_left_alone(host: Host, worker: Worker) -> None:
    wheel = host.folder / "numlib.whl"
    wheel.write_bytes((host.space.wheels / "numlib-1.0-py3-none-any.whl").read_bytes())
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = [line for line in host.lines() if "numlib" not in line]
    words = host.arguments(host.space.root, [*lines, f"sha256:{digest}  {wheel}"], "--offline")
    worker.build(words)
    wheel.write_bytes(b"damaged")
    assert f"'{wheel}' is not sha256:{digest}" in worker.build(words, code=1)
    assert wheel.read_bytes() == b"damaged"
    host.build(host.space.root, [*lines, f"sha256:{digest}  {wheel}"], "--offline", code=1).said("is not sha256:")


def test_a_worker_goes_on_after_what_makes_no_sense_and_after_what_was_cancelled(host: Host, worker: Worker) -> None:
    words = host.arguments(host.space.root, host.lines(), "--offline")
    assert "--root" in worker.build([APP], code=2)
    assert "cannot read" in worker.build(["@/none"], code=2)
    for number in (1, 2, 3):
        worker.send(arguments=words, requestId=number)
    worker.send(requestId=3, cancel=True)
    answers = [worker.answer() for _ in range(3)]
    assert [answer["requestId"] for answer in answers] == [1, 2, 3]
    assert answers[2].get("wasCancelled") is True
    os.remove(host.folder / "out/digest")
    worker.build(words)
    assert host.digest() == host.space.build().digest


KIND = """\
import os, time
folder = os.environ.get("TMPDIR", "")
open(f"{folder}/begun", "w").close()
while os.path.exists(f"{folder}/slow"):
    time.sleep(0.01)
"""


@pytest.fixture
def plugged(host: Host) -> tuple[Space, list[str]]:
    """A workspace with a plugin, which is imported in a process of its own; the arguments that build it."""
    space = host.space
    lines = [*host.lines(), "tools/kinds.py"]
    space.write("tools/kinds.py", KIND)
    space.edit("BUILD.yaml", "workspace:\n", "workspace:\n  plugins: [tools.kinds]\n")
    return space, host.arguments(space.root, lines, "--offline")


SITE = f"""\
import sys
sys.path[:] = {[str(ROOT), *sys.path]!r}
sys.argv[1:] = ["guest", "worker"]
from buildrules.__main__ import command
command()
"""


@pytest.mark.parametrize("flags", [["-I", "-S", "-B"], ["-P"]])
def test_a_plugin_is_run_as_the_worker_is(plugged: tuple[Space, list[str]], flags: list[str]) -> None:
    """With its modules and none of the working directory, though it has no site folder, as for Bazel."""
    space, words = plugged
    trap = space.folder / "trap"
    (trap / "buildrules").mkdir(parents=True)
    for name in ("buildrules/__init__.py", "json.py", "sitecustomize.py"):
        (trap / name).write_text(f"open({str(trap / 'ran')!r}, 'w')\nraise SystemExit(9)\n")
    worker = Worker(space, command=[sys.executable, *flags, "-c", SITE], folder=trap)
    worker.build(words)
    assert (space.folder / "begun").exists()
    assert not (trap / "ran").exists()
    assert worker.end() == 0, worker.said


def test_requests_that_make_no_sense_are_answered(host: Host, worker: Worker, tmp_path: Path) -> None:
    own, other, latin = (tmp_path / name for name in ("own", "other", "latin"))
    own.write_text(f"@{other}\n")
    other.write_text(f"@{own}\n")
    latin.write_bytes(b"caf\xe9\n")
    for words, said in (
        (["--help"], "ask for help"),
        ([f"@{own}"], "within itself"),
        ([f"@{latin}"], "is not UTF-8"),
        (["a\0b"], r"'a\x00b' cannot be an argument"),
        (["\ud800"], r"'\ud800' cannot be an argument"),
        ([1], "1 cannot be an argument"),
        ("//:app", "must be a list"),
        ({"a": 1}, "must be a list"),
    ):
        worker.send(arguments=words, requestId=3)
        answer = worker.answer()
        assert (answer["exitCode"], answer["requestId"]) == (2, 3)
        assert said in answer["output"]
    for number in ("x", 1.5, [1]):
        worker.send(arguments=[], requestId=number)
        assert worker.answer() == {
            "exitCode": 2, "output": f"error: requestId must be a number, not {number!r}\n", "requestId": 0
        }  # fmt: skip
        worker.send(requestId=number, cancel=True)
    worker.write(b'{"arguments": ["caf\xe9"], "requestId": 4}')
    assert worker.answer()["exitCode"] == 2
    worker.build(host.arguments(host.space.root, host.lines(), "--offline"))


@pytest.mark.parametrize("line", [b"[" * 100_000, b"{", b"[]", b"\xff"], ids=range(4))
def test_lines_that_are_no_requests_end_it_after_those_before(tmp_path: Path, wheelhouse: Path, line: bytes) -> None:
    worker = Worker(Space(tmp_path, wheelhouse))
    worker.send(arguments=[], requestId=1)
    worker.write(line)
    assert worker.answer()["requestId"] == 1
    assert worker.end() == 2
    assert "error: a line of standard input is no request: " in worker.said


def test_sigterm_ends_it_and_what_it_runs(plugged: tuple[Space, list[str]]) -> None:
    space, words = plugged
    (space.folder / "slow").touch()
    worker = Worker(space)
    worker.send(arguments=words, requestId=1)
    while not (space.folder / "begun").exists():
        time.sleep(0.01)
    worker.terminate()
    assert worker.end() == 130
    assert not list(space.folder.glob(".buildrules-*"))


def test_sigterm_ends_a_worker_that_reads(host: Host) -> None:
    """In its own process, where a request is at work."""
    inputs = host.folder / "inputs"
    os.mkfifo(inputs)
    worker = Worker(host.space)
    worker.send(arguments=[APP, "--root", str(host.space.root), "--inputs", str(inputs), "--out", "out"], requestId=1)
    with inputs.open("w"):  # once it reads there
        worker.terminate()
        assert worker.end() == 130
    assert not list(host.space.folder.glob(".buildrules-*"))
