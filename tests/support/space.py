"""A small workspace in a temporary directory, after n2's TestSpace: write, run, look at what came out.

The base is a tiny image layout made here and the wheels are made here too, so that the whole chain (base,
environment, server, model, code, image) is built without a network in well under a second.
"""

import base64
import contextlib
import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from buildrules.__main__ import main
from buildrules.oci.config import ImageConfig
from buildrules.oci.image import build_image, build_index, manifest_descriptor
from buildrules.oci.layout import write_layout
from tests.support.handmade import Shelf
from tests.support.purity import pure_plans

BUILD = """\
workspace:
  name: acme
  platforms: [linux/amd64]
targets:
  base: {rule: oci_base, layout: base}
  env:
    rule: python_env
    base: :base
    requirements: [numlib==1.0]
  m: {rule: model, path: weights}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  server: {rule: //rules:tiny}
  app:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :code
"""

TINY = """\
rule: tiny
provides: server
summary: A server of this workspace's own.
attributes:
  threads: {type: integer, default: 2, minimum: 1, doc: Threads that answer.}
requires: {code: always, model: optional}
python: {requirements: ["tinyserver~=1.0"]}
layout:
  model: /srv/model
  code: /srv/app
image:
  environment: {MODEL_DIR: "{layout.model}"}
  entrypoint: [tinyserver, "--threads={threads}"]
  ports: [8080]
routes: {liveness: 8080/healthz, readiness: 8080/healthz, scoring: 8080/score}
"""

FILES: dict[str, str] = {
    "BUILD.yaml": BUILD,
    "rules/tiny.yaml": TINY,
    "src/score.py": "def run(data):\n    return data\n",
    "src/helper.py": "answer = 42\n",
    "weights/model.txt": "1 2 3\n" * 200,
    "weights/labels.txt": "cat\ndog\n",
}

APP = "//:app"
CODE, MODEL, SMALL_MODEL = "code code", "model m", "model m: small files"


def wheel(name: str, version: str, requires: Sequence[str] = (), *, extra: bytes = b"") -> tuple[str, bytes]:
    """(file name, bytes) of a wheel with one module, a console script and RECORD."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {item}\n" for item in requires)
    content = {
        f"{name}/__init__.py": f"version = {version!r}\n".encode(),
        f"{name}/data.bin": extra or b"data " * 100,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
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
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


WHEELS = (
    ("numlib", "1.0", ()),
    ("numlib", "2.0", ()),
    ("extra", "1.0", ()),
    ("pip", "25.0", ()),
    ("setuptools", "80.0", ()),
    ("needy", "1.0", ("numlib>=2",)),
    ("tinyserver", "1.0", ("extra",)),
    ("azureml_inference_server_http", "1.5.0", ("extra",)),
)


def make_wheels(folder: Path) -> Path:
    """Put the wheels above into `folder`."""
    folder.mkdir(parents=True)
    for name, version, requires in WHEELS:
        filename, data = wheel(name, version, requires)
        (folder / filename).write_bytes(data)
    return folder


@functools.cache
def _interpreters() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="interpreters-")


def new_uv_cache(folder: Path) -> str:
    """A cache for uv that is empty, but for what uv was told by interpreters: it would start each again, in every test
    that locks. Under another name that a later uv gives it, that is not shared, and nothing else changes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "interpreter-v5").symlink_to(_interpreters().name)
    return str(folder)


def make_base(
    folder: Path,
    python: str = "3.11.2",
    *,
    files: Mapping[str, bytes] | None = None,
    mode: int = 0o644,
    platforms: Sequence[str] = ("linux/amd64",),
    variables: Mapping[str, str] | None = None,
) -> None:
    """Write a layout with one image, that says it has Python inside; an index of them for several platforms."""
    shelf = Shelf()
    small = shelf.layer(dict(files or {"etc/os-release": b"ID=tiny\n"}), "small", packed=True, mode=mode)
    environment = {"PATH": "/usr/local/bin:/bin", **({"PYTHON_VERSION": python} if python else {}), **(variables or {})}
    config = ImageConfig(environment=environment, cmd=("python3",))
    images = [build_image([small], config, platform) for platform in platforms]
    pairs = [(platform, manifest_descriptor(image.manifest)) for platform, image in zip(platforms, images, strict=True)]
    content = images[0] if len(images) == 1 else build_index(pairs, images)
    write_layout(str(folder), content, shelf.stream, names=["base:latest"])


@dataclass
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str

    def said(self, *texts: str) -> "Result":
        """Fail unless all of these stand in the output or the errors."""
        for text in texts:
            assert text in self.out + self.err, f"{text!r} is missing in:\n{self.out}{self.err}"
        return self


class Report:
    """What `build --json` gave."""

    def __init__(self, data: dict[str, Any], err: str = "") -> None:
        self.data = data
        self.err = err
        self.targets = {target["label"]: target for target in data["targets"]}

    @property
    def digest(self) -> str:
        """The image of //:app."""
        return str(self.targets[APP]["digest"])

    @property
    def digests(self) -> dict[str, str | None]:
        """The digest of every target; for those that are no image the digests of their layers."""
        return {
            label: target["digest"] or " ".join(layer["digest"] for layer in target["layers"])
            for label, target in self.targets.items()
        }

    @property
    def executed(self) -> int:
        return int(self.data["actions"]["executed"])

    @property
    def built(self) -> set[str]:
        """Origins of the layers that were made now."""
        return {
            layer["origin"]
            for target in self.data["targets"]
            for layer in target["layers"]
            if layer["status"] == "built"
        }

    def layer(self, origin: str, label: str = APP) -> dict[str, Any]:
        """The one layer of this origin."""
        (found,) = [layer for layer in self.targets[label]["layers"] if layer["origin"] == origin]
        return dict(found)


class Space:
    """One workspace (`root`), one store, and the environment that commands are run in."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.name = "acme"
        self.folder = folder
        self.root = folder / "ws"
        self.store = folder / "store"
        self.wheels = wheels
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "BUILDRULES_CACHE_DIR": str(self.store),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_FIND_LINKS": str(wheels),
            "UV_CONFIG_FILE": str(folder / "uv.toml"),
            "UV_CACHE_DIR": new_uv_cache(folder / "uv"),
        }
        for name in ("DOCKER_HOST", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        (folder / "home").mkdir(parents=True, exist_ok=True)
        (folder / "uv.toml").write_text("no-index = true\n")

    def populate(self, files: Mapping[str, str] = FILES, *, base: bool = True) -> "Space":
        """Write the usual workspace."""
        for path, text in files.items():
            self.write(path, text)
        if base:
            make_base(self.root / "base")
        return self

    def path(self, path: str) -> Path:
        return self.root / path

    def write(self, path: str, content: str | bytes, mode: int | None = None) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            target.chmod(mode)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        text = self.path(path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        with open(self.path(path), "a") as file:
            file.write(text)

    def rename_over(self, path: str, content: str) -> None:
        """Save as many editors do: a new file, renamed over the old one."""
        aside = self.path(path + ".tmp~")
        aside.write_text(content)
        os.replace(aside, self.path(path))

    def remove(self, path: str) -> None:
        self.path(path).unlink()

    @contextlib.contextmanager
    def inside(self, cwd: str, env: Mapping[str, str]) -> Iterator[None]:
        before, here = dict(os.environ), os.getcwd()
        os.environ.clear()
        os.environ.update({**self.env, **env})
        os.chdir(self.root / cwd)
        argv = sys.argv
        try:
            yield
        finally:
            sys.argv = argv
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)

    def run(self, *args: str, code: int | None = 0, cwd: str = ".", env: Mapping[str, str] | None = None) -> Result:
        """Run a command in this process, which is faster; `code` is the exit code it must have (None: any)."""
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with self.inside(cwd, env or {}), streams[0], streams[1], pure_plans():
            sys.argv = ["buildrules", *args]
            try:
                got = main()
            except SystemExit as error:
                got = error.code if isinstance(error.code, int) else 1
        result = Result(got, out.getvalue(), err.getvalue())
        assert code is None or got == code, f"exit code {got}, not {code}:\n{result.out}{result.err}"
        return result

    def start(
        self, *args: str, cwd: str = ".", env: Mapping[str, str] | None = None, prefix: Sequence[str] = (), **more: Any
    ) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "buildrules", *args],
            cwd=self.root / cwd,
            env={**self.env, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def process(self, *args: str, code: int | None = 0, **more: Any) -> Result:
        """Run a command in a process of its own."""
        process = self.start(*args, **more)
        out, err = process.communicate(timeout=120)
        assert code is None or process.returncode == code, f"exit code {process.returncode}, not {code}:\n{out}{err}"
        return Result(process.returncode, out, err)

    def build(self, *patterns: str, options: Sequence[str] = (), **more: Any) -> Report:
        """`build --json`, in this process."""
        result = self.run("build", *(patterns or (APP,)), "--json", *options, **more)
        return Report(json.loads(result.out), result.err)

    def settle(self, *args: str, cwd: str = ".") -> None:
        """Build with the clock ahead, so that all is trusted: what was written in the two seconds before it is hashed
        is not. What is written from now on is as new as ever.
        """
        real = time.time_ns
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: real() + 2_050_000_000)
            self.run(*(args or ("build", APP)), cwd=cwd)

    def clean_run(self, *args: str, code: int | None = 0) -> Result:
        """Run a command with an empty store, which goes with the folder."""
        return self.run(*args, code=code, env={"BUILDRULES_CACHE_DIR": f"{self.folder}/fresh-{os.urandom(4).hex()}"})

    def clean_build(self, *patterns: str, options: Sequence[str] = ()) -> Report:
        """The same workspace built with an empty store."""
        result = self.clean_run("build", *(patterns or (APP,)), "--json", *options)
        return Report(json.loads(result.out), result.err)

    def blobs(self) -> dict[str, Path]:
        """The files of the store by digest."""
        return {f"sha256:{path.name}": path for path in (self.store / "blobs").rglob("*") if path.is_file()}

    def config(self, digest: str) -> dict[str, Any]:
        """The `config` object of an image in the store."""
        manifest = json.loads(self.blobs()[digest].read_bytes())
        document = json.loads(self.blobs()[manifest["config"]["digest"]].read_bytes())
        return dict(document["config"])

    def states(self) -> list[Path]:
        """The states of workspaces, and their journals."""
        return [path for path in (self.store / "workspaces").rglob("*") if path.suffix in (".state", ".journal")]

    def sound(self) -> None:
        """Fail where a blob of the store is not what its name says, or something half-written lies at its place."""
        for digest, path in self.blobs().items():
            assert digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()

    def tree(self) -> dict[str, bytes]:
        """Every file of the workspace."""
        return {str(p.relative_to(self.root)): p.read_bytes() for p in sorted(self.root.rglob("*")) if p.is_file()}
