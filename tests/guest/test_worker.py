"""Many builds in one process: each as in a process of its own."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.guest import arguments, workspace
from tests.guest.hosted import Host, Worker
from tests.support.space import APP, Space


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
