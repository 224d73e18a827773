"""Locking against a signed archive: what is trusted, what is refused, what the lock holds."""

import base64
import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import FetchError, GoneError, IntegrityError, LockError, ResolutionError, UsageError
from buildrules.locking.debian import lock as locks
from buildrules.locking.debian import signature
from buildrules.locking.debian.request import DebianRequest
from tests.support.space import Space


def test_lock_of_a_python_base(lab: Any, tmp_path: Path) -> None:
    lab.base()
    lab.security.add("libc6", "2.36-9+deb12u1", suite="bookworm-security", Depends="libgcc-s1")
    lab.publish()
    lock = lab.lock(python=True)
    assert [package.name for package in lock.packages] == [
        "base-files", "ca-certificates", "libc6", "libgcc-s1", "libgomp1", "libpython3.11-minimal",
        "libpython3.11-stdlib", "libstdc++6", "netbase", "python3.11-minimal", "tzdata", "zlib1g",
    ]  # fmt: skip
    libc = lock.packages[2]
    assert (libc.version, libc.archive) == ("2.36-9+deb12u1", "security")
    assert libc.path == "pool/main/l/libc6/libc6_2.36-9+deb12u1_amd64.deb"
    assert libc.asked_for_by == ("libgcc-s1", "libpython3.11-minimal", "the base")
    assert locks.python_version(lock) == ("3.11", "3.11.2")
    assert [(one.archive, one.suite) for one in lock.releases] == [
        ("main", "bookworm"),
        ("security", "bookworm-security"),
    ]

    path = tmp_path / locks.lock_name("base", "linux/amd64")
    assert path.name == "debian.base-linux-amd64.lock"
    assert locks.write_lock(str(path), lock)
    assert not locks.write_lock(str(path), lock)
    assert locks.read_lock(str(path)) == lock
    text = path.read_text()
    assert "127.0.0.1" not in text
    assert "http" not in text
    assert sorted(os.listdir(tmp_path)) == ["archive.asc", path.name, "store", "www"]


def test_the_same_archive_gives_the_same_lock(lab: Any, make_context: Callable[[str], Any]) -> None:
    lab.base()
    lab.publish()
    first = locks.dump_lock(lab.lock(python=True))
    lab.context = make_context("another store")
    lab.publish(until=7200)  # signed anew, with another expiry
    assert locks.dump_lock(lab.lock(python=True)) == first


def test_staleness() -> None:
    request = DebianRequest("base", "bookworm", packages=("b", "a"))
    lock = locks.Lock("bookworm", "amd64", request.digest(), (), ())
    assert not lock.is_stale(DebianRequest("renamed", "bookworm", packages=("a", "b", "a")))
    for other in (
        DebianRequest("base", "trixie", packages=("a", "b")),
        DebianRequest("base", "bookworm", "arm64", packages=("a", "b")),
        DebianRequest("base", "bookworm", packages=("a",)),
        DebianRequest("base", "bookworm", packages=("a", "b"), python="3.11"),
    ):
        assert lock.is_stale(other)


def test_what_moved_is_said(lab: Any, new_space: Callable[..., Space]) -> None:
    lab.base()
    lab.publish()
    space = new_space(locked=False)
    shutil.copy(lab.keyring, space.path("archive.asc"))
    settings = {**lab.settings, "keyring": "archive.asc"}
    where = ", ".join(f"{name}: '{value}'" for name, value in settings.items())
    head = f"workspace: {{name: acme, platforms: [linux/amd64], debian: {{{where}}}}}\n"
    space.write("BUILD.yaml", head + "targets:\n  base: {rule: debian_base, python: false}\n")
    space.run("lock", "//:base")
    lab.security.add("libc6", "2.36-9+deb12u1", suite="bookworm-security", Depends="libgcc-s1")
    lab.publish()
    space.run("lock", "//:base").said("wrote debian.base-linux-amd64.lock\n  libc6 2.36-9 -> 2.36-9+deb12u1\n")


def test_indexes_are_fetched_once(lab: Any) -> None:
    lab.base()
    lab.publish()
    lab.lock()
    lab.mirror.requests.clear()
    lab.lock()
    assert [path for path in lab.mirror.requests if "Packages" in path] == []


def test_by_hash_is_preferred(lab: Any) -> None:
    lab.base()
    lab.publish(fields={"Acquire-By-Hash": "yes"})
    index = lab.mirror.root / "debian/dists/bookworm/main/binary-amd64/Packages.xz"
    (index.parent / "by-hash/SHA256").mkdir(parents=True)
    name = hashlib.sha256(index.read_bytes()).hexdigest()
    shutil.move(index, index.parent / "by-hash/SHA256" / name)
    assert lab.lock().packages


def test_signed_by_a_stranger(lab: Any, stranger: Any) -> None:
    lab.base()
    lab.publish(signer=stranger)
    with pytest.raises(IntegrityError, match=r"'bookworm' .main archive. is not signed by a trusted key"):
        lab.lock()


def test_changed_after_signing(lab: Any) -> None:
    lab.base()
    lab.publish()
    path = lab.mirror.root / "debian/dists/bookworm/InRelease"
    path.write_text(path.read_text().replace("Codename: bookworm", "Codename: bookworm\nExtra: yes"))
    with pytest.raises(IntegrityError, match=r"the signature of .* is bad"):
        lab.lock()


def test_text_around_the_signed_part_is_not_read(lab: Any) -> None:
    lab.base()
    lab.publish()
    path = lab.mirror.root / "debian/dists/bookworm/InRelease"
    evil = f"Codename: bookworm\nSHA256:\n {'0' * 64} 1 main/binary-amd64/Packages.xz\n"
    path.write_text(evil + path.read_text() + evil)
    with contextlib.suppress(IntegrityError):  # refusing it is as good
        assert all(package.size for package in lab.lock().packages)


def test_not_signed_at_all(lab: Any) -> None:
    lab.base()
    lab.publish()
    (lab.mirror.root / "debian/dists/bookworm/InRelease").write_text("Suite: bookworm\n")
    with pytest.raises(IntegrityError, match="is not signed"):
        lab.lock()


def test_expired(lab: Any) -> None:
    lab.base()
    lab.publish(until=-60)
    with pytest.raises(IntegrityError, match="has expired: it was valid until"):
        lab.lock()
    for archive in ("debian", "debian-security"):
        (lab.mirror.root / archive / "20250101T000000Z").symlink_to(lab.mirror.root / archive)
    lab.settings["snapshot"] = "20250101T000000Z"  # a dated archive is old by nature
    assert lab.lock().packages


def test_another_suite_under_this_name(lab: Any) -> None:
    lab.base()
    lab.publish(fields={"Suite": "oldstable", "Codename": "bullseye"})
    with pytest.raises(IntegrityError, match="says it is 'bullseye'"):
        lab.lock()


def test_an_architecture_it_does_not_have(lab: Any) -> None:
    lab.base()
    lab.publish(architectures="amd64")
    with pytest.raises(ResolutionError, match="no packages for 'arm64', only for amd64"):
        lab.lock(architecture="arm64")


def test_an_index_that_is_not_the_signed_one(lab: Any) -> None:
    lab.base()
    lab.publish()
    path = lab.mirror.root / "debian/dists/bookworm/main/binary-amd64/Packages.xz"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        lab.lock()


def test_security_must_be_there_but_updates_need_not(lab: Any) -> None:
    lab.base()
    lab.main.publish("bookworm")
    with pytest.raises(GoneError, match="bookworm-security"):
        lab.lock()
    lab.settings["security_mirror"] = None
    assert lab.lock().packages


def test_unreachable_mirror(lab: Any) -> None:
    lab.settings["mirror"] = "http://user:secret@127.0.0.1:9/debian"
    with pytest.raises(FetchError) as caught:
        lab.lock()
    assert "secret" not in f"{caught.value.message}{caught.value.hint}{caught.value.log}"


def test_no_verifier(lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lab.base()
    lab.publish()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        lab.lock()
    assert "apt install gpgv" in (caught.value.hint or "")


def test_no_keyring(lab: Any) -> None:
    lab.base()
    lab.publish()
    lab.settings["keyring"] = "missing.gpg"
    with pytest.raises(UsageError, match=r"cannot read the keyring .*missing\.gpg"):
        lab.lock()


def test_binary_and_armoured_keyrings(lab: Any, signer: Any) -> None:
    lab.base()
    lab.publish()
    armoured = signature.dearmour(signer.public.encode())
    assert armoured == signer.binary()
    lab.keyring.write_bytes(armoured)
    assert lab.lock().packages


def test_fingerprints(lab: Any, signer: Any, stranger: Any) -> None:
    text = signer.sign("hello\n- dashed\n")
    keys = (signer.public, stranger.public)
    blobs = lab.context.blobs
    assert signature.verify(text, keys, (signer.fingerprint,), "x", blobs).splitlines() == [b"hello", b"- dashed"]
    with pytest.raises(IntegrityError, match="x is not signed by a trusted key"):
        signature.verify(text, keys, (stranger.fingerprint,), "x", blobs)


def test_a_clear_signed_file_is_split_as_gpgv_reads_it(lab: Any, signer: Any) -> None:
    data = signer.sign("one \n- two\n\n-----BEGIN three\n")
    text, packets = signature.split(data, "x")
    assert text == b"one\n- two\n\n-----BEGIN three"
    assert packets.startswith(b"-----BEGIN PGP SIGNATURE-----\n")
    for bad in (b"before\n" + data, data + b"after\n", data + data, b"nothing"):
        with pytest.raises(IntegrityError, match="x is not a clear-signed file"):
            signature.split(bad, "x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("version = 1", "version = 2"), "has version 2"),
        (('archive = "main"', 'archive = "http://evil.test"'), "evil.test' is not what it should be"),
        (("pool/main/b", "../../etc"), "not a path inside the archive"),
        (("size = ", "size = -"), "is not a number of bytes"),
        (("size = ", "size = 9999999999999"), "is not a number of bytes"),
        (('sha256 = "', 'sha256 = "zz'), "is not what it should be"),
        (("[[packages]]", "[[packages"), "cannot be read"),
        (('name = "base-files"\n', ""), "'name' is missing"),
    ],
)
def test_locks_that_others_wrote(lab: Any, tmp_path: Path, change: tuple[str, str], says: str) -> None:
    lab.base()
    lab.publish()
    path = tmp_path / "debian.base-linux-amd64.lock"
    text = locks.dump_lock(lab.lock())
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(LockError, match=says):
        locks.read_lock(str(path))


def test_no_lock(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="there is no lock 'debian"):
        locks.read_lock(str(tmp_path / "debian.x-linux-amd64.lock"))


def test_the_machines_own_configuration(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything through apt's own downloader, from a source of apt's own configuration."""
    lab.base()
    lab.publish()
    lab.main.publish("bookworm-updates")
    key = f"[signed-by={lab.keyring}]"
    (tmp_path / "sources.list").write_text(
        f"deb {key} {lab.mirror.url}/debian bookworm main\ndeb {key} {lab.mirror.url}/debian bookworm-updates main\n"
        f"deb {key} {lab.mirror.url}/debian-security bookworm-security main\n"
    )
    config = f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "{tmp_path}/none";\n'
    (tmp_path / "apt.conf").write_text(config)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    lab.settings = {}
    lock = lab.lock(python=True)
    assert len(lock.packages) == 12
    outputs = lab.build(lock)
    assert len(outputs.layers) == 2
    assert lab.context.fetched >= sum(package.size for package in lock.packages)
    assert not [path for path in os.listdir(lab.context.blobs.tmp) if path != "partial"]

    other = lab.lock("tzdata", python=False)
    for package in other.packages:
        lab.context.blobs.discard(package.sha256)
    gone = lab.mirror.root / "debian" / next(one.path for one in other.packages if one.name == "netbase")
    gone.unlink()
    with pytest.raises(GoneError, match=r"netbase 1\.0-1 .*404"):
        lab.build(other)


def test_a_signature_that_has_expired(lab: Any, signer: Any) -> None:
    lab.base()
    lab.publish()
    path = lab.mirror.root / "debian/dists/bookworm/InRelease"
    text = path.read_bytes().partition(b"\n\n")[2].partition(b"-----BEGIN PGP SIGNATURE")[0]
    command = ["gpg", "--homedir", signer.home, "--batch", "--pinentry-mode", "loopback"]
    command += ["--default-sig-expire", "seconds=1", "--clearsign"]
    path.write_bytes(subprocess.run(command, input=text, capture_output=True, check=True).stdout)
    time.sleep(2.1)  # gpg counts whole seconds
    with pytest.raises(IntegrityError, match="has expired"):
        lab.lock()


def test_a_signature_by_an_unknown_algorithm(lab: Any, signer: Any) -> None:
    lab.base()
    lab.publish()
    path = lab.mirror.root / "debian/dists/bookworm/InRelease"
    head, mark, armour = path.read_bytes().partition(b"-----BEGIN PGP SIGNATURE-----")
    packet = bytearray(signature.dearmour(mark + armour))
    start = packet.index(b"\x04\x01\x16")  # version 4, over a text, EdDSA (RFC 9580, section 5.2.3)
    packet[start + 2] = 99
    body = base64.encodebytes(bytes(packet))
    path.write_bytes(head + mark + b"\n\n" + body + b"-----END PGP SIGNATURE-----\n")
    with pytest.raises(IntegrityError, match="algorithm"):
        lab.lock()


def test_the_time_of_the_archive_is_asked_for_and_its_mirror_is_not() -> None:
    plain = DebianRequest("base", "bookworm")
    older, newer = (DebianRequest("base", "bookworm", snapshot=f"2025{month}01T000000Z") for month in ("01", "02"))
    assert len({plain.digest(), older.digest(), newer.digest()}) == 3
    assert "snapshot" not in plain.inputs()  # locks made without one stay valid
