"""Small files of a model that together are large: read once, for the key and for the layer."""

import os

import pytest

from buildrules.oci.recipe import SMALL_LAYER
from tests.support.space import SMALL_MODEL, Report, Space

COUNT, SIZE = 50, SMALL_LAYER // 40
TOTAL = COUNT * SIZE


@pytest.fixture
def many(workspace: Space) -> Space:
    """A workspace whose model has many small files besides its usual ones."""
    for number in range(COUNT):
        workspace.write(f"weights/{number % 7}/part-{number}", os.urandom(SIZE))
    workspace.settle()
    return workspace


def read(report: Report) -> int:
    return int(report.data["bytes"]["read"])


def test_b6_they_are_read_once_and_changes_of_any_of_them_are_seen(many: Space) -> None:
    clean = many.clean_build()
    assert TOTAL < read(clean) < TOTAL + SMALL_LAYER // 2
    assert clean.digest == many.build().digest
    assert read(many.build()) == 0
    with open(many.path("weights/3/part-3"), "r+b") as file:  # of the same size
        file.write(b"changed")
    changed = many.build()
    assert read(changed) < TOTAL + SMALL_LAYER // 2
    assert changed.built == {SMALL_MODEL}
    assert changed.digest == many.clean_build().digest != clean.digest
    many.run("why", "//:app").said("one of the small files of 'weights' changed")
    many.path("weights/4/part-4").rename(many.path("weights/4/renamed"))
    renamed = many.build()
    assert renamed.digest == many.clean_build().digest != changed.digest
    many.run("why", "//:app").said("file weights/4/renamed is new", "file weights/4/part-4 is gone")


def test_a_touch_runs_nothing(many: Space) -> None:
    before = many.build()
    os.utime(many.path("weights/3/part-3"))
    after = many.build()
    assert (after.executed, after.digest) == (0, before.digest)


def test_what_is_in_them_is_linted(many: Space) -> None:
    many.write("weights/1/.netrc", "machine host password secret\n")
    many.run("build", "//:app").said("'weights/1/.netrc' holds passwords of hosts")
