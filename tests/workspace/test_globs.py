"""Globs: the same answer as a plain definition gives, and nothing from outside the workspace."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildrules.errors import ActionError, LoadError
from buildrules.workspace.globs import check_pattern, expand, is_glob, selects


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)
    return root


def names(root: Path, *include: str, exclude: tuple[str, ...] = (), directory: str = "") -> list[str]:
    return [file[1] for file in expand(str(root), directory, list(include), list(exclude))[0]]


TREE = ("a.py", "b.txt", ".hidden", "src/x.py", "src/deep/y.py", "src/deep/z.md", "src/[odd].txt", "other/x.py")


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.py"], [], ["a.py"]),
        (["**"], [], sorted(TREE)),
        (["**/*.py"], [], ["a.py", "other/x.py", "src/deep/y.py", "src/x.py"]),
        (["src/**"], [], ["src/[odd].txt", "src/deep/y.py", "src/deep/z.md", "src/x.py"]),
        (["src/**/*.py"], [], ["src/deep/y.py", "src/x.py"]),
        (["*/x.py"], [], ["other/x.py", "src/x.py"]),
        (["?.py", "[!a].txt"], [], ["a.py", "b.txt"]),
        (["src/[[]odd].txt"], [], ["src/[odd].txt"]),
        (["a.py", "a.py", "*.py"], [], ["a.py"]),
        (["src"], [], []),
        (["missing.py", "no/such/**"], [], []),
        (["**"], ["src"], [".hidden", "a.py", "b.txt", "other/x.py"]),
        (["**"], ["src/**", "**/*.txt"], [".hidden", "a.py", "other/x.py"]),
        (
            ["**"],
            ["**/deep/*.md", "*.py"],
            [".hidden", "b.txt", "other/x.py", "src/[odd].txt", "src/deep/y.py", "src/x.py"],
        ),
        (["src/x.py"], ["**/x.py"], []),
    ],
)
def test_table(tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]) -> None:
    make(tmp_path, *TREE)
    assert names(tmp_path, *include, exclude=tuple(exclude)) == expected


def test_paths_are_relative_to_the_workspace_and_names_to_the_directory(tmp_path: Path) -> None:
    make(tmp_path, "pkg/src/a.py")
    files, _ = expand(str(tmp_path), "pkg", ["src/**"])
    assert [(path, name, status.st_size) for path, name, status in files] == [("pkg/src/a.py", "src/a.py", 12)]


def test_what_is_never_matched(tmp_path: Path) -> None:
    make(tmp_path, "BUILD.yaml", "x/BUILD.yaml", "x/__pycache__/a.pyc", "x/b.pyc", ".git/HEAD", "x/.DS_Store")
    make(tmp_path, "x/.ipynb_checkpoints/n.ipynb", "x/kept.py")
    assert names(tmp_path, "**") == ["x/kept.py"]
    assert names(tmp_path, "BUILD.yaml", ".git/HEAD", "x/b.pyc") == []


def test_a_nested_package_is_no_border(tmp_path: Path) -> None:
    make(tmp_path, "a/BUILD.yaml", "a/f.txt")
    assert names(tmp_path, "**") == ["a/f.txt"]


def test_directories_tell_which_listings_mattered(tmp_path: Path) -> None:
    make(tmp_path, *TREE)
    assert [*expand(str(tmp_path), "", ["src/**"])[1]] == ["src", "src/deep"]
    assert expand(str(tmp_path), "", ["a.py"])[1] == {}
    assert [*expand(str(tmp_path), "", ["nope.py"])[1]] == [""]
    assert expand(str(tmp_path), "gone", ["**"])[1] == {"gone": None}
    assert [*expand(str(tmp_path), "", ["src/*.py"])[1]] == ["src"]


def test_a_new_file_always_shows_in_a_listed_directory(tmp_path: Path) -> None:
    make(tmp_path, *TREE)
    before, directories = expand(str(tmp_path), "", ["src/**/*.py", "late.py"])
    make(tmp_path, "src/deep/new.py", "late.py")
    after, _ = expand(str(tmp_path), "", ["src/**/*.py", "late.py"])
    added = {path for path, _, _ in after} - {path for path, _, _ in before}
    assert added == {"src/deep/new.py", "late.py"}
    assert {os.path.dirname(path) for path in added} <= set(directories)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/etc/*",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a/",
        "a**",
        "**b/c",
        "a\\b",
        "a\0",
        "[abc",
        "[z-a]",
        "*.{py,txt}",
        "[!]",
    ],
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(LoadError):
        check_pattern(pattern)


@pytest.mark.parametrize("directory", ["../x", "/etc", "a/../../b"])
def test_the_directory_cannot_leave(tmp_path: Path, directory: str) -> None:
    with pytest.raises(LoadError):
        expand(str(tmp_path), directory, ["**"])


def test_links_inside_are_read_through(tmp_path: Path) -> None:
    make(tmp_path, "blobs/weights", "blobs/tree/t.txt")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/w.bin").symlink_to("../blobs/weights")
    (tmp_path / "model/tree").symlink_to("../blobs/tree")
    files, _ = expand(str(tmp_path), "model", ["**"])
    assert [(path, status.st_size) for path, _, status in files] == [("model/tree/t.txt", 16), ("model/w.bin", 13)]


def test_links_that_leave_dangle_or_loop(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    make(outside, "secret.txt")
    for name, target, message in [
        ("leaves", "../../outside/secret.txt", "leaves the workspace"),
        ("absolute", str(outside), "leaves the workspace"),
        ("dangles", "nothing", "link to nothing"),
        ("loops", ".", "it lies in"),
    ]:
        directory = root / name
        directory.mkdir(parents=True)
        (directory / "link").symlink_to(target)
        with pytest.raises(ActionError, match=message):
            expand(str(root), name, ["**"])
        assert names(root, "**", exclude=("link",), directory=name) == []
    (root / "out").symlink_to(outside)
    with pytest.raises(ActionError, match="leaves the workspace"):
        expand(str(root), "out", ["**"])


def test_two_links_to_each_other_end(tmp_path: Path) -> None:
    make(tmp_path, "a/f", "b/f")
    (tmp_path / "a/x").symlink_to("../b")
    (tmp_path / "b/y").symlink_to("../a")
    with pytest.raises(ActionError, match="it lies in"):
        expand(str(tmp_path), "", ["a/**"])


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ActionError, match="not a regular file"):
        expand(str(tmp_path), "", ["**"])


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))).write_text("x")
    with pytest.raises(ActionError, match="not UTF-8"):
        expand(str(tmp_path), "", ["**"])


def test_a_deep_tree(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 600)
    make(tmp_path, f"{deep}/f")
    assert names(tmp_path, "**/f") == [f"{deep}/f"]


@pytest.mark.parametrize(("text", "expected"), [("a.b", False), ("a*", True), ("a?", True), ("[a]", True)])
def test_is_glob(text: str, expected: bool) -> None:
    assert is_glob(text) is expected


words = st.text("ab", min_size=1, max_size=2)
segments = st.one_of(words, st.just("**"), st.text("ab*?", min_size=1, max_size=3).filter(lambda s: "**" not in s))
globs = st.lists(segments, min_size=1, max_size=4).map("/".join)


def plainly(pattern: str, name: str) -> bool:
    """The definition: `**` is any number of directories; at the end, everything below."""
    expression = ""
    split = pattern.split("/")
    for index, part in enumerate(split):
        last = index == len(split) - 1
        if part == "**":
            expression += ".+" if last else "(?:[^/]+/)*"
        else:
            expression += re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + ("" if last else "/")
    return re.fullmatch(expression, name) is not None


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("tree")
    found = [f"{x}/{y}/{z}" for x in ("a", "b", "ab") for y in ("a", "bb") for z in ("fa", "b", "ab")]
    found += ["fa", "fb", "a/fa", "ab/fa"]
    make(root, *found)
    return root, found


@settings(max_examples=150)
@given(include=st.lists(globs, min_size=1, max_size=3), exclude=st.lists(globs, max_size=2))
def test_against_the_definition(tree: tuple[Path, list[str]], include: list[str], exclude: list[str]) -> None:
    root, files = tree

    def left_out(name: str) -> bool:
        steps = name.split("/")
        return any(plainly(p, "/".join(steps[: n + 1])) for p in exclude for n in range(len(steps)))

    expected = sorted(f for f in files if any(plainly(p, f) for p in include) and not left_out(f))
    assert names(root, *include, exclude=tuple(exclude)) == expected
    assert [file for file in sorted(files) if selects(file, include, exclude)] == expected
