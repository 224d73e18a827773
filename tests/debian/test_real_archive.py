"""The real archive, through the machine's own apt configuration."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.debian.layers import DebianLayers
from buildrules.engine.action import Action, Outputs
from buildrules.locking.debian.lock import dump_lock, layer_params, layer_places, make_lock, python_version
from buildrules.locking.debian.request import DebianRequest
from tests.support.steps import made, step

pytestmark = [pytest.mark.network, pytest.mark.slow]

PROGRAM = """
import bz2, ctypes, hashlib, json, lzma, pwd, socket, sqlite3, ssl, time, uuid, zlib, zoneinfo
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
assert pwd.getpwuid(65532).pw_dir == "/home/nonroot"
assert socket.getservbyname("https") == 443
assert time.tzname[0] == "UTC" and zoneinfo.ZoneInfo("Europe/Berlin")
assert ctypes.CDLL("libgomp.so.1") and ctypes.CDLL("libstdc++.so.6")
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
print("all there")
"""


def build(suite: str, architecture: str, context: Any) -> tuple[Any, Outputs]:
    lock = make_lock(DebianRequest("base", suite, architecture), {}, context)
    places = layer_places(lock, {}, "debian.b.lock", "//b")
    action = Action("b", "//b", "debian_layers", "b", layer_params(lock)._asdict(), places=places)
    return lock, made(DebianLayers(), step(action), context)


@pytest.mark.parametrize(
    ("suite", "architecture", "python", "loader"),
    [
        ("bookworm", "amd64", "3.11", "usr/lib64/ld-linux-x86-64.so.2"),
        ("bookworm", "arm64", "3.11", "usr/lib/ld-linux-aarch64.so.1"),
        ("trixie", "amd64", "3.13", "usr/lib64/ld-linux-x86-64.so.2"),
    ],
)
def test_a_python_base(
    suite: str, architecture: str, python: str, loader: str, tmp_path: Path, make_context: Callable[[str], Any]
) -> None:
    context = make_context("store")
    lock, outputs = build(suite, architecture, context)
    assert 18 <= len(lock.packages) <= 24
    assert python_version(lock)[0] == python  # type: ignore[index]
    assert "http" not in dump_lock(lock)
    assert outputs.values["layers"] == ["system", "python"]
    assert sum(layer.size for layer in outputs.layers) < 25_000_000

    root = tmp_path / "root"
    for layer in outputs.layers:
        with tarfile.open(context.blobs.path(layer.digest), "r:gz") as archive:
            archive.extractall(root, filter="fully_trusted")
    assert (root / loader).exists() or (root / loader).is_symlink()
    assert (root / "etc/os-release").read_text().count(suite)
    assert not [path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o6000]

    again = made(
        DebianLayers(), step(Action("b", "//b", "debian_layers", "b", layer_params(lock)._asdict())), context
    )  # no hints: nothing is fetched
    assert again.to_dict() == outputs.to_dict()

    native = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    if architecture == native:
        chroot = shutil.which("chroot") or "chroot"
        enter = [chroot] if os.geteuid() == 0 else [shutil.which("unshare") or "unshare", "-r", chroot]
        command = [*enter, str(root), "/usr/bin/python3", "-c", PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
        assert (done.stdout, done.stderr) == ("all there\n", "")
