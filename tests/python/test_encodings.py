"""Files in other encodings: read, or an error that says which it is and how to make UTF-8 of it."""

from pathlib import Path

import pytest

from buildrules.errors import LoadError, LockError
from buildrules.locking.python.requirements import collect
from buildrules.store.lockfile import read_tables
from tests.support.space import APP, Space

FILES = {
    "requirements_file": ("r.txt", "# caf\u00e9\naa==1.0\n"),
    "conda_file": ("c.yml", "name: caf\u00e9\ndependencies:\n- pip: [aa==1.0]\n"),
    "pyproject": ("pyproject.toml", '[project]\nname = "a"\ndescription = "caf\u00e9"\ndependencies = ["aa==1.0"]\n'),
}


@pytest.mark.parametrize("attribute", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with its mark"])
def test_a17_files_with_a_mark_are_read(root: Path, attribute: str, encoding: str) -> None:
    name, text = FILES[attribute]
    data = ("\ufeff" + text).encode("utf-16-be") if "mark" in encoding else text.encode(encoding)
    (root / name).write_bytes(data)
    found = collect(str(root), "", **{attribute: name})  # type: ignore[arg-type]
    assert [item.text for item in found.items] == ["aa==1.0"]


@pytest.mark.parametrize("attribute", FILES)
@pytest.mark.parametrize(
    ("encoding", "line", "hint"),
    [
        ("latin-1", None, "save it as UTF-8"),
        ("utf-16-le", 1, "it is UTF-16: save it as UTF-8, such as with iconv -f UTF-16 -t UTF-8"),
        ("utf-32", 1, "it is UTF-32: save it as UTF-8, such as with iconv -f UTF-32 -t UTF-8"),
    ],
)
def test_a17_other_files_are_said_to_be_no_utf8(
    root: Path, attribute: str, encoding: str, line: int | None, hint: str
) -> None:
    name, text = FILES[attribute]
    (root / name).write_bytes(text.encode(encoding))
    with pytest.raises(LoadError, match="is not UTF-8") as caught:
        collect(str(root), "", **{attribute: name})  # type: ignore[arg-type]
    position = caught.value.position
    assert position is not None
    assert (position.path, position.line) == (name, line or text[: text.index("\u00e9")].count("\n") + 1)
    assert caught.value.hint == hint


def test_a17_a_lock_that_an_editor_gave_a_mark(workspace: Space) -> None:
    for path in workspace.root.rglob("pylock*.toml"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    workspace.run("lock", "--check")
    workspace.build(options=["--locked"])
    path = next(workspace.root.rglob("pylock*.toml"))
    path.write_bytes(path.read_bytes() + b"# caf\xe9")
    text = path.read_text("latin-1")
    with pytest.raises(LockError, match=f"line {text.count(chr(10)) + 1} is not UTF-8"):
        read_tables(str(path))
    workspace.run("lock", "--check", code=None).said("run 'buildrules lock' to write it anew")
    workspace.run("lock")
    workspace.build(options=["--locked"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a17_a_build_file_in_another_encoding(workspace: Space, encoding: str) -> None:
    workspace.write("BUILD.yaml", workspace.path("BUILD.yaml").read_text().encode(encoding))
    name = encoding.upper()[:6]
    workspace.run("build", APP, code=2).said("BUILD.yaml is not UTF-8", f"it is {name}: save it as UTF-8")


def test_a17_what_is_no_text_is_not_called_utf16(root: Path) -> None:
    (root / "r.txt").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
    with pytest.raises(LoadError) as caught:
        collect(str(root), "", requirements_file="r.txt")
    assert caught.value.hint == "save it as UTF-8"


def test_a17_settings_of_uv_in_another_encoding(workspace: Space) -> None:
    (workspace.folder / "uv.toml").write_bytes(b"no-index = true # caf\xe9\n")
    workspace.run("lock", code=1).said("uv.toml`: stream did not contain valid UTF-8", "hint: save the file as UTF-8")
