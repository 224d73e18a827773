"""A package index on 127.0.0.1 with wheels made here, and uv pointed at it and at nothing else."""

import base64
import hashlib
import html
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.python.target import Target
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirements import collect
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs
from tests.support.local import Local, Plain
from tests.support.space import new_uv_cache

TOKEN = "canary-7a90c1"
AMD64 = Target("linux/amd64", "3.11.2", "2.36")
ARM64 = Target("linux/arm64", "3.11.2", "2.36")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: dict[str, bytes] | None = None,
    python: str = ">=3.8",
) -> tuple[str, bytes]:
    """(file name, bytes) of a wheel with a module, metadata and RECORD."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n"
    metadata += "".join(f"Requires-Dist: {item}\n" for item in requires)
    tags = "".join(f"Tag: {tag}\n" for tag in _expanded(tag))
    content = {
        **(files or {f"{name}/__init__.py": f"version = {version!r}\n".encode()}),
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n{tags}".encode(),
    }
    rows = []
    for path, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}\n")
    content[f"{info}/RECORD"] = ("".join(rows) + f"{info}/RECORD,,\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return f"{name}-{version}-{tag}.whl", buffer.getvalue()


def _expanded(tag: str) -> list[str]:
    python, abi, platform = tag.split("-")
    return [f"{p}-{abi}-{q}" for p in python.split(".") for q in platform.split(".")]


BACKEND = """
import base64, hashlib, os, random, time, zipfile
NAME, VERSION, TAG = {name!r}, {version!r}, {tag!r}
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{f"{{NAME}}.py": open("module.py", "rb").read(), **{{k: v for k, v in {extra!r}.items()}},
             f"{{info}}/METADATA": f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n".encode(),
             f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {{TAG}}\\n".encode()}}
    files[f"{{info}}/RECORD"] = "".join(f"{{n}},,\\n" for n in files).encode()
    filename = f"{{NAME}}-{{VERSION}}-{{TAG}}.whl"
    names = list(files)
    random.shuffle(names)
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, time.localtime()[:6]), files[name])
    return filename
"""


def project_files(
    name: str, version: str, tag: str = "py3-none-any", extra: dict[str, bytes] | None = None, backend: str = BACKEND
) -> dict[str, str]:
    """A project that is built by a back end of its own, which is careless about order and time on purpose."""
    return {
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n[build-system]\nrequires = []\n'
        'build-backend = "back"\nbackend-path = ["."]\n',
        "back.py": backend.format(name=name, version=version, tag=tag, extra=extra or {}),
        "module.py": "answer = 42\n",
    }


def make_sdist(name: str, version: str, tag: str = "py3-none-any", **more: Any) -> tuple[str, bytes]:
    """(file name, bytes) of a source archive of `project_files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        files = project_files(name, version, tag, **more)
        files["PKG-INFO"] = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", buffer.getvalue()


class Index:
    """The simple repository API. `seen` lists requests; `trouble` may answer one itself by returning True."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.login: tuple[str, str] | None = None
        self.sizes = True
        self.yanked: dict[str, str] = {}  # why, by file name
        self.seen: list[str] = []
        self.trouble: Callable[[Plain], bool] | None = None
        self.http = Local(self.answer)
        self.close, self.port = self.http.close, self.http.server_port
        self.url = f"{self.http.url}/simple"

    def url_with(self, user: str, password: str) -> str:
        return f"http://{user}:{password}@127.0.0.1:{self.port}/simple"

    def file_url(self, filename: str) -> str:
        return f"http://127.0.0.1:{self.port}/files/{filename}"

    def add(self, name: str, version: str, **more: Any) -> str:
        """Publish a wheel; returns its file name."""
        filename, data = make_wheel(name, version, **more)
        self.files[filename] = data
        return filename

    def add_sdist(self, name: str, version: str, **more: Any) -> str:
        filename, data = make_sdist(name, version, **more)
        self.files[filename] = data
        return filename

    def answer(self, handler: Plain) -> None:
        self.seen.append(f"{handler.command} {handler.path}")
        if self.trouble and self.trouble(handler):
            return
        if self.login:
            expected = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if handler.headers.get("Authorization") != expected:
                handler.send(401, b"", WWW_Authenticate="Basic")
                return
        kind, _, rest = handler.path.strip("/").partition("/")
        if kind == "files" and rest in self.files:
            handler.send(200, self.files[rest])
        elif kind == "simple":
            found = sorted(name for name in self.files if name.partition("-")[0].replace("_", "-") == rest.strip("/"))
            self.page(handler, rest.strip("/"), found)
        else:
            handler.send(404)

    def page(self, handler: Plain, name: str, found: list[str]) -> None:
        if not found:
            handler.send(404)
        elif self.sizes:
            files = [
                {
                    "filename": file,
                    "url": f"/files/{file}",
                    "hashes": {"sha256": sha256(self.files[file])},
                    "size": len(self.files[file]),
                    "yanked": self.yanked.get(file, False),
                }
                for file in found
            ]
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()
            handler.send(200, body, Content_Type="application/vnd.pypi.simple.v1+json")
        else:
            links = (
                f'<a href="/files/{file}#sha256={sha256(self.files[file])}">{html.escape(file)}</a>' for file in found
            )
            handler.send(200, "".join(links).encode(), Content_Type="text/html")


@pytest.fixture
def feed(tmp_path: Path, isolated: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that is the user's only one."""
    index = Index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    yield index
    index.close()


@pytest.fixture
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the test's own."""
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path / "uv-cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


class Context:
    """What an action is given."""

    def __init__(self, workspace: Path, store: Path) -> None:
        self.workspace = str(workspace)
        self.blobs = Blobs(str(store))
        self.jobs = 2
        self.session = Session()
        self.cancelled = False
        self.fetched = 0
        self.read = 0

    def progress(self, what: str, done: int, total: int | None) -> None: ...

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        self.read += read
        self.fetched += fetched

    def warn(self, message: str) -> None: ...


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
def context(root: Path, tmp_path: Path) -> Context:
    return Context(root, tmp_path / "store")


Asking = Callable[..., EnvironmentRequest]


@pytest.fixture
def asking(root: Path) -> Asking:
    """Make an EnvironmentRequest from a list of requirements."""

    def make(
        *requirements: str, target: Target = AMD64, asker: str = "the environment //:env", **more: Any
    ) -> EnvironmentRequest:
        found = collect(str(root), "", requirements=requirements, asker=asker, exclude=more.pop("exclude", ()))
        found.items[:0] = more.pop("base_requirements", ())
        more = {"name": "env", "asked": found, **more}
        return EnvironmentRequest(root=str(root), folder="", target=target, **more)

    return make
