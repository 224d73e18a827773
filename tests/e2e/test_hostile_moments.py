"""Swapped links, corrupt layers, folders that are no store, secrets on the command line."""

import hashlib
from pathlib import Path

from buildrules.engine.hashing import FileHasher
from tests.support.space import APP, CODE, Space


def test_a_link_that_is_swapped_while_a_file_is_read_poisons_nothing(workspace: Space, monkeypatch) -> None:
    """The content of one release must never be kept below the stat of another, not even after the link is back."""
    for release, text in (("1", "ONE\n"), ("2", "TWO\n")):
        workspace.write(f"rel/{release}/score.py", text)
    workspace.path("cur").symlink_to("rel/1")
    workspace.edit("BUILD.yaml", 'srcs: ["src/**"]', 'srcs: ["cur/**"]')
    flips = iter([True])
    read = FileHasher.content

    def flipping(self, file):
        if next(flips, False):
            workspace.path("cur").unlink()
            workspace.path("cur").symlink_to("rel/2")
        return read(self, file)

    monkeypatch.setattr(FileHasher, "content", flipping)
    workspace.run("build", APP, code=None)
    monkeypatch.undo()
    workspace.path("cur").unlink()
    workspace.path("cur").symlink_to("rel/1")
    assert workspace.build().digests == workspace.clean_build().digests
    workspace.run("export", APP, "--format", "oci-archive", "-o", str(workspace.folder / "x.tar"))


def test_a_corrupt_small_layer_is_made_again_by_the_export_that_finds_it(built: Space) -> None:
    report = built.build()
    (digest,) = [layer["digest"] for layer in report.data["targets"][0]["layers"] if layer["origin"] == CODE]
    name = digest.removeprefix("sha256:")
    blob = built.store / "blobs" / "sha256" / name[:2] / name
    data = bytearray(blob.read_bytes())
    data[10] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    out = str(built.folder / "out")
    assert "damaged content was removed" in built.run("export", APP, "-o", out).err
    assert hashlib.sha256((Path(out) / "blobs/sha256" / name).read_bytes()).hexdigest() == name


def test_expunge_removes_the_store_and_nothing_else(built: Space) -> None:
    (built.store / "thesis.txt").write_text("years of work")
    built.run("clean", "--expunge")
    assert [path.name for path in built.store.iterdir()] == ["thesis.txt"]
    built.run("build", APP, code=1).said("is not a store and holds other things", "thesis.txt")


def test_secrets_of_the_command_line_and_the_environment_are_nowhere_in_the_store(built: Space) -> None:
    built.env["BUILDRULES_FEED_TOKEN"] = "t0k3n-of-the-feed"
    built.run("run", APP, "-e", "API_KEY=hunter2-secret", code=None)
    built.run("build", APP)
    for path in built.store.rglob("*"):
        if path.is_file():
            assert b"hunter2-secret" not in path.read_bytes(), path
            assert b"t0k3n-of-the-feed" not in path.read_bytes(), path
