"""What was looked at, how often, and for whom."""

import hashlib
from pathlib import Path

from buildrules.document.problems import Problems
from buildrules.state.rows import row_of
from buildrules.workspace.disk import CONTENT, NAMES, SEARCHED, SHAPE, Disk
from buildrules.workspace.loader import load_workspace


def test_a_load_opens_each_build_file_once(tmp_path: Path) -> None:
    for path, text in {
        "BUILD.yaml": "workspace: {name: x}\n",
        "a/BUILD.yaml": "targets: {m: {rule: model, path: m}}\n",
        "a/b/BUILD.yaml": "",
        "nested/BUILD.yaml": "workspace: {name: y}\n",
        "c/readme.md": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    disk = Disk(str(tmp_path))
    load_workspace(disk, Problems())
    readers = {"BUILD.yaml": "//", "a/BUILD.yaml": "//a", "a/b/BUILD.yaml": "//a/b", "nested/BUILD.yaml": ""}
    assert dict(disk.readers(CONTENT)) == readers
    assert [disk.times(CONTENT, path) for path in readers] == [1, 1, 1, 1]
    assert disk.seen(SEARCHED) == ["", "a", "a/b", "c", "nested"]
    assert disk.seen(SHAPE) == disk.seen(NAMES) == []


def test_rows_are_from_before_the_first_look(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("said")
    disk = Disk(str(tmp_path))
    assert disk.read("file") == b"said"
    row = disk.rows["file"]
    assert row == row_of(str(tmp_path / "file"))
    (tmp_path / "file").write_text("something else")
    assert disk.digests["file"] == hashlib.sha256(b"said").hexdigest()
    assert disk.read("file") == b"something else"
    assert disk.rows["file"] == row
    assert disk.digests["file"] not in {hashlib.sha256(said).hexdigest() for said in (b"said", b"something else")}
    disk.written("file")
    assert disk.rows["file"] is None and "file" not in disk.digests


def test_what_answers_depend_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("said")
    (tmp_path / "folder").mkdir()
    disk = Disk(str(tmp_path))
    assert disk.read("file") == b"said"
    assert disk.by("//:t").is_file("file")
    assert not disk.is_directory("gone/deep")
    assert disk.names("") == ["file", "folder"]
    assert not disk.exists(f"{tmp_path}/later")
    disk.note(CONTENT, "missing", "folder")  # somebody wanted files there
    disk.note(NAMES, "/nowhere")
    assert disk.seen(CONTENT) == ["file", "folder", "missing"]
    assert disk.seen(NAMES) == ["", "/nowhere"]
    shapes = {path: found for (what, path), found in disk.found.items() if what == SHAPE}
    assert shapes == {"file": "file", "gone/deep": "nothing", "later": "nothing"}
    assert sorted(disk.readers(SHAPE)) == [("file", "//:t"), ("gone/deep", ""), ("later", "")]
