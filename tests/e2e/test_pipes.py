"""A pipe where a file is named: opened like a file it waits for its other end for ever. It is refused or replaced."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.state.test_histories import FILES
from tests.support.space import Space, make_base

LOCK = "oci.base-linux-amd64.lock"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    """A built workspace, all of it trusted; whatever waits for long raises."""
    space = Space(tmp_path, tmp_path / "wheels")
    for path, text in FILES.items():
        space.write(path, text)
    make_base(space.root / "base")
    space.settle("build", "//one:app")
    before = signal.signal(signal.SIGALRM, _waits)
    signal.alarm(60)
    yield space
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _waits(*_: object) -> None:
    raise AssertionError("somebody waits for the other end of a pipe")


def pipe(space: Space, path: str) -> None:
    space.path(path).unlink(missing_ok=True)
    os.mkfifo(space.path(path))
    time.sleep(0.012)  # more than a tick of the clock that stamps files


@pytest.mark.parametrize(
    ("path", "args", "said"),
    [
        ("rules/plain.yaml", ("build", "//one:app"), "the rule file 'rules/plain.yaml' is no regular file"),
        ("one/BUILD.yaml", ("build", "//one:app"), "it is not a regular file"),
        (LOCK, ("build", "//one:app", "--locked"), f"the lock '{LOCK}' cannot be read: it is not a regular file"),
        ("base/index.json", ("lock",), "base/index.json' is not the index of an image layout"),
        ("uv.toml", ("lock",), "'uv.toml' is not a regular file"),
        ("one/src/pipe", ("build", "//one:app"), "'one/src/pipe' is not a regular file"),
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused(space: Space, path: str, args: tuple[str, ...], said: str) -> None:
    pipe(space, path)
    assert space.run(*args, code=None).said(said).code != 0


def test_a_pipe_in_place_of_a_lock_is_replaced(space: Space) -> None:
    lock = space.path(LOCK).read_bytes()
    pipe(space, LOCK)
    space.run("lock")
    assert space.path(LOCK).read_bytes() == lock


def test_a_pipe_in_place_of_a_blob_of_a_base(space: Space) -> None:
    blob = max((space.path("base") / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    pipe(space, str(blob.relative_to(space.root)))
    told = space.clean_run("build", "//one:app", code=None)
    assert told.said(f"has no blob sha256:{blob.name} (it is not a regular file)").code != 0


def test_clean_removes_a_pipe_in_place_of_a_folder_of_states(space: Space) -> None:
    (folder,) = {path.parent for path in space.states()}
    shutil.rmtree(folder)
    os.mkfifo(folder)
    space.run("clean")
    assert not os.path.lexists(folder)
    assert space.build("//one:app").executed == 0
