"""What was looked at, how often, and for whom."""

from pathlib import Path

from buildrules.workspace.disk import CONTENT, NAMES, SEARCHED, SHAPE, Disk
from buildrules.workspace.loader import Workspace


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
    Workspace.load(disk)
    readers = {"BUILD.yaml": "//", "a/BUILD.yaml": "//a", "a/b/BUILD.yaml": "//a/b", "nested/BUILD.yaml": ""}
    assert dict(disk.readers(CONTENT)) == readers
    assert [disk.times(CONTENT, path) for path in readers] == [1, 1, 1, 1]
    assert disk.seen(SEARCHED) == ["", "a", "a/b", "c", "nested"]
    assert disk.seen(SHAPE) == disk.seen(NAMES) == []


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
    rows, shapes = disk.dependencies()
    assert rows == [str(tmp_path), f"{tmp_path}/file"]
    assert shapes == {
        "/nowhere": "nothing",
        f"{tmp_path}/file": "file",
        f"{tmp_path}/folder": "directory",
        **{f"{tmp_path}/{name}": "nothing" for name in ("gone/deep", "later", "missing")},
    }
    assert sorted(disk.readers(SHAPE)) == [("file", "//:t"), ("gone/deep", ""), ("later", "")]
