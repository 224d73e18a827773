"""Kills, full disks, damaged stores, files that change under a build: time may be lost, never a right answer."""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.local import Local, Plain
from tests.support.repository import Repository
from tests.support.space import APP, CODE, Report, Space, wheel

MakeSpace = Callable[..., Space]
RUNS = int(os.environ.get("BUILDRULES_TEST_KILLS", "5"))


@pytest.mark.parametrize("run", range(RUNS))
def test_a_build_after_a_killed_build_is_right(new_space: MakeSpace, run: int) -> None:
    space = new_space()
    space.write("weights/large.bin", random.Random(run).randbytes(6 << 20))
    expected = space.clean_build().digest
    process = space.start("build", APP)
    time.sleep(random.Random(run).uniform(0.1, 0.9))
    process.kill()
    process.communicate()
    space.sound()
    report = space.build()
    assert report.digest == expected
    space.sound()
    space.run("cache", "verify").said("0 corrupt")


def test_what_a_killed_build_finished_is_kept(workspace: Space, stalling: "Stall") -> None:
    process = stalling.start_and_wait(workspace)
    process.kill()
    process.communicate()
    stalling.go_on()
    report = workspace.build()
    assert CODE not in report.built, "what was finished before the kill was made again"
    assert report.digest == workspace.clean_build().digest


def test_ctrl_c_stops_at_once_and_keeps_what_is_finished(workspace: Space, stalling: "Stall") -> None:
    process = stalling.start_and_wait(workspace)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)  # the server would stall for a minute
    assert process.returncode == 130, out + err
    assert "interrupted" in err
    assert "Traceback" not in err
    workspace.sound()
    stalling.go_on()
    report = workspace.build()
    assert CODE not in report.built
    assert stalling.resumed, "the transfer began anew instead of where it was interrupted"
    assert report.digest == workspace.clean_build().digest


def test_many_builds_at_once_on_one_store(new_space: MakeSpace) -> None:
    first, second = new_space("first"), new_space("second")
    second.env["BUILDRULES_CACHE_DIR"] = first.env["BUILDRULES_CACHE_DIR"]
    expected = first.clean_build("//...").digests
    processes = [space.start("build", "//...", "--json") for space in (first, second, first, second)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        assert Report(json.loads(out)).digests == expected
    first.sound()
    assert first.build("//...").executed == 0


# -- full disk --------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_then_mended(workspace: Space, small_disk: Path) -> None:
    workspace.env["BUILDRULES_CACHE_DIR"] = str(small_disk / "store")
    workspace.store = small_disk / "store"
    filler = small_disk / "filler"
    handle = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(handle, b"\0" * 4096)
    os.close(handle)
    result = workspace.run("build", APP, code=1)
    result.said("no space left", "hint: free some space")
    filler.unlink()
    assert workspace.build().digest == workspace.clean_build().digest
    workspace.sound()


@pytest.mark.parametrize("left", [20_000, 60_000, 120_000])
def test_a_disk_that_fills_up_on_the_way(workspace: Space, small_disk: Path, left: int) -> None:
    workspace.env["BUILDRULES_CACHE_DIR"] = str(small_disk / "store")
    workspace.store = small_disk / "store"
    with open(small_disk / "filler", "wb") as file:
        file.write(b"\0" * ((1 << 20) - left))
    result = workspace.run("build", APP, code=None)
    if result.code:
        assert result.code == 1
        result.said("no space left", "hint:")
    assert "Traceback" not in result.err
    workspace.sound()
    (small_disk / "filler").unlink()
    assert workspace.build().digest == workspace.clean_build().digest


@pytest.mark.parametrize("left", [0, 8_000, 30_000])
def test_a_disk_without_room_for_a_revision(workspace: Space, small_disk: Path, left: int) -> None:
    workspace.write("src/data.bin", b"d" * 40_000)
    Repository(workspace.root).commit()
    workspace.append("BUILD.yaml", "    environment: {A: b}\n")
    workspace.env["BUILDRULES_CACHE_DIR"] = str(small_disk / "store")
    workspace.store = small_disk / "store"
    questions = (("affected", "--since", "HEAD"), ("why", APP, "--since", "HEAD"), ("diff", *[f"{APP}@HEAD"] * 2))
    workspace.run(*questions[0])
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        free = os.statvfs(small_disk)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - left)
    for question in questions:
        said = workspace.run(*question, code=1).said("no space left", str(small_disk / "store"), "hint: ")
        assert "Traceback" not in said.err and "BUILDRULES_CACHE_DIR" in said.err
    filler.unlink()
    workspace.run(*questions[0]).said(APP)


# -- damage -----------------------------------------------------------------------------------------------------------


def base_of(space: Space) -> Path:
    """The base of the state of the workspace."""
    (path,) = [path for path in space.states() if path.suffix == ".state"]
    return path


def _flip(data: bytes, seed: int) -> bytes:
    """Change some bytes in the second half, where the rows are."""
    changed = bytearray(data)
    chooser = random.Random(seed)
    for _ in range(40):
        changed[chooser.randrange(len(data) // 4, len(data))] ^= 1 << chooser.randrange(8)
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda _: None,
    "empty": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "garbage": lambda data: b"garbage" * 1000,
    "bits flipped": lambda data: _flip(data, 1),
    "other bits flipped": lambda data: _flip(data, 2),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_table_costs_time_only(built: Space, damage: Callable[[bytes], bytes | None]) -> None:
    expected = built.build("//...").digests
    built.run("cache", "info")  # folds the log of the table into the table
    shutil.rmtree(built.store / "workspaces")
    _damage(built.store / "table" / "cache.db", damage)
    for name in ("cache.db-wal", "cache.db-shm"):
        (built.store / "table" / name).unlink(missing_ok=True)
    assert built.build("//...").digests == expected
    built.append("src/score.py", "# edited\n")
    assert built.build("//...").digests == built.clean_build("//...").digests
    assert built.build("//...").digests == built.clean_build("//...").digests


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_costs_time_only(settled: Space, damage: Callable[[bytes], bytes | None]) -> None:
    expected = settled.build().digest
    for path in settled.states():
        _damage(path, damage)
    assert settled.build().digest == expected
    settled.append("src/score.py", "# edited\n")
    for path in settled.states():
        _damage(path, damage)
    report = settled.build()
    assert report.built == {CODE}
    assert report.digest == settled.clean_build().digest


@pytest.mark.parametrize("part", range(8))
def test_no_single_damaged_byte_of_a_state_changes_an_answer(settled: Space, part: int) -> None:
    expected = settled.build().digest
    path = base_of(settled)
    data = path.read_bytes()
    settled.path("src/score.py").touch()  # so that more of the state is used than the answer
    chooser = random.Random(part)
    for _ in range(12):
        place = chooser.randrange(len(data) * part // 8, len(data) * (part + 1) // 8)
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << chooser.randrange(8))]) + data[place + 1 :])
        assert settled.build().digest == expected


def _damage(path: Path, damage: Callable[[bytes], bytes | None]) -> None:
    data = damage(path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def test_every_blob_can_be_lost(built: Space) -> None:
    expected = built.build().digest
    for digest, path in built.blobs().items():
        path.unlink()
        report = built.build()
        assert report.digest == expected, digest
    shutil.rmtree(built.store / "blobs")
    assert built.build().digest == expected
    exported = built.folder / "out"
    built.run("export", APP, "-o", str(exported))
    assert expected in (exported / "index.json").read_text()


def test_a_lost_blob_is_made_again_where_it_is_used(settled: Space) -> None:
    manifest = settled.blobs()[settled.build().digest]
    out = settled.folder / "out"
    settled.run("export", APP, "-o", str(out))
    manifest.unlink()
    settled.build()
    result = settled.run("export", APP, "-o", str(out))
    assert "1 built, 7 reused" in result.err
    assert manifest.exists()


def test_verify_finds_corrupt_blobs_and_the_next_build_mends_them(built: Space) -> None:
    expected = built.build().digest
    blobs = built.blobs()
    for path in blobs.values():
        path.chmod(0o644)
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])  # the same size: only hashing tells
    result = built.run("cache", "verify", code=1)
    result.said(f"{len(blobs)} blobs checked, {len(blobs)} corrupt", *blobs)
    assert built.build().digest == expected
    built.sound()
    built.run("cache", "verify").said("0 corrupt")
    built.run("export", APP, "-o", str(built.folder / "out"))


@pytest.mark.parametrize("form", ["oci-layout", "oci-archive", "docker-archive"])
def test_an_export_refuses_wrong_bytes(built: Space, form: str) -> None:
    layers = {layer["digest"] for layer in built.build().targets[APP]["layers"]}
    target = built.folder / "out"
    for digest, path in sorted(built.blobs().items()):
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        result = built.run("export", APP, "--format", form, "-o", str(target), code=None)
        if result.code == 0:  # not a part of the image, or made again
            assert digest not in layers or built.blobs()[digest].read_bytes() == data
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        else:
            assert result.code == 1
            assert "Traceback" not in result.err
            assert not target.is_file(), "a broken archive was left behind"
            if target.is_dir():
                assert not (target / "index.json").exists()
                shutil.rmtree(target)
        path.unlink(missing_ok=True)
        path.write_bytes(data)


def test_a_state_of_another_version_is_ignored(settled: Space) -> None:
    path = base_of(settled)
    data = path.read_bytes()
    from buildrules import __version__

    assert __version__.encode() in data
    old = bytes(reversed(__version__.encode()))
    path.write_bytes(data.replace(__version__.encode(), old))
    report = settled.build()
    assert report.data["bytes"]["read"] == 0 or report.executed == 0
    assert report.digest == settled.clean_build().digest


# -- changes under a build --------------------------------------------------------------------------------------------


def test_an_edit_that_keeps_size_and_time_is_noticed(built: Space) -> None:
    """The edit lands in the same clock tick, and the time of the file is set back."""
    for number in range(3):
        before = built.path("src/score.py").stat()
        first = built.build()
        text = built.path("src/score.py").read_text()
        built.write("src/score.py", text.replace("data", f"dat{number}") if number == 0 else text.swapcase())
        os.utime(built.path("src/score.py"), ns=(before.st_atime_ns, before.st_mtime_ns))
        assert built.path("src/score.py").stat().st_size == before.st_size
        report = built.build()
        assert report.digest != first.digest
        assert report.digest == built.clean_build().digest


def test_a_file_swapped_for_one_of_the_same_size_and_time(settled: Space) -> None:
    before = settled.path("src/helper.py").stat()
    settled.rename_over("src/helper.py", "answer = 43\n")
    os.utime(settled.path("src/helper.py"), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert settled.build().digest == settled.clean_build().digest


def test_an_edit_in_place_with_its_time_set_back(settled: Space) -> None:
    """Size, time and inode are the same; only the time of the inode's last change tells, which nobody can set."""
    for path in ("src/helper.py", "weights/labels.txt"):
        before = settled.path(path).stat()
        text = settled.path(path).read_text()
        settled.write(path, text[:-3] + "99\n")
        os.utime(settled.path(path), ns=(before.st_atime_ns, before.st_mtime_ns))
        after = settled.path(path).stat()
        assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
        assert settled.build().executed == 2
    assert settled.build().digest == settled.clean_build().digest


MEDDLER = """\
import os, sys
from buildrules.actions import files
pack = files.FilesLayer.run
def run(self, step, context):
    path = os.path.join(context.workspace, step.files[0].path)
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.swapcase())
    return pack(self, step, context)
files.FilesLayer.run = run
from buildrules.__main__ import main
sys.exit(main())
"""


def test_what_is_edited_between_hashing_and_packing_is_not_recorded(workspace: Space) -> None:
    """In a process of its own, where each packing of files begins with an edit, as an impatient editor makes it."""
    driver = workspace.folder / "driver.py"
    driver.write_text(MEDDLER)
    before = workspace.tree()
    expected = workspace.clean_build().digest
    done = subprocess.run(
        [sys.executable, str(driver), "build", APP],
        cwd=workspace.root,
        env={**workspace.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "changed during" in done.stderr
    (edited,) = [path for path, data in workspace.tree().items() if data != before[path]]
    assert workspace.build().digest == workspace.clean_build().digest != expected
    workspace.write(edited, before[edited])
    assert workspace.build().digest == expected


def test_collection_refuses_while_a_build_runs_and_a_build_after_it_is_right(
    workspace: Space, stalling: "Stall"
) -> None:
    process = stalling.start_and_wait(workspace)
    workspace.run("cache", "gc", "--keep", "0s", code=1).said("a build is using the store", "hint:")
    stalling.go_on()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    workspace.run("cache", "gc", "--keep", "0s").said("removed")
    assert workspace.build().digest == workspace.clean_build().digest


# -- a server that stalls ---------------------------------------------------------------------------------------------


class Stall:
    """An index with one wheel whose transfer stops half-way until `go_on`. `resumed` says whether a Range came."""

    def __init__(self, wheels: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in wheels.iterdir()}
        self.files.update([wheel("numlib", "1.0", extra=random.Random(0).randbytes(2 << 20))])
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.resumed = False
        self.http = Local(self.answer)
        self.url = self.http.url

    def answer(self, handler: Plain) -> None:
        name = handler.path.rpartition("/")[2]
        data = self.files.get(name)
        if data is None:
            body = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.files).encode()
            handler.send(200, body, Content_Type="text/html")
            return
        start = 0
        wanted = handler.headers.get("Range")
        if wanted and handler.headers.get("User-Agent", "").startswith("buildrules"):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.resumed = True
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if name.startswith("numlib") and not self.released.is_set():
            handler.wfile.write(data[: len(data) // 2])
            handler.wfile.flush()
            self.stalled.set()
            self.released.wait(60)
            start = len(data) // 2
        handler.wfile.write(data[start:])

    def start_and_wait(self, space: Space) -> "subprocess.Popen[str]":
        """Start a build that comes to a halt in a transfer, after everything else is done."""
        process = space.start("build", APP)
        if not self.stalled.wait(30):
            process.kill()
            pytest.fail(f"the build never fetched: {process.communicate()}")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (_has_code_layer(space) and _half_fetched(space)):
            time.sleep(0.02)
        return process

    def go_on(self) -> None:
        self.released.set()

    def close(self) -> None:
        self.released.set()
        self.http.close()


def _half_fetched(space: Space) -> bool:
    return any(path.stat().st_size >= 1 << 20 for path in (space.store / "tmp" / "partial").glob("*"))


def _has_code_layer(space: Space) -> bool:
    from buildrules.store.store import Store

    store = Store(str(space.store))
    try:
        return any(
            b"srv/app/score.py" in gzip.decompress(store.blobs.read(digest))
            for key in list(store.records.keys())
            for name, digest in (store.records.get(key) or {"outputs": {}})["outputs"].get("blobs", {}).items()
            if name.startswith("layer ")
        )
    finally:
        store.close()


@pytest.fixture
def stalling(workspace: Space) -> Iterator[Stall]:
    """The workspace's locks made with the server (and the server's urls in them)."""
    server = Stall(workspace.wheels)
    del workspace.env["UV_FIND_LINKS"]
    workspace.path("uv.toml").write_text("")
    workspace.env["UV_CONFIG_FILE"] = str(workspace.path("uv.toml"))
    workspace.env["UV_DEFAULT_INDEX"] = f"{server.url}/simple"
    server.released.set()
    for lock in workspace.root.glob("pylock.*"):
        lock.unlink()
    workspace.run("lock")
    shutil.rmtree(workspace.store)
    server.released.clear()
    yield server
    server.close()
