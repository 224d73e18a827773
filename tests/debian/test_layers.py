"""From a lock to layers: what is in them, what does not get in, and that they are always the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.debian.generated import account_files
from buildrules.actions.debian.layers import split
from buildrules.actions.debian.locked import LockedPackage
from buildrules.engine.action import Outputs
from buildrules.errors import ActionError, FetchError, GoneError, IntegrityError, UsageError
from buildrules.oci.descriptor import LAYER_GZIP
from tests.support.steps import made, step


def named(outputs: Outputs) -> dict[str, str]:
    return {name: layer.digest for name, layer in zip(outputs.values["layers"], outputs.layers, strict=True)}


def test_layers_of_a_python_base(lab: Any) -> None:
    lab.base()
    lab.main.add("extra", files={"sbin/extra": "#!", "usr/share/locale/de/x.mo": "x"})
    lab.publish()
    outputs = lab.build(lab.lock("extra", python=True))
    assert outputs.values == {"python": "3.11", "python_version": "3.11.2", "layers": ["system", "python", "packages"]}
    for layer in outputs.layers:
        assert layer.media_type == LAYER_GZIP
        assert layer.recipe is None
        assert lab.context.blobs.has(layer.digest, layer.size)
    members = lab.members(outputs)
    assert {name: members[name].linkname for name in ("bin", "sbin", "lib", "lib64")} == {
        name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")
    }
    for name in (
        "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib64/ld.so", "usr/sbin/extra", "usr/lib/python3.11/json.py",
        "usr/share/doc/tzdata/copyright", "etc/passwd", "etc/group", "etc/nsswitch.conf", "var/lib/dpkg/status.d/extra",
    ):  # fmt: skip
        assert name in members
    for name in ("usr/share/man/man1/x.1", "usr/share/doc/ca-certificates/README", "usr/share/locale/de/x.mo"):
        assert name not in members
    assert members["usr/bin/python3"].linkname == "python3.11"
    assert members["usr/bin/python"].linkname == "python3"
    assert members["etc/localtime"].linkname == "/usr/share/zoneinfo/Etc/UTC"
    assert lab.text(outputs, "etc/timezone") == "Etc/UTC\n"
    assert members["var/run"].linkname == "/run"
    assert members["tmp"].mode == 0o1777
    assert {
        (info.uid, info.gid, info.uname, info.mtime) for info in members.values() if info.name != "home/nonroot"
    } == {(0, 0, "", 0)}
    assert lab.text(outputs, "etc/ssl/certs/ca-certificates.crt") == "AAA\nBBB\n"
    assert members["usr/lib/ssl/cert.pem"].linkname == "/etc/ssl/certs/ca-certificates.crt"
    assert "nonroot:x:65532:65532:nonroot:/home/nonroot:" in lab.text(outputs, "etc/passwd")
    status = lab.text(outputs, "var/lib/dpkg/status.d/libc6").splitlines()
    assert status[:3] == ["Package: libc6", "Status: install ok installed", "Version: 2.36-9"]


def test_d11_the_home_of_a_user_belongs_to_it_and_not_to_everybody(lab: Any) -> None:
    lab.base()
    lab.publish()
    home = lab.members(lab.build(lab.lock(python=True)))["home/nonroot"]
    assert (home.isdir(), home.uid, home.gid, home.mode) == (True, 65532, 0, 0o775)


def test_b4_more_users_of_a_base() -> None:
    files = account_files([("app", 1000, 65532)])
    assert files["etc/passwd"].splitlines()[1:3] == [
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin",
        "app:x:1000:65532:app:/home/app:/usr/sbin/nologin",
    ]
    assert files["etc/group"] == "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n"
    assert "app:x:1001:\n" in account_files([("app", 1000, 1001)])["etc/group"]


def test_the_same_bytes_in_another_store(lab: Any, make_context: Callable[[str], Any]) -> None:
    lab.base()
    lab.publish()
    lock = lab.lock(python=True)
    first = lab.build(lock)
    lab.context = make_context("another")
    assert lab.build(lock).to_dict() == first.to_dict()


def test_a_change_in_one_layer_leaves_the_others(lab: Any) -> None:
    lab.base()
    lab.publish()
    before = named(lab.build(lab.lock(python=True)))
    lab.main.add("libc6", "2.36-10", files={"lib/x86_64-linux-gnu/libc.so.6": "new"}, Depends="libgcc-s1")
    lab.main.add("extra", files={"usr/bin/extra": "#!"})
    lab.publish()
    after = named(lab.build(lab.lock("extra", python=True)))
    assert after["python"] == before["python"]
    assert after["system"] != before["system"]
    assert set(after) == {*before, "packages"}


def test_no_network_where_all_is_there(lab: Any) -> None:
    lab.base()
    lab.publish()
    lock = lab.lock()
    first = lab.build(lock)
    lab.mirror.requests.clear()
    lab.settings["mirror"] = "http://127.0.0.1:9/none"
    assert lab.build(lock).to_dict() == first.to_dict()
    assert lab.mirror.requests == []


def test_split_depends_on_names_only() -> None:
    def package(name: str) -> LockedPackage:
        return LockedPackage(name, "1", "main", "p", "0" * 64, 1)

    names = ["libc6", "libssl3", "libsqlite3-0", "curl", "python3.11-minimal"]
    assert {layer: [one.name for one in held] for layer, held in split([package(name) for name in names]).items()} == {
        "system": ["libc6"],
        "python": ["libssl3", "libsqlite3-0", "python3.11-minimal"],
        "packages": ["curl"],
    }
    assert list(split([package("libc6"), package("libssl3")])) == ["system", "packages"]


def test_a_package_that_is_gone(lab: Any) -> None:
    lab.base()
    lab.publish()
    lock = lab.lock()
    path = lab.mirror.root / "debian" / lock.packages[2].path
    shutil.copytree(lab.mirror.root / "debian", lab.mirror.root / "old/20250101T000000Z")
    path.unlink()
    with pytest.raises(GoneError) as caught:
        lab.build(lock)
    assert "libc6 2.36-9" in caught.value.message
    assert "debian.base-linux-amd64.lock" in caught.value.message
    assert "buildrules lock //bases:base" in (caught.value.hint or "")
    assert "workspace.debian.snapshot" in (caught.value.hint or "")
    lab.settings |= {"mirror": f"{lab.mirror.url}/old", "snapshot": "20250101T000000Z"}
    assert lab.build(lock).layers


def test_a_package_that_is_another_now(lab: Any) -> None:
    lab.base()
    lab.publish()
    lock = lab.lock()
    path = lab.mirror.root / "debian" / lock.packages[0].path
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"not the one in debian\.base-linux-amd64\.lock.*base-files 1\.0-1"):
        lab.build(lock)
    path.write_bytes(data[:-10])
    with pytest.raises((IntegrityError, FetchError), match="base-files"):
        lab.build(lock)


def test_a_stored_package_that_rotted(lab: Any) -> None:
    lab.base()
    lab.publish()
    lock = lab.lock()
    lab.build(lock)
    path = Path(lab.context.blobs.path(lock.packages[0].sha256))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="stored copy of debian package 'base-files'"):
        lab.build(lock)
    assert lab.build(lock).layers


def test_two_packages_with_one_file(lab: Any) -> None:
    lab.base()
    lab.main.add("one", files={"usr/bin/tool": "1"})
    lab.main.add("two", files={"bin/tool": "2"})
    lab.main.add("folder", files={"usr/bin/tool/x": "3"})
    lab.main.add("libc6-dup", files={"usr/lib/x86_64-linux-gnu/libc.so.6": "4"})
    lab.publish()
    with pytest.raises(ActionError, match="'one' and 'two' both hold 'usr/bin/tool'"):
        lab.build(lab.lock("one", "two"))
    with pytest.raises((ActionError, IntegrityError), match="usr/bin/tool"):
        lab.build(lab.lock("one", "folder"))
    with pytest.raises(ActionError, match="'libc6' and 'libc6-dup' both hold"):
        lab.build(lab.lock("libc6-dup"))
    leftovers = [path.name for path in Path(lab.context.blobs.tmp).iterdir()]
    assert [name for name in leftovers if name != "partial"] == []


@pytest.mark.parametrize("compression", ["xz", "gzip", "none"])
def test_compressions(lab: Any, compression: str) -> None:
    lab.base()
    lab.main.add("extra", files={"usr/bin/extra": "hello"}, compression=compression)
    lab.publish()
    assert lab.text(lab.build(lab.lock("extra")), "usr/bin/extra") == "hello"


def test_zstd_without_its_module(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    lab.base()
    lab.main.add("extra", files={"usr/bin/extra": "hello"}, compression="zstd")
    lab.publish()
    lock = lab.lock("extra")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError, match=r"'extra 1\.0-1' is compressed with zstd") as caught:
        lab.build(lock)
    assert "zstandard" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "change",
    [{"path": "../x"}, {"archive": "elsewhere"}, {"sha256": "00"}, {"size": -1}, {"size": True}, {"name": "../x"}],
)
def test_hostile_params(lab: Any, change: dict[str, Any]) -> None:
    lab.base()
    lab.publish()
    action = lab.action(lab.lock())
    rows = action.params["packages"]
    row = rows[0]
    fields = dict(zip(("archive", "path", "size"), action.places["packages"][row[2]], strict=True))
    fields |= dict(zip(("name", "version", "sha256"), row, strict=True)) | change
    rows[0] = tuple(fields[name] for name in ("name", "version", "sha256"))
    action.places["packages"][fields["sha256"]] = [fields[name] for name in ("archive", "path", "size")]
    from buildrules.actions.debian.layers import DebianLayers

    with pytest.raises(IntegrityError):
        made(DebianLayers(), step(action), lab.context)
