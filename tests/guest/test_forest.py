"""Staged links stand for what the source tree has, whatever their shape, and lead nowhere else."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import BuildrulesError, LoadError, UndeclaredError, UsageError
from buildrules.guest.declared import Declared, read_declared
from buildrules.guest.forest import lay_out
from buildrules.workspace.globs import expand

NAMES = st.sampled_from(["a", "b", "c.bin", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
ENTRIES = st.dictionaries(PATHS, st.sampled_from(["file", "program", "folder"]), max_size=6)
LINKS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["x", "y"]), st.integers(0, 9)), max_size=3)
SHAPES = ("absolute", "twice", "relative", "copy")


def _source(root: Path, entries: dict[str, str], links: Sequence[tuple[int, str, int]] = ()) -> None:
    """A model in a source tree: files, programs, empty folders; and relative links, each in one of the folders and to
    one of what is there, by number."""
    (root / "m").mkdir(parents=True)
    (root / "BUILD.yaml").write_text("workspace: {name: w}\n")
    for path, kind in sorted(entries.items()):
        place = root / "m" / path
        if any((root / "m" / above).is_file() for above in [path, *map(str, Path(path).parents)]):
            continue
        if kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path)
            place.chmod(0o755 if kind == "program" else 0o644)
    there = sorted((root / "m").rglob("*"))
    folders = [root / "m", *(path for path in there if path.is_dir())]
    for folder, name, target in links if there else ():
        place = folders[folder % len(folders)] / name
        if not os.path.lexists(place):
            place.symlink_to(os.path.relpath(there[target % len(there)], place.parent))


def _seen(root: str) -> list[tuple[str, int, str]]:
    """What a build sees of the model: names, modes, contents and links."""
    found = []
    for path, name, status in expand(root, "m", ["**"], (), True)[0]:
        place = os.path.join(root, path)
        said = os.readlink(place) if stat.S_ISLNK(status.st_mode) else ""
        said = said or ("" if stat.S_ISDIR(status.st_mode) else Path(place).read_text())
        executable = bool(status.st_mode & 0o100) and stat.S_ISREG(status.st_mode)
        found.append((name, stat.S_IFMT(status.st_mode) | executable, said))
    return found


def _stage(source: Path, top: Path, path: str, shape: str) -> None:
    place = top / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if shape == "twice":
        middle = top.parent / "exec" / path
        middle.parent.mkdir(parents=True, exist_ok=True)
        middle.symlink_to(source / path)
        place.symlink_to(middle)
    elif shape == "relative":
        place.symlink_to(os.path.relpath(source / path, place.parent))
    elif shape == "copy" and not (source / path).is_symlink():
        place.write_bytes((source / path).read_bytes())
        place.chmod((source / path).stat().st_mode)
    else:
        place.symlink_to(source / path)


@given(ENTRIES, LINKS, st.lists(st.sampled_from(SHAPES), min_size=12, max_size=12))
def test_a_forest_of_any_shape_is_what_the_source_tree_is(
    entries: dict[str, str], links: list[tuple[int, str, int]], shapes: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, top = Path(folder, "source"), Path(folder, "staged")
        _source(source, entries, links)
        try:
            wanted = _seen(str(source))
            files = [(f"m/{name}", stat.S_IFMT(kind)) for name, kind, _ in wanted]
        except BuildrulesError:  # as links that lead to one another: a plain build says so as well
            return
        declared = Declared(
            frozenset(["BUILD.yaml", *(path for path, kind in files if kind != stat.S_IFDIR)]),
            frozenset(path for path, kind in files if kind == stat.S_IFDIR),
            {},
        )
        for path, shape in zip(sorted(declared.files), shapes, strict=False):
            _stage(source, top, path, shape)
        below = (str(source), str(top.parent / "exec"))
        tree = lay_out(str(top), declared, below, os.path.join(folder, "laid"))
        assert _seen(tree) == wanted


def _links(root: Path) -> Callable[[str], None]:
    """Lays out a workspace with `m` and one declared path in it."""

    def lay(path: str) -> None:
        lay_out(str(root), Declared(frozenset(["BUILD.yaml", path]), frozenset(), {}), (), str(root.parent / "laid"))

    return lay


def test_what_leads_elsewhere_is_an_error(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "ws", tmp_path / "elsewhere"
    _source(root, {"a": "file"})
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("x")
    (root / "m/out").symlink_to(elsewhere / "secret")
    (root / "m/dir").symlink_to(elsewhere)
    (root / "m/up").symlink_to("../../elsewhere/secret")
    (root / "m/nothing").symlink_to("gone")
    (root / "m/twin").symlink_to("a")
    lay = _links(root)
    for path, kind, said in (
        ("m/out", LoadError, "'m/out' is a link that leaves the workspace"),
        ("m/dir/secret", LoadError, "'m/dir/secret' is a link that leaves"),
        ("m/up", LoadError, "'m/up' is a link that leaves"),
        ("m/nothing", UndeclaredError, "'m/gone' is not declared, and the link 'm/nothing' leads to it"),
        ("m/twin", UndeclaredError, "'m/a' is not declared, and the link 'm/twin' leads to it"),
        ("m/none", UsageError, "'m/none' cannot be read"),
        ("m", UsageError, "'m' is no regular file"),
    ):
        with pytest.raises(kind, match=said):
            lay(path)
        shutil.rmtree(tmp_path / "laid")


def test_a_named_folder_and_a_tool_s_own_store_may_hold_what_is_declared(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "ws", tmp_path / "elsewhere"
    _source(root, {"a": "file"})
    (root / ".git/annex").mkdir(parents=True)
    (root / ".git/annex/key").write_text("annexed")
    (root / "m/kept").symlink_to("../.git/annex/key")
    elsewhere.mkdir()
    (elsewhere / "0a1b").write_text("stored")
    (root / "m/stored").symlink_to(elsewhere / "0a1b")
    declared = Declared(frozenset(["BUILD.yaml", "m/kept", "m/stored"]), frozenset(), {})
    tree = lay_out(str(root), declared, (str(elsewhere),), str(tmp_path / "laid"))
    assert [(name, said) for name, _, said in _seen(tree)] == [("kept", "annexed"), ("stored", "stored")]


@pytest.mark.parametrize("line", ["/etc/passwd", "../x", "a//b", "a/./b", "./a", "/", "sha256:ab  x\0"])
def test_paths_of_the_inputs_stay_in_the_workspace(tmp_path: Path, line: str) -> None:
    (tmp_path / "in").write_text(f"BUILD.yaml\n{line}\n")
    with pytest.raises(UsageError, match=r"in:2: .* is no path of a workspace"):
        read_declared(str(tmp_path / "in"))
