"""Snapshots: what they notice, what they belong to, and that they only ever save time."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.snapshot import file as snapshots
from buildrules.snapshot.location import store_root
from tests.support.space import APP, BUILD, Space

MakeSpace = Callable[..., Space]


def write(path: Path, **more: object) -> None:
    values: dict[str, object] = {"rows": [], "checks": [], "shapes": [], "text": "text", "json": "json"}
    values |= {"body": {"a": [1, "b", None, (2.5, True)]}}
    snapshots.write(str(path), ("me",), **{**values, **more})  # type: ignore[arg-type]


def row(path: Path) -> snapshots.Row:
    stat = path.stat()
    return (str(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "s")
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None
    assert (found.text, found.json) == ("text", "json")
    assert found.body() == {"a": [1, "b", None, (2.5, True)]} == snapshots.body_of(str(tmp_path / "s"))
    assert found.unchanged()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_snapshot_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "s")
    assert snapshots.read(str(tmp_path / "s"), ("you",)) is None
    assert snapshots.read(str(tmp_path / "none"), ("me",)) is None


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    path = tmp_path_factory.mktemp("damage") / "s"
    write(path)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    found = snapshots.read(str(path), ("me",))
    assert found is None or found.body() is None
    with pytest.raises(ValueError, match="snapshot"):
        snapshots.body_of(str(path))


@given(length=st.integers(0, 400), extra=st.binary(max_size=4))
def test_no_other_length_is_read(tmp_path_factory: pytest.TempPathFactory, length: int, extra: bytes) -> None:
    path = tmp_path_factory.mktemp("damage") / "s"
    write(path)
    data = path.read_bytes()
    changed = data[:length] + extra
    path.write_bytes(changed)
    found = snapshots.read(str(path), ("me",))
    if len(changed) != len(data):
        assert found is None
    else:  # the body is read, and its checksum compared, only when it is asked for
        assert (found is None or found.body() is None) == (changed != data)


def _same_size(path: Path) -> None:
    path.write_text("b")


def _renamed_over(path: Path) -> None:
    stat = path.stat()
    other = path.with_name("other")
    other.write_text("b")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "other content": lambda path: path.write_text("longer"),
    "the same size": _same_size,
    "removed": lambda path: path.unlink(),
    "mode": lambda path: path.chmod(0o755),
    "older": lambda path: os.utime(path, (1, 1)),
    "another file of the same size and time": _renamed_over,
    "now a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_file_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "watched").mkdir()
    path = tmp_path / "watched" / "file"
    path.write_text("a")
    write(tmp_path / "s", rows=[row(path)])
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None
    assert found.unchanged()
    time.sleep(0.02)  # more than a tick of the clock that stamps files
    change(path)
    assert not found.unchanged()


def test_new_names_in_a_folder_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    write(tmp_path / "s", rows=[row(folder)])
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None and found.unchanged()
    time.sleep(0.02)
    (folder / "new").write_text("")
    assert not found.unchanged()


def test_untrusted_rows_never_count_as_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(tmp_path / "s", rows=[(str(tmp_path / "file"), *snapshots.UNTRUSTED)])
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None and not found.unchanged()


def test_a_lost_or_cut_blob_is_noticed(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"four")
    write(tmp_path / "s", checks=[(str(blob), 4)])
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None and found.unchanged()
    blob.write_bytes(b"fou")
    assert not found.unchanged()
    blob.unlink()
    assert not found.unchanged()


def test_what_was_not_there_must_go_on_not_being_there(tmp_path: Path) -> None:
    shapes = {str(tmp_path / "gone"): "nothing", str(tmp_path / "file"): "file", str(tmp_path / "folder"): "directory"}
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert snapshots.unanswered(shapes, []) == list(shapes.items())
    assert snapshots.unanswered(shapes, [row(tmp_path)]) == list(shapes.items())[1:]
    assert snapshots.unanswered(shapes, [row(tmp_path / "file")]) == [*shapes.items()][::2]
    write(tmp_path / "s", shapes=list(shapes.items()))
    found = snapshots.read(str(tmp_path / "s"), ("me",))
    assert found is not None and found.unchanged()
    (tmp_path / "folder" / "more").write_text("")
    (tmp_path / "file").write_text("other")
    assert found.unchanged()
    for change, back in (("gone", Path.touch), ("file", Path.unlink), ("folder", lambda path: path.rename(f"{path}2"))):
        back(tmp_path / change)
        assert not found.unchanged()
        write(tmp_path / "s", shapes=[(path, snapshots.shape_of(path)) for path in shapes])
        found = snapshots.read(str(tmp_path / "s"), ("me",))
        assert found is not None and found.unchanged()


def test_a_place_that_cannot_be_written_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write(tmp_path / "file" / "s")


def test_the_store_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("BUILDRULES_CACHE_DIR", raising=False)
    assert store_root() == "/home/u/.cache/buildrules"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert store_root() == "/x/buildrules"
    monkeypatch.setenv("BUILDRULES_CACHE_DIR", "~/s")
    assert store_root() == "/home/u/s"


# -- through the command line -----------------------------------------------------------------------------------------


def test_each_command_line_and_directory_has_its_own(built: Space) -> None:
    built.run("build", APP)
    built.run("build", APP, cwd="src")
    built.run("build", ":app")
    built.run("build", ":app", cwd="src", code=2)
    assert len(built.snapshots()) == 4


def test_variables_that_count_are_part_of_it(settled: Space) -> None:
    plain = settled.build()
    assert plain.data["bytes"]["read"] == 0
    dated = settled.build(env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert dated.digest != plain.digest
    assert settled.build().digest == plain.digest


def test_a_workspace_that_moved_or_was_copied_has_none(settled: Space) -> None:
    expected = settled.build()
    settled.root.rename(settled.folder / "moved")
    settled.root = settled.folder / "moved"
    moved = settled.build()
    assert moved.digest == expected.digest
    assert moved.executed == 0
    assert moved.data["bytes"]["read"] > 0


STRUCTURE: dict[str, Callable[[Space], None]] = {
    "a new package": lambda w: w.write("sub/BUILD.yaml", "targets: {x: {rule: model, path: src}}\n"),
    "a package gone": lambda w: w.remove("lib/BUILD.yaml"),
    "a broken package": lambda w: w.write("sub/BUILD.yaml", "targets: {x: {rule: modle}}\n"),
    "a misspelt file": lambda w: w.write("sub/BUILD.yml", "targets: {}\n"),
    "a new rule": lambda w: w.write("rules/other.yaml", "rule: other\nprovides: nothing\n"),
    "the model's folder is a file now": lambda w: (w.path("weights").rename(w.path("old")), w.write("weights", "1")),
    "the workspace ends here": lambda w: w.write("BUILD.yaml", "targets: {}\n"),
}


@pytest.mark.parametrize("change", STRUCTURE.values(), ids=STRUCTURE)
def test_a_kept_plan_gives_what_a_new_plan_gives(settled: Space, change: Callable[[Space], None]) -> None:
    change(settled)
    kept = settled.run("build", APP, "--json", code=None)
    settled.run("clean", code=None)
    new = settled.run("build", APP, "--json", code=None)
    assert kept.code == new.code
    assert kept.err == new.err
    digests = [[line for line in result.out.splitlines() if '"digest"' in line] for result in (kept, new)]
    assert digests[0] == digests[1]


def test_a_model_that_appears_is_noticed(workspace: Space) -> None:
    """What was not there decided something, too."""
    workspace.write("BUILD.yaml", BUILD.replace("path: weights", "srcs: ['weights/*.bin', 'weights/*.txt']"))
    first = workspace.build().digest
    workspace.settle("build", APP, "--json")
    workspace.write("weights/new.bin", b"1")
    assert workspace.build().digest != first
    assert workspace.build().digest == workspace.clean_build().digest
