"""Locks with the line ends of another system say the same (row A17)."""

from pathlib import Path

from buildrules.actions.models.file import File
from buildrules.actions.models.lock import ModelLock
from buildrules.actions.models.lock import read_lock as read_model_lock
from buildrules.actions.models.lock import write_lock as write_model_lock
from buildrules.locking.debian.lock import pins
from buildrules.locking.debian.lock import read_lock as read_debian_lock
from tests.support.space import Space

EXAMPLE = Path(__file__).parents[2] / "examples/bases/debian.python311-linux-amd64.lock"


def with_other_ends(path: Path) -> None:
    text = path.read_bytes()
    assert b"\r" not in text
    path.write_bytes(text.replace(b"\n", b"\r\n"))


def test_a17_locks_as_git_on_windows_checks_them_out(workspace: Space) -> None:
    before = workspace.build()
    locks = [*workspace.root.glob("*.toml"), *workspace.root.glob("*.lock")]
    assert len(locks) == 3
    for lock in locks:
        with_other_ends(lock)
    assert workspace.run("lock", "--check").code == 0
    after = workspace.build(options=["--locked"])
    assert (after.digest, after.executed) == (before.digest, 0)
    assert before.digest in workspace.clean_run("build", "//:app", "--locked", "--json").out


def test_a17_locks_of_debian(tmp_path: Path) -> None:
    path = tmp_path / EXAMPLE.name
    path.write_bytes(EXAMPLE.read_bytes())
    before = read_debian_lock(str(path))
    with_other_ends(path)
    assert read_debian_lock(str(path)) == before
    assert pins(read_debian_lock(str(path))) == pins(before)


def test_a17_locks_of_models(tmp_path: Path) -> None:
    path = tmp_path / "model.iris.lock"
    url = "https://models.example/iris.onnx"
    lock = ModelLock(url, "sha256:" + "0" * 64, {"kind": "http", "url": url}, [File("iris.onnx", 5, "1" * 64)])
    write_model_lock(str(path), lock)
    before = read_model_lock(str(path))
    with_other_ends(path)
    assert read_model_lock(str(path)) == before
