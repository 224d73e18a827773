"""A real signed archive, made with dpkg-deb and gpg and served on the loopback address."""

import email.utils
import hashlib
import http.server
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.debian.layers import DebianLayers
from buildrules.engine.action import Action, Outputs
from buildrules.locking.debian.lock import Lock, layer_params, layer_places, make_lock
from buildrules.locking.debian.request import DebianRequest
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs
from tests.support.steps import made, step


@dataclass
class Surroundings:
    """What an action is run with."""

    workspace: str
    blobs: Blobs
    jobs: int = 2
    cancelled: bool = False
    fetched: int = 0
    warnings: list[str] = field(default_factory=list)
    session: Session = field(default_factory=Session)

    def progress(self, what: str, done: int, total: int | None) -> None:
        assert done >= 0

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        self.fetched += fetched

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@dataclass(frozen=True)
class Signer:
    """A key of its own: `home` is the GNUPGHOME, `public` the armoured key, `fingerprint` 40 hex digits."""

    home: str
    public: str
    fingerprint: str

    def sign(self, text: str) -> bytes:
        return self._run("--clearsign", text.encode())

    def binary(self) -> bytes:
        return self._run("--export", b"")

    def _run(self, verb: str, data: bytes) -> bytes:
        command = ["gpg", "--homedir", self.home, "--batch", "--pinentry-mode", "loopback", verb]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def make_signer() -> Signer:
    home = tempfile.mkdtemp(prefix="gnupg-")  # short: a socket path has at most 108 characters
    base = ["gpg", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run(
        [*base, "--quick-gen-key", "archive@example.test", "ed25519", "sign", "0"], check=True, capture_output=True
    )
    public = subprocess.run([*base, "--armor", "--export"], check=True, capture_output=True, text=True).stdout
    listed = subprocess.run([*base, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True).stdout
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
    return Signer(home, public, fingerprint)


def discard(signer: Signer) -> None:
    subprocess.run(["gpgconf", "--homedir", signer.home, "--kill", "all"], check=False, capture_output=True)
    shutil.rmtree(signer.home, ignore_errors=True)


@pytest.fixture(scope="session")
def signer() -> Iterator[Signer]:
    made = make_signer()
    yield made
    discard(made)


@pytest.fixture(scope="session")
def stranger() -> Iterator[Signer]:
    """A key that nobody trusts."""
    made = make_signer()
    yield made
    discard(made)


_built: dict[tuple[str, str, str], bytes] = {}
"""Packages built so far: dpkg-deb takes its time, and every test wants the same base."""


class Archive:
    """A mirror of one archive below `root`: pool/ and dists/."""

    def __init__(self, root: Path, signer: Signer) -> None:
        self.root = root
        self.signer = signer
        self.stanzas: dict[str, list[str]] = {}

    def add(
        self,
        name: str,
        version: str = "1.0-1",
        files: dict[str, str] | None = None,
        *,
        suite: str = "bookworm",
        architecture: str = "amd64",
        compression: str = "xz",
        raw: bytes | None = None,
        **fields: str,
    ) -> Path:
        """Build a package with dpkg-deb (or take `raw`) and list it in a suite; `Pre_Depends` is Pre-Depends."""
        relative = f"pool/main/{name[0]}/{name}/{name}_{version.rpartition(':')[2]}_{architecture}.deb"
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": architecture,
            "Maintainer": "A <a@example.test>",
        }
        control |= {key.replace("_", "-"): value for key, value in fields.items()} | {"Description": name}
        text = "".join(f"{key}: {value}\n" for key, value in control.items())
        if raw is None:
            key = (text, repr(files), compression)
            if key not in _built:
                build_deb(path, text, files or {}, compression)
                _built[key] = path.read_bytes()
            path.write_bytes(_built[key])
        else:
            path.write_bytes(raw)
        data = path.read_bytes()
        listed = f"Filename: {relative}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        self.stanzas.setdefault(suite, []).append(text + listed)
        return path

    def publish(
        self,
        suite: str = "bookworm",
        *,
        until: float | None = 3600,
        signer: Signer | None = None,
        fields: dict[str, str] | None = None,
        architectures: str = "amd64 arm64",
    ) -> None:
        """Write and sign the indexes of a suite. `until` are seconds from now; None leaves Valid-Until out."""
        dist = self.root / "dists" / suite
        sums = []
        for architecture in architectures.split():
            stanzas = [
                one
                for one in self.stanzas.get(suite, [])
                if f"Architecture: {architecture}\n" in one or "Architecture: all\n" in one
            ]
            data = lzma.compress("\n".join(stanzas).encode())
            path = dist / "main" / f"binary-{architecture}" / "Packages.xz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-{architecture}/Packages.xz")
        head = {
            "Origin": "Debian",
            "Suite": suite,
            "Codename": suite,
            "Date": "Sat, 11 Jul 2026 10:16:37 UTC",
            "Architectures": architectures,
            "Components": "main",
        }
        if until is not None:
            head["Valid-Until"] = email.utils.formatdate(time.time() + until, usegmt=True)
        head |= fields or {}
        text = "".join(f"{key}: {value}\n" for key, value in head.items()) + "SHA256:\n" + "\n".join(sums) + "\n"
        (dist / "InRelease").write_bytes((signer or self.signer).sign(text))


def build_deb(path: Path, control: str, files: dict[str, str], compression: str = "xz") -> None:
    """`files` maps a path to a text, "-> target" for a link, or "/" for a folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text(control)
        for name, text in files.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if text == "/":
                target.mkdir()
            elif text.startswith("-> "):
                target.symlink_to(text[3:])
            else:
                target.write_text(text)
                target.chmod(0o755 if "bin/" in name else 0o644)
        command = ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", str(root), str(path)]
        subprocess.run(command, check=True, capture_output=True)


def ar(*members: tuple[str, bytes]) -> bytes:
    """An `ar` archive, as deb(5) wants it."""
    parts = [b"!<arch>\n"]
    for name, data in members:
        parts += [f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode(), data, b"\n" * (len(data) % 2)]
    return b"".join(parts)


def raw_deb(
    entries: list[tarfile.TarInfo | tuple[str, bytes]], *, name: str = "evil", style: int = tarfile.GNU_FORMAT
) -> bytes:
    """A package with whatever tar members a test likes; (path, content) is a plain file."""

    def tar(items: list[tarfile.TarInfo | tuple[str, bytes]]) -> bytes:
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w:xz", format=style) as archive:
            for item in items:
                if isinstance(item, tarfile.TarInfo):
                    archive.addfile(item, io.BytesIO(bytes(item.size)))
                else:
                    info = tarfile.TarInfo(item[0])
                    info.size = len(item[1])
                    archive.addfile(info, io.BytesIO(item[1]))
        return sink.getvalue()

    control = f"Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\n".encode()
    return ar(
        ("debian-binary", b"2.0\n"), ("control.tar.xz", tar([("./control", control)])), ("data.tar.xz", tar(entries))
    )


@dataclass
class Mirror:
    """A served folder. `requests` are the paths asked for."""

    root: Path
    url: str
    requests: list[str]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    root = tmp_path / "www"
    root.mkdir()
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(root))

        def log_message(self, *args: Any) -> None:
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield Mirror(root, f"http://127.0.0.1:{server.server_port}", requests)
    server.shutdown()
    server.server_close()
    thread.join()


class Lab:
    """An archive with a small base in it, its settings, and a store."""

    def __init__(self, tmp_path: Path, mirror: Mirror, signer: Signer) -> None:
        self.mirror = mirror
        self.main = Archive(mirror.root / "debian", signer)
        self.security = Archive(mirror.root / "debian-security", signer)
        self.keyring = tmp_path / "archive.asc"
        self.keyring.write_text(signer.public)
        self.settings: dict[str, Any] = {
            "mirror": f"{mirror.url}/debian",
            "security_mirror": f"{mirror.url}/debian-security",
            "keyring": str(self.keyring),
        }
        self.context = Surroundings(str(tmp_path), Blobs(str(tmp_path / "store")))

    def publish(self, **options: Any) -> None:
        self.main.publish("bookworm", **options)
        self.security.publish("bookworm-security", **options)

    def base(self) -> None:
        """A base with a Python in it, as small as it can be."""
        self.main.add(
            "base-files",
            files={
                "etc/os-release": "-> ../usr/lib/os-release",
                "usr/lib/os-release": "ID=debian\n",
                "var/run": "/",
                "bin": "/",
            },
            Pre_Depends="awk",
        )
        self.main.add(
            "ca-certificates",
            architecture="all",
            files={
                "usr/share/ca-certificates/mozilla/B.crt": "BBB",
                "usr/share/ca-certificates/mozilla/A.crt": "AAA\n",
                "usr/share/doc/ca-certificates/copyright": "free",
                "usr/share/doc/ca-certificates/README": "long",
            },
            Depends="openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0",
        )
        self.main.add(
            "libc6",
            "2.36-9",
            files={
                "lib/x86_64-linux-gnu/libc.so.6": "libc",
                "lib64/ld.so": "-> /lib/x86_64-linux-gnu/ld.so",
                "usr/share/man/man1/x.1": "man",
            },
            Depends="libgcc-s1",
        )
        self.main.add("libgcc-s1", files={"lib/x86_64-linux-gnu/libgcc_s.so.1": "gcc"}, Depends="libc6 (>= 2.35)")
        for name in ("netbase", "tzdata", "libgomp1", "libstdc++6", "zlib1g"):
            self.main.add(name, files={f"usr/share/doc/{name}/copyright": name})
        self.main.add("python3-minimal", "3.11.2-1", Depends="python3.11-minimal (>= 3.11.2-1~)")
        self.main.add(
            "python3.11-minimal",
            "3.11.2-6",
            files={"usr/bin/python3.11": "#!"},
            Depends="libpython3.11-minimal (= 3.11.2-6), zlib1g (>= 1:1.2.0) | zlib1g",
        )
        self.main.add(
            "libpython3.11-minimal",
            "3.11.2-6",
            files={"usr/lib/python3.11/os.py": "import sys"},
            Depends="libc6 (>= 2.14)",
        )
        self.main.add(
            "libpython3.11-stdlib",
            "3.11.2-6",
            files={"usr/lib/python3.11/json.py": "x"},
            Depends="libpython3.11-minimal (= 3.11.2-6), media-types | mime-support, libreadline8 (>= 7.0~beta)",
        )

    def lock(self, *packages: str, **options: Any) -> Lock:
        options = {"python": False} | options
        request = DebianRequest("base", options.pop("suite", "bookworm"), packages=packages, **options)
        return make_lock(request, self.settings, self.context)

    def action(self, lock: Lock) -> Action:
        hints = layer_places(lock, self.settings, "debian.base-linux-amd64.lock", "//bases:base")
        params = layer_params(lock)._asdict()
        return Action("base", "//bases:base", "debian_layers", "debian base", params, places=hints)

    def build(self, lock: Lock) -> Outputs:
        return made(DebianLayers(), step(self.action(lock)), self.context)

    def members(self, outputs: Outputs) -> dict[str, tarfile.TarInfo]:
        found: dict[str, tarfile.TarInfo] = {}
        for layer in outputs.layers:
            with tarfile.open(self.context.blobs.path(layer.digest), "r:gz") as archive:
                found |= {info.name: info for info in archive}
        return found

    def text(self, outputs: Outputs, path: str) -> str:
        for layer in outputs.layers:
            with tarfile.open(self.context.blobs.path(layer.digest), "r:gz") as archive:
                if path in archive.getnames():
                    file = archive.extractfile(path)
                    assert file is not None
                    return file.read().decode()
        raise KeyError(path)


@pytest.fixture
def lab(tmp_path: Path, mirror: Mirror, signer: Signer) -> Lab:
    return Lab(tmp_path, mirror, signer)


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[[str], Surroundings]:
    return lambda name: Surroundings(str(tmp_path), Blobs(str(tmp_path / name)))


@pytest.fixture
def make_deb(tmp_path: Path) -> Callable[..., Path]:
    """Write a package made of raw tar members; see `raw_deb`."""

    def make(*entries: tarfile.TarInfo | tuple[str, bytes], **options: Any) -> Path:
        path = tmp_path / f"{os.urandom(4).hex()}.deb"
        path.write_bytes(raw_deb(list(entries), **options))
        return path

    return make


@pytest.fixture
def deb_tools() -> tuple[Callable[..., bytes], Callable[..., bytes], Callable[..., None]]:
    """(`ar`, `raw_deb`, `build_deb`)."""
    return ar, raw_deb, build_deb
