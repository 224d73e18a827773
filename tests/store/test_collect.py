"""Collection keeps what the last builds need, takes the rest, and never harms a build."""

import marshal
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import buildrules
from buildrules.state.reader import MAGIC, open_state
from buildrules.state.writer import whole, write_base
from buildrules.store.collect import collect, sizes, verify
from buildrules.store.shape import FOLDERS, PARTS
from buildrules.store.store import Store
from tests.support.space import APP, CODE, Space


def collected(space: Space, keep: float = 0.0) -> tuple[int, int]:
    store = Store(str(space.store))
    try:
        done = collect(store, keep_seconds=keep)
        return done.blobs, done.records
    finally:
        store.close()


def test_what_the_last_build_needs_is_kept(built: Space) -> None:
    before = set(built.blobs())
    collected(built, keep=-10)
    assert set(built.blobs()) == before
    assert built.build().executed == 0


def test_what_an_older_build_made_goes(built: Space) -> None:
    old = built.build().layer(CODE)["digest"]
    built.append("src/score.py", "# edited\n")
    new = built.build().layer(CODE)["digest"]
    blobs, records = collected(built, keep=-10)
    assert blobs >= 3  # the layer, the config, the manifest
    assert records >= 2
    assert old not in built.blobs()
    assert new in built.blobs()
    built.edit("src/score.py", "# edited\n", "")
    report = built.build()
    assert report.built == {CODE}
    assert report.layer(CODE)["digest"] == old


def test_what_is_young_is_kept(built: Space) -> None:
    built.append("src/score.py", "# edited\n")
    built.build()
    before = set(built.blobs())
    assert collected(built, keep=3600) == (0, 0)
    assert set(built.blobs()) == before


def test_what_only_a_forgotten_build_needed_goes(built: Space) -> None:
    built.append("src/score.py", "# edited\n")
    built.run("build", "//...")
    built.run("clean")
    built.build()  # from here on the only one that is remembered
    collected(built, keep=-10)
    assert built.build().executed == 0
    built.edit("src/score.py", "# edited\n", "")
    assert built.build().built == {CODE}


def test_after_collecting_everything_a_build_is_right(built: Space) -> None:
    expected = built.build().digest
    built.run("clean")
    collected(built, keep=-10)
    assert built.build().digest == expected
    built.sound()


def test_unfinished_files_go_when_they_are_old(built: Space) -> None:
    aside = built.store / "tmp" / f"{os.getpid()}-abcd"
    partial = built.store / "tmp" / "partial" / ("0" * 64)
    partial.parent.mkdir(exist_ok=True)
    for path in (aside, partial):
        path.write_bytes(b"half")
    collected(built, keep=3600)
    assert aside.exists() and partial.exists()
    collected(built, keep=-10)
    assert not aside.exists() and not partial.exists()


def test_what_a_killed_process_was_writing_goes_at_any_age(built: Space) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    aside = built.store / "tmp" / f"{process.pid}-abcd"
    inside = built.store / "tmp" / f"{process.pid}-folder" / "partial" / "archive.deb"
    inside.parent.mkdir(parents=True)
    for path in (aside, inside):
        path.write_bytes(b"half")
    collected(built, keep=3600)
    assert not aside.exists() and not inside.exists()


@pytest.mark.parametrize("damage", [b"", b"garbage", MAGIC + b"\0" * 400])
def test_damaged_states_do_not_stop_a_collection(built: Space, damage: bytes) -> None:
    expected = built.build().digest
    for path in built.states():
        path.write_bytes(damage)
    collected(built, keep=-10)
    assert built.build().digest == expected


def test_sizes_add_up(built: Space) -> None:
    store = Store(str(built.store))
    found = sizes(store)
    store.close()
    assert found.blobs == len(built.blobs())
    assert found.blob_bytes == sum(path.stat().st_size for path in built.blobs().values())
    assert found.records >= 7
    assert found.states == 1
    assert found.tmp_bytes == 0


def test_each_folder_of_the_store_is_measured_and_goes_when_it_is_old(tmp_path: Path) -> None:
    named = [folder for folder in FOLDERS if folder.measured not in ("", "blobs", "records", "states", "unfinished")]
    for folder in named:
        place = tmp_path / "store" / folder.name
        (place / "one").mkdir(parents=True)
        (place / "one" / "file").write_bytes(b"12345")
        (place / "alone").write_bytes(b"1")
    for keep, left in ((3600, 6), (-10, 0)):
        store = Store(str(tmp_path / "store"))
        assert sizes(store).more == {folder.measured: 6 for folder in named}
        collect(store, keep_seconds=keep)
        assert sizes(store).more == {folder.measured: left for folder in named}
        store.close()


def test_nothing_is_kept_in_the_store_that_its_table_does_not_name() -> None:
    root = Path(buildrules.__file__).parent
    named = re.compile(r"""(?:store_root\(\)|\bstore|store\.root), "([^"/]+)["/]""")
    found = {name for path in root.rglob("*.py") for name in named.findall(path.read_text())}
    assert {"conda", "uv", "tmp", "workspaces"} <= found <= {*PARTS}


def test_verify_names_what_is_corrupt_and_removes_it(built: Space) -> None:
    digest, path = sorted(built.blobs().items())[0]
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    store = Store(str(built.store))
    try:
        assert verify(store) == [digest]
        assert verify(store) == []
    finally:
        store.close()
    assert not path.exists()
    assert built.build().digest == built.clean_build().digest


def test_an_export_after_collecting_fetches_what_it_needs(built: Space) -> None:
    """Wheels are kept as long as a layer made of them is; losing one costs a transfer."""
    wheels = [path for path in built.blobs().values() if path.read_bytes()[:2] == b"PK"]
    assert len(wheels) == 3
    for path in wheels:
        path.unlink()
    built.run("export", APP, "-o", str(built.folder / "out")).said("oci-layout")


def test_what_is_no_blob_is_left_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    digest = store.blobs.put(b"blob")
    folder = Path(store.blobs.path(digest)).parent
    foreign = [folder / "README", folder.parent / ".DS_Store", folder / ("z" * 64)]
    for path in foreign:
        path.write_text("not a blob")
    assert sizes(store).blobs == 1
    assert verify(store) == []
    assert collect(store, keep_seconds=-10).blobs == 1
    assert all(path.exists() for path in foreign)
    store.close()


def test_d4_nothing_is_left_of_workspaces_that_are_gone(built: Space) -> None:
    built.run("lint", APP, code=None)
    killed = built.states()[0].with_name("0a1b2c3d.snapshot.4711")
    killed.write_bytes(b"of a killed build")
    shutil.rmtree(built.root)
    store = Store(str(built.store))
    collect(store, keep_seconds=3600)  # the folder may come back: a disk that is not mounted
    store.close()
    store = Store(str(built.store))
    assert sizes(store).states == 1
    collect(store, keep_seconds=0)
    found = sizes(store)
    assert (found.blobs, found.records, found.states, found.state_bytes, found.tmp_bytes) == (0, 0, 0, 0, 0)
    assert list(store.table.keys()) == []
    store.close()
    left = {path.relative_to(built.store).as_posix() for path in built.store.rglob("*") if path.is_file()}
    assert left <= {"version", "lock", "table/cache.db", "table/log", "table/cache.db-wal", "table/cache.db-shm"}


def test_d4_what_was_built_a_moment_ago_goes_as_well(built: Space) -> None:
    """Its records are in the log of the table still."""
    built.run("lint", APP, code=None)
    shutil.rmtree(built.root)
    store = Store(str(built.store))
    collect(store, keep_seconds=0)
    assert list(store.table.keys()) == []
    store.close()


def test_d4_a_state_of_another_version_expires(built: Space) -> None:
    (path,) = (path for path in built.states() if path.suffix == ".state")
    root = str(built.root)
    other = path.with_name("00000000.state")
    write_base(str(other), marshal.dumps(("0.0.1", (3, 11, 0), root, None)), whole(open_state(str(path))))
    collected(built, keep=3600)
    assert other.exists()
    collected(built, keep=-10)
    assert path.exists()
    assert not other.exists()


def test_d4_records_that_no_build_needs_any_more_go_when_they_are_old(built: Space) -> None:
    store = Store(str(built.store))
    store.records.put("of a branch", {"outputs": {"layers": []}})
    store.close()
    assert collected(built, keep=3600) == (0, 0)
    assert collected(built, keep=-10)[1] == 1
    assert built.build().executed == 0
