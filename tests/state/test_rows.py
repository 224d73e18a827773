"""Rows: every change of a file or directory is noticed, and what is racy never counts as unchanged."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.cli.looked_at import inputs_of
from buildrules.engine.action import Action, Outputs, SourceFile, SourceSet
from buildrules.engine.inputs import Facts, Inputs, no_facts, surely_older
from buildrules.engine.kept import KeptAction
from buildrules.engine.remember import Draft, Looked, base_of
from buildrules.engine.sources import Seen
from buildrules.state.rows import RACY, RACY_NS, Stat, changed, fold, row_of
from buildrules.state.writer import GroupRow
from buildrules.workspace.disk import Disk


def _same_size(path: Path) -> None:
    path.write_text("b")


def _renamed_over(path: Path) -> None:
    stat = path.stat()
    other = path.with_name("other")
    other.write_text("b")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "other content": lambda path: path.write_text("longer"),
    "the same size": _same_size,
    "removed": lambda path: path.unlink(),
    "mode": lambda path: path.chmod(0o755),
    "older": lambda path: os.utime(path, (1, 1)),
    "another file of the same size and time": _renamed_over,
    "now a folder": lambda path: (path.unlink(), path.mkdir()),
    "what was not there": lambda path: path.with_name("absent").write_text(""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_file_is_noticed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    path.write_text("a")
    (tmp_path / "beside").write_text("")
    paths = [os.fsencode(tmp_path / name) for name in ("beside", "absent", "file", "beside")]
    numbers = [fold(map(row_of, part)) for part in (paths[:1], paths[1:3], paths[3:])]

    def found() -> list[int]:
        return changed([4, 5, 6], [1, 2, 1], paths, numbers)

    assert found() == []
    time.sleep(0.02)  # more than a tick of the clock that stamps files
    change(path)
    assert found() == [5]


def test_new_names_in_a_folder_are_noticed(tmp_path: Path) -> None:
    number = fold([row_of(str(tmp_path))])
    assert changed([0], [1], [os.fsencode(tmp_path)], [number]) == []
    time.sleep(0.02)
    (tmp_path / "new").write_text("")
    assert changed([0], [1], [os.fsencode(tmp_path)], [number]) == [0]


def test_racy_rows_never_count_as_unchanged(tmp_path: Path) -> None:
    assert all(fold([(0, number, 0, 0, 0)]) != RACY for number in range(-5, 1000))
    assert changed([3], [1], [os.fsencode(tmp_path)], [RACY]) == [3]


@pytest.mark.parametrize("directory", [False, True])
def test_a_row_of_what_changed_just_now_is_not_trusted(tmp_path: Path, directory: bool) -> None:
    path = tmp_path / "BUILD.yaml"
    path.mkdir() if directory else path.write_text("targets: {}")
    root = str(tmp_path)
    if directory:
        facts = Facts("BUILD.yaml", {}, {}, "names", None, {"": None})
    else:
        facts = Facts("", {"BUILD.yaml": "x"}, {}, None, None, {"BUILD.yaml": None})

    def number(began: int) -> int:
        return Draft(facts.renewed(root)).row(root, began).number

    stat = os.stat(path)
    modified = max(stat.st_mtime_ns, stat.st_ctime_ns)
    assert number(modified + RACY_NS) == fold([row_of(str(path))])
    assert number(modified + RACY_NS - 1) == RACY
    assert number(modified - 1) == RACY
    os.utime(path, (1, 1))  # an old modification time hides no recent change
    assert number(os.stat(path).st_ctime_ns) == RACY
    os.utime(path, (4e9, 4e9))  # and one in the future, as archives bring it, is no change to come
    changed_at = os.stat(path).st_ctime_ns
    assert number(changed_at + RACY_NS) == fold([row_of(str(path))])
    assert number(changed_at + RACY_NS - 1) == RACY
    assert number(changed_at - 1) == RACY


def test_a_file_that_was_read_and_is_gone_is_not_trusted(tmp_path: Path) -> None:
    far = time.time_ns() + 10 * RACY_NS
    assert Draft(Facts("", {"gone": "x"}, {}, None, None, {"gone": None})).row(str(tmp_path), far).number == RACY
    absent = Draft(Facts("", {}, {"gone": "nothing"}, None, None, {"gone": None})).row(str(tmp_path), far)
    assert (absent.paths, absent.number) == (b"gone\0", fold([None]))
    listed = Draft(Facts("", {}, {"gone": "nothing"}, "names", None, {})).row(str(tmp_path), far)
    assert listed.paths == b".\0", "the directory answers for what is not in it"


def test_a_file_that_changed_between_two_looks_is_not_trusted(tmp_path: Path) -> None:
    """One action was taken over, with the file as it was; another one of the same build read it after an edit."""
    path = tmp_path / "score.py"
    path.write_text("one")
    far = time.time_ns() + 10 * RACY_NS  # as where a server's clock, by which files are stamped, is behind
    stats = [row_of(str(path)), row_of(str(path)), (0, 1, 2, 3, 4)]
    for looks, trusted in ((stats[:2], True), (stats, False), (stats[::-1], False), ([stats[2], None], False)):
        draft = Draft(no_facts(""))
        for number, stat in enumerate(looks):
            file = SourceFile("score.py", "score.py", 3, 0o644, "sha256:x", stat=stat)
            draft.add(number, _looked(file))
        assert (draft.row(str(tmp_path), far).number == fold(stats[:1])) == trusted
        assert (draft.row(str(tmp_path), far).number == RACY) != trusted


def test_a_file_that_changed_between_plan_and_action_is_not_trusted(tmp_path: Path) -> None:
    """However long ago: the plan was made from what it said before."""
    path = tmp_path / "MLmodel"
    path.write_text("one")
    stat = row_of(str(path))
    far = time.time_ns() + 10 * RACY_NS
    for planned, trusted in ((stat, True), ((0, 1, 2, 3, 4), False), (None, False)):
        draft = Draft(no_facts("")._replace(files={"MLmodel": "x"}, rows={"MLmodel": planned}))
        draft.add(0, _looked(SourceFile("MLmodel", "MLmodel", 3, 0o644, "sha256:x", stat=stat)))
        assert draft.row(str(tmp_path), far).number == (fold([stat]) if trusted else RACY)


def test_a_folder_that_changed_between_two_looks_is_not_trusted(tmp_path: Path) -> None:
    far = time.time_ns() + 10 * RACY_NS
    now, before = row_of(str(tmp_path)), (0, 1, 2, 3, 4)
    for looks, trusted in (([now, now], True), ([now, before], False), ([before, now], False), ([now, None], False)):
        draft = Draft(no_facts("")._replace(names="x", rows={"": looks[0]}))
        draft.add(0, _listed(looks[1]))
        assert draft.row(str(tmp_path), far).number == (fold([now]) if trusted else RACY)


def _listed(row: Stat | None) -> Looked:
    action = Action("code", "//:app", "scoring_code", "code", sources=(SourceSet("", ("*",)),))
    return Looked(KeptAction(action, 1, "", Outputs(), (), (Seen([], {"": row}),), ()))


def _looked(file: SourceFile) -> Looked:
    source = SourceSet("", ("*",))
    action = Action("code", "//:app", "scoring_code", "code", sources=(source,))
    return Looked(KeptAction(action, 1, "", Outputs(), (), (Seen([file], {}),), ()))


def test_content_that_may_be_newer_than_the_plan_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a")
    modified = max(row_of(str(path))[3:])  # type: ignore[index]
    for began, known in ((modified + RACY_NS, True), (modified, False), (modified - RACY_NS, False)):
        inputs = Inputs(str(tmp_path), began)
        inputs.content("file", None, [""], row_of(str(path)))
        assert (inputs.facts[""].files["file"] is not None) is known
        assert inputs.facts[""].hold(str(tmp_path), lambda _: None) is known
    inputs.content("file", None, [""], (0, 1, 2, 3, 4))
    assert inputs.facts[""].files["file"] is None, "it has changed since it was looked at"
    inputs.content("file", inputs.facts[""].files["file"] or "a digest of the plan's own", [""], None)
    assert inputs.facts[""].files["file"] == "a digest of the plan's own"


def test_a_coarse_clock_makes_a_file_wait_longer() -> None:
    fine, coarse = (1, 1, 1, 5_000_000_001, 0), (1, 1, 1, 5_000_000_000, 0)
    assert surely_older(fine, 5_100_000_000) and not surely_older(coarse, 5_100_000_000)
    assert not surely_older(fine, 5_000_000_002) and surely_older(coarse, 5_000_000_001 + RACY_NS)
    assert not surely_older(None, 1)


def _differs(root: Path, group: GroupRow) -> bool:
    paths = [os.fsencode(root / os.fsdecode(path)) for path in group.paths.split(b"\0")[:-1]]
    return changed([0], [len(paths)], paths, [group.number]) == [0]


def test_what_changes_while_all_is_planned_does_not_pass_for_what_was_seen(tmp_path: Path) -> None:
    for path in ("come/a", "gone/a", "read/a", "listed/a", "whole/a"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("x")
    disk = Disk(str(tmp_path))
    assert disk.exists("gone/a") and not disk.exists("come/b") and disk.is_directory("whole")
    assert (disk.read("read/a"), disk.names("listed")) == (b"x", ["a"])
    time.sleep(0.02)
    for path in ("come/b", "listed/b"):
        (tmp_path / path).write_text("x")
    for path in ("gone/a", "read/a", "whole/a"):
        (tmp_path / path).unlink()
    (tmp_path / "whole").rmdir()
    later = time.time_ns() + 3600 * 10**9  # so that nothing is doubted for its time alone
    facts = inputs_of(str(tmp_path), later, disk, {}, []).facts
    assert not [place for place, one in facts.items() if one.hold(str(tmp_path), None)]
    base, order = base_of(str(tmp_path), later, facts, [], ())
    found = {place: base.groups[number] for place, number in order.items()}
    assert {place for place, group in found.items() if _differs(tmp_path, group)} == set(facts)
