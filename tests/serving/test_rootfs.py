"""The root file system of an image: laid out safely, its users found, its process alone."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import zstandard

from buildrules.errors import IntegrityError, ServingError, UsageError
from buildrules.oci.descriptor import LAYER_ZSTD
from buildrules.serving.request import ask
from buildrules.serving.rootfs import runner as runner_module
from buildrules.serving.rootfs.paths import directory, read_text
from buildrules.serving.rootfs.runner import RootfsRunner, launcher
from buildrules.serving.rootfs.unpack import unpack
from buildrules.serving.rootfs.users import User, find_user
from buildrules.serving.route import Route
from buildrules.serving.runner import Package, Running
from tests.support.handmade import Shelf, image_of
from tests.support.ordinary import ORDINARY, PYTHON, ordinary
from tests.support.tars import Tars, link, special


@pytest.fixture
def tars() -> Tars:
    return Tars()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("untouched")
    made = tmp_path / "root"
    made.mkdir()
    return made


def tree(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = "-> " + os.readlink(path) if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


def test_layers_lie_on_each_other(tars: Tars, root: Path) -> None:
    layers = [
        tars.layer(("./etc/", None), ("etc/a", "1"), ("etc/b", "1"), ("usr/lib/x", "x"), link("lib", "usr/lib")),
        tars.layer(("etc/a", "2"), ("lib/y", "y"), ("etc/.wh.b", ""), packed=True),
        tars.layer(("opt/d/old", "1"), ("opt/d/e/old", "1"), ("file", "was a file")),
        tars.layer(("opt/d/e/new", "2"), ("opt/d/.wh..wh..opq", ""), ("file/now/a", "folder")),
    ]
    with pytest.raises(IntegrityError, match="'file' is in the way"):
        unpack(str(root), layers, tars.stream)
    shutil.rmtree(root)
    root.mkdir()
    layers[3] = tars.layer(("opt/d/e/new", "2"), ("opt/d/.wh..wh..opq", ""), ("file", None), ("file/a", "folder"))
    unpack(str(root), layers, tars.stream)
    assert tree(root) == {
        "etc": "/",
        "etc/a": "2",
        "file": "/",
        "file/a": "folder",
        "lib": "-> usr/lib",
        "opt": "/",
        "opt/d": "/",
        "opt/d/e": "/",
        "opt/d/e/new": "2",
        "usr": "/",
        "usr/lib": "/",
        "usr/lib/x": "x",
        "usr/lib/y": "y",
    }


@pytest.mark.parametrize(
    "name", ["../outside/file", "a/../../outside/file", "/outside/file", "..", "a/.wh...", ".wh..", ".wh."]
)
def test_names_that_leave_the_root(tars: Tars, root: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="leaves its root"):
        unpack(str(root), [tars.layer((name, "overwritten"))], tars.stream)
    assert (root.parent / "outside" / "file").read_text() == "untouched"


@pytest.mark.parametrize(
    "target", ["../outside", "{outside}", "../../../../../../../../{outside}", "a/b/../../../outside"]
)
def test_links_lead_nowhere_but_inside(tars: Tars, root: Path, target: str) -> None:
    target = target.replace("{outside}", str(root.parent / "outside"))
    layers = [
        tars.layer(link("way", target)),
        tars.layer(("way/file", "overwritten"), ("way/.wh.gone", ""), ("way/new", "new")),
    ]
    unpack(str(root), layers, tars.stream)
    assert os.listdir(root.parent / "outside") == ["file"]
    assert (root.parent / "outside" / "file").read_text() == "untouched"
    assert len(list(root.rglob("new"))) == 1


def test_a_link_is_replaced_and_not_written_through(tars: Tars, root: Path) -> None:
    outside = str(root.parent / "outside" / "file")
    unpack(str(root), [tars.layer(link("a", outside)), tars.layer(("a", "mine"))], tars.stream)
    unpack(str(root), [tars.layer(link("b", str(root.parent / "outside"))), tars.layer(("b", None))], tars.stream)
    assert tree(root) == {"a": "mine", "b": "/"}
    assert (root.parent / "outside" / "file").read_text() == "untouched"


@pytest.mark.parametrize("target", ["../outside/file", "/outside/file", "missing", "folder", ""])
def test_hard_links_to_what_they_may_not(tars: Tars, root: Path, target: str) -> None:
    layer = tars.layer(("folder", None), special("a", tarfile.LNKTYPE, target))
    with pytest.raises(IntegrityError, match="leaves its root"):
        unpack(str(root), [layer], tars.stream)


def test_hard_links_through_links_stay_inside(tars: Tars, root: Path) -> None:
    layer = tars.layer(("real/file", "1"), link("way", "/real"), special("a", tarfile.LNKTYPE, "way/file"))
    unpack(str(root), [layer], tars.stream)
    assert (root / "a").read_text() == "1"
    hostile = tars.layer(link("out", str(root.parent)), special("b", tarfile.LNKTYPE, "out/outside/file"))
    with pytest.raises(IntegrityError, match="leaves its root"):
        unpack(str(root), [hostile], tars.stream)


def test_links_in_circles(tars: Tars, root: Path) -> None:
    layer = tars.layer(link("a", "b"), link("b", "a"), ("a/file", "1"))
    with pytest.raises(IntegrityError, match="in circles"):
        unpack(str(root), [layer], tars.stream)


def test_devices_are_left_out_and_bits_dropped(tars: Tars, root: Path) -> None:
    layer = tars.layer(
        special("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0),
        special("dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1),
        special("pipe", tarfile.FIFOTYPE),
        special("su", tarfile.REGTYPE, mode=0o6755),
        special("secret", tarfile.DIRTYPE, mode=0o2000, mtime=-5),
        special("far", tarfile.REGTYPE, mtime=10**15),
    )
    unpack(str(root), [layer], tars.stream)
    assert os.listdir(root / "dev") == []
    assert (root / "su").stat().st_mode & 0o7777 == 0o755
    assert (root / "secret").stat().st_mode & 0o7777 == 0o700
    shutil.rmtree(root)


def test_a_damaged_checksum_of_zstd(tars: Tars, root: Path) -> None:
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(tars.data[tars.layer(("a", "1" * 5000)).digest])
    damaged = tars.of(packed[:-1] + bytes([packed[-1] ^ 1]), LAYER_ZSTD)
    with pytest.raises(IntegrityError, match="not a sound tar"):
        unpack(str(root), [damaged], tars.stream)


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_layers(tars: Tars, root: Path, packed: bool) -> None:
    layer = tars.layer(("a", os.urandom(5000)), packed=packed)
    whole = tars.data[layer.digest]
    for damaged in (whole[:2000], whole[:2000] + b"\0" * (len(whole) - 2000), whole + b"more"):
        tars.data[layer.digest] = damaged
        with pytest.raises(IntegrityError):
            unpack(str(root), [layer], tars.stream)
    with pytest.raises(IntegrityError, match="not a sound tar"):
        unpack(str(root), [tars.of(b"nonsense" * 1000)], tars.stream)


def test_compressions(tars: Tars, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = tars.layer(("a", "1" * 5000))
    packed = zstandard.compress(tars.data[layer.digest])
    frames = zstandard.compress(tars.data[layer.digest][:512]) + zstandard.compress(tars.data[layer.digest][512:])
    for blob in (packed, frames):
        unpack(str(root), [tars.of(blob, LAYER_ZSTD)], tars.stream)
        assert tree(root) == {"a": "1" * 5000}
    with pytest.raises(IntegrityError, match="unknown way: 'application/x-other'"):
        unpack(str(root), [tars.of(b"", "application/x-other")], tars.stream)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError, match="zstd") as caught:
        unpack(str(root), [tars.of(packed, LAYER_ZSTD)], tars.stream)
    assert "zstandard" in (caught.value.hint or "")


def test_paths_inside(root: Path) -> None:
    (root / "a").mkdir()
    os.symlink("/a", root / "b")
    os.symlink("../../../a", root / "a" / "up")
    assert directory(str(root), ["b", "up", ".."]) == str(root)
    assert directory(str(root), ["b", "new"]) is None
    assert directory(str(root), ["b", "new", "er"], create=True) == str(root / "a" / "new" / "er")
    (root / "a" / "text").write_text("hello")
    os.symlink("/a/text", root / "c")
    os.symlink(str(root.parent / "outside" / "file"), root / "d")
    assert [read_text(str(root), path) for path in ("b/text", "/c", "d", "a", "lost/x", "a/text/x")] == [
        "hello",
        "hello",
        "",
        "",
        "",
        "",
    ]


def test_users(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0:r:/root:/sh\nann:x:1000:1001:a:/home/ann:/sh\nbroken\n")
    (root / "etc" / "group").write_text("g:x:7:ann,bob\nh:x:8:bob\nbad:x:y:ann\n")
    known = {
        "": User(0, 0, (), "/root"),
        "ann": User(1000, 1001, (7,), "/home/ann"),
        "1000": User(1000, 1001, (7,), "/home/ann"),
        "ann:h": User(1000, 8, (), "/home/ann"),
        "65532:65532": User(65532, 65532, (), "/"),
        "5": User(5, 0, (), "/"),
    }
    assert {text: find_user(str(root), text) for text in known} == known
    for text in ("eve", "ann:nobody", "99999999999"):
        with pytest.raises(ServingError, match="is not in its"):
            find_user(str(root), text)


SERVE = "trap 'exit 0' TERM; busybox httpd -p 8080 -h /www; while :; do busybox sleep 0.1; done"


def package(shelf: Shelf, busybox: bytes, **settings: Any) -> Package:
    tools = shelf.layer({"bin/busybox": busybox, "www/ready": b"yes"}, "tools", mode=0o755, packed=True)
    image = image_of(
        [tools], **{"entrypoint": ["/bin/busybox", "sh", "-c", SERVE], "environment": {"PATH": "/bin"}, **settings}
    )
    return Package("//:app", "acme/app", image, shelf.stream, "linux/amd64", (8080,))


def reach(running: Running, port: int) -> None:
    """Wait until a package takes connections, as long as it lives."""
    while True:
        with contextlib.suppress(OSError):
            running.connect(port, 5.0).close()
            return
        assert running.state().running, running.log()
        time.sleep(0.02)


def test_one_runs_beside_another_with_the_same_port(shelf: Shelf, busybox: bytes, tmp_path: Path) -> None:
    runner = RootfsRunner(str(tmp_path))
    mine = package(shelf, busybox)
    with runner.start(mine) as one, runner.start(mine) as other:
        for running in (one, other):
            reach(running, 8080)
            assert ask(running, Route(8080, "/ready")).body == b"yes"
        roots = list(tmp_path.glob("private-*/root"))
        assert len(roots) == 2  # none can change the other's files
        assert not os.path.samestat(*(os.stat(root / "bin/busybox") for root in roots))
        with pytest.raises(ConnectionRefusedError):
            one.connect(8081, 1.0)
        stopped = other.stop()
        assert stopped is not None
        assert (stopped.exit_code, stopped.killed) == (0, None)
        assert one.state().running
        one.kill()
        with pytest.raises(ServingError):
            one.state()
    assert list(tmp_path.glob("private-*")) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"entrypoint": ["/no"]}, "cannot start '//:app': /no: No such file or directory"),
        ({"entrypoint": ["/www/ready"]}, "Exec format error"),
        ({"entrypoint": ["/www"]}, "Permission denied"),
        ({"entrypoint": []}, "its image has no command"),
        ({"user": "eve"}, "user 'eve' is not in its /etc/passwd"),
    ],
)
def test_what_cannot_start(
    shelf: Shelf, busybox: bytes, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    runner = RootfsRunner(str(tmp_path))
    with pytest.raises(ServingError, match=message), runner.start(package(shelf, busybox, **settings)):
        pass
    assert list(tmp_path.glob("private-*")) == []


def test_an_image_that_would_mount_elsewhere(tars: Tars, shelf: Shelf, busybox: bytes, tmp_path: Path) -> None:
    """Where /dev is a link, what is mounted on it would lie outside of the image."""
    mine = package(shelf, busybox)
    hostile = tars.layer(link("dev", str(tmp_path)), link("etc", str(tmp_path)))
    shelf.data.update(tars.data)
    image = image_of([*mine.image.layers, hostile], entrypoint=["/bin/busybox", "true"])
    bad = Package("//:app", "acme/app", image, mine.stream, "linux/amd64", (8080,))
    with pytest.raises(ServingError, match="/dev is not a directory"), RootfsRunner(str(tmp_path)).start(bad):
        pass
    assert list(tmp_path.glob("private-*")) == []


def test_an_ordinary_user_can_run_one(nobodys: Path) -> None:
    serve = "busybox id -u > /www/id; " + SERVE
    with ordinary(nobodys, ["/bin/busybox", "sh", "-c", serve]) as (mine, process):
        reply: dict[str, Any] = {}
        while "ok" not in reply:
            mine.send(b'{"connect": 8080}')
            data, handles, _, _ = socket.recv_fds(mine, 1 << 16, 1)
            reply = json.loads(data)
        with socket.socket(fileno=handles[0]) as connection:
            connection.sendall(b"GET /id HTTP/1.0\r\n\r\n")
            assert connection.makefile("rb").read().endswith(b"1234\n")
        mine.close()
        assert process.wait(20) == 0
    assert (nobodys / "root/www/id").exists()


def test_linux_may_refuse(nobodys: Path) -> None:
    """A user who may have no namespaces; root of a user namespace without its powers is one."""
    script = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all "
    probe = launcher("probe", PYTHON, str(nobodys))
    script += shlex.join(probe)
    done = subprocess.run([*ORDINARY, "unshare", "-Ur", "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "unshare: there may be no more user namespaces"
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_a_probe_that_does_not_end_is_no_answer(
    shelf: Shelf, busybox: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_START_SECONDS", 1e-6)  # no program is as fast
    with (
        pytest.raises(ServingError, match="linux refuses to say within 1e-06 s whether it gives namespaces"),
        RootfsRunner(str(tmp_path)).start(package(shelf, busybox)),
    ):
        pass


def test_one_that_needs_the_network_has_it(shelf: Shelf, busybox: bytes, tmp_path: Path) -> None:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    serve = SERVE.replace("8080", str(port))
    mine = package(shelf, busybox, entrypoint=["/bin/busybox", "sh", "-c", serve])
    shared = Package("//:app", "acme/app", mine.image, mine.stream, "linux/amd64", (port,), network=True)
    with RootfsRunner(str(tmp_path)).start(shared) as running:
        reach(running, port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            assert answer.read() == b"yes"
