"""The tree of a revision is what git checks out, whatever the files are called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildrules.errors import UsageError
from buildrules.revisions.git import commit_of
from buildrules.revisions.laid import lay, lay_ignored
from buildrules.revisions.tree import Tree
from buildrules.revisions.working import Differing, changes
from tests.support.repository import Repository

NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and not name.lower().startswith((".git", "git~")) and len(name.encode()) < 100
)
FILES = st.dictionaries(
    st.lists(NAME, min_size=1, max_size=3).map("/".join),
    st.tuples(st.binary(max_size=30), st.sampled_from(["plain", "executable", "link"])),
    max_size=8,
)


def fill(root: Path, files: dict[str, tuple[bytes, str]]) -> None:
    for path, (content, form) in files.items():
        target = root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if form == "link":
                target.symlink_to("elsewhere/" + content.hex())
            else:
                target.write_bytes(content)
                target.chmod(0o755 if form == "executable" else 0o644)
        except OSError:
            continue  # a file of that name lies above, or a folder there


def content(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for above, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in [*names, *(one for one in folders if os.path.islink(os.path.join(above, one)))]:
            path = os.path.join(above, name)
            key = os.path.relpath(path, root)
            if os.path.islink(path):
                found[key] = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    found[key] = (file.read(), os.stat(path).st_mode & 0o100)
    return found


@settings(max_examples=15)
@given(before=FILES, after=FILES)
def test_a_tree_is_what_was_committed(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, tuple[bytes, str]], after: dict[str, tuple[bytes, str]]
) -> None:
    """In a folder of a repository, so that its paths are the workspace's; and what differs is what is other now."""
    folder = tmp_path_factory.mktemp("tree")
    repository = Repository(folder / "repo")
    root = repository.root / "below"
    root.mkdir()
    (repository.root / "beside.txt").write_text("no file of the workspace\n")
    fill(root, before)
    commit = repository.commit()
    was = content(root)
    tree = Tree(str(root), commit)
    (folder / "laid").mkdir()
    lay(tree, str(folder / "laid"))
    assert content(folder / "laid") == was
    shutil.rmtree(root)
    root.mkdir()
    fill(root, after)
    now = content(root)
    other = {path for path in {*was, *now} if was.get(path) != now.get(path)}
    assert set(Differing(str(root), commit).paths()) == other
    later = repository.commit()
    assert set(Differing(str(root), commit, later).paths()) == other
    named = changes(str(root), other)
    again = Tree(str(root), later)
    assert named == {path: again.files[path].blob for path in named}
    assert set(named) == {path for path in other if isinstance(now.get(path), tuple)}


def test_what_is_not_in_a_revision(tmp_path: Path) -> None:
    """Large files have their size, ignored ones stand beside the tree as they are, and git's own are not there."""
    repository = Repository(tmp_path / "repo")
    large = repository.root / "weights.bin"
    large.write_bytes(b"0" * 1_100_000)
    (repository.root / ".gitignore").write_text("*.cached\nbig/\n.venv/\n")
    commit = repository.commit()
    (repository.root / "big" / "deep").mkdir(parents=True)
    (repository.root / "big" / "deep" / "a").write_text("a")
    (repository.root / "m.cached").write_text("m")
    (repository.root / ".venv").mkdir()
    (repository.root / ".venv" / "b").write_text("b")
    (tmp_path / "laid").mkdir()
    lay(Tree(str(repository.root), commit), str(tmp_path / "laid"))
    assert lay_ignored(str(repository.root), str(tmp_path / "laid")) == ["big", "m.cached"]
    assert (tmp_path / "laid" / "weights.bin").stat().st_size == 1_100_000
    assert sorted(content(tmp_path / "laid")) == [".gitignore", "big/deep/a", "m.cached", "weights.bin"]


def test_a_revision_that_is_not_here(tmp_path: Path) -> None:
    """An unknown one, one that a shallow clone has cut off, and no repository at all are told apart."""
    repository = Repository(tmp_path / "repo")
    commits = [repository.commit(str(number)) for number in range(3)]
    with pytest.raises(UsageError, match="no revision 'nowhere' here") as caught:
        commit_of(str(repository.root), "nowhere")
    assert "git fetch" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no revision '--all'"):
        commit_of(str(repository.root), "--all")
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=1", f"file://{repository.root}", str(shallow))
    for revision in ("HEAD~1", commits[0]):
        with pytest.raises(UsageError, match="this is a shallow clone") as caught:
            commit_of(str(shallow), revision)
        assert "git fetch --unshallow" in str(caught.value.hint)
    Repository(shallow).git("fetch", "-q", "--unshallow")  # the way out
    assert commit_of(str(shallow), "HEAD~2") == commits[0]
    with pytest.raises(UsageError, match="in no git repository"):
        commit_of(str(tmp_path), "HEAD")


def test_where_two_branches_parted(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    base = repository.commit("base")
    repository.git("checkout", "-qb", "feature")
    repository.commit("mine")
    repository.git("checkout", "-q", "main")
    main = repository.commit("theirs")
    repository.git("checkout", "-q", "feature")
    assert commit_of(str(repository.root), "main...") == base
    assert commit_of(str(repository.root), "main") == main
    repository.git("checkout", "-q", "--orphan", "alone")
    repository.commit("nothing in common")
    with pytest.raises(UsageError, match="in common"):
        commit_of(str(repository.root), "main...")


def test_submodules(tmp_path: Path) -> None:
    """Their files are the workspace's, at the commit that the revision names; changes in them are seen."""
    inner = Repository(tmp_path / "inner")
    (inner.root / "shared.py").write_text("one = 1\n")
    inner.commit()
    outer = Repository(tmp_path / "outer")
    (outer.root / "own.py").write_text("own = 1\n")
    outer.git("submodule", "--quiet", "add", str(inner.root), "libs/inner")
    first = outer.commit()
    tree = Tree(str(outer.root), first)
    assert set(tree.files) == {".gitmodules", "own.py", "libs/inner/shared.py"}
    assert dict(tree.contents(["own.py", "libs/inner/shared.py"])) == {
        "own.py": b"own = 1\n",
        "libs/inner/shared.py": b"one = 1\n",
    }
    module = Repository(outer.root / "libs" / "inner")
    assert Differing(str(outer.root), first).paths() == []
    (module.root / "shared.py").write_text("one = 2\n")
    (module.root / "new.py").write_text("two = 2\n")
    assert Differing(str(outer.root), first).paths() == ["libs/inner/new.py", "libs/inner/shared.py"]
    module.commit()
    second = outer.commit()
    assert Differing(str(outer.root), first).paths() == ["libs/inner", "libs/inner/new.py", "libs/inner/shared.py"]
    assert Differing(str(outer.root), first, second).paths() == Differing(str(outer.root), first).paths()
    clone = tmp_path / "clone"
    outer.git("clone", "-q", f"file://{outer.root}", str(clone))
    assert Tree(str(clone), second).files["libs/inner"].mode == 0o160000  # nobody has fetched it


@pytest.mark.parametrize("name", ["../out", ".git/config", "a/../b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Git refuses to check such a tree out, and lets it be made by hand."""
    repository = Repository(tmp_path / "repo")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=repository.root, input=b"x", capture_output=True, check=True
    ).stdout.strip()
    tree = b""
    for part in reversed(name.split("/")):
        mode, digest = (b"40000", tree) if tree else (b"100644", blob)
        row = mode + b" " + part.encode() + b"\0" + bytes.fromhex(digest.decode())
        tree = subprocess.run(
            ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
            cwd=repository.root,
            input=row,
            capture_output=True,
            check=True,
        ).stdout.strip()
    commit = repository.git("commit-tree", "-m", "x", tree.decode())
    with pytest.raises(UsageError, match="has a file of the name"):
        Tree(str(repository.root), commit)


def test_what_git_lacks_is_said(tmp_path: Path) -> None:
    """A blob that is gone, and a tree that no folder can hold."""
    repository = Repository(tmp_path / "repo")
    (repository.root / "a.txt").write_text("a\n")
    commit = repository.commit()
    blob = repository.git("rev-parse", "HEAD:a.txt")
    place = repository.root / ".git" / "objects" / blob[:2] / blob[2:]
    content = place.read_bytes()
    place.unlink()
    with pytest.raises(UsageError, match="does not have the content of 'a"):
        Tree(str(repository.root), commit)
    place.write_bytes(content)
    inner = repository.git("rev-parse", "HEAD^{tree}")
    rows = b"120000 a\0" + bytes.fromhex(blob) + b"40000 a\0" + bytes.fromhex(inner)
    tree = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        cwd=repository.root, input=rows, capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip
    (tmp_path / "laid").mkdir()
    with pytest.raises(UsageError, match="cannot lay out"):
        lay(Tree(str(repository.root), repository.git("commit-tree", "-m", "x", tree.decode())), str(tmp_path / "laid"))


def test_what_is_ignored_where_a_file_was(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    (repository.root / "a").write_text("a\n")
    (repository.root / ".gitignore").write_text("*.cached\n")
    commit = repository.commit()
    (repository.root / "a").unlink()
    (repository.root / "a").mkdir()
    (repository.root / "a" / "m.cached").write_text("m")
    (tmp_path / "laid").mkdir()
    lay(Tree(str(repository.root), commit), str(tmp_path / "laid"))
    assert lay_ignored(str(repository.root), str(tmp_path / "laid")) == []
