"""Workspaces of any size, the same for the same numbers: `python -m benchmarks.workspace DIR --packages 1000`.

Each package is 11 files in 4 directories: a BUILD.yaml with 3 targets (model, code, package), 2 model files and 8 code
files. They share a base (an OCI layout of one small file), a server, and one environment or as many as asked for. The
wheels lie beside the locks, so everything builds without network, index or engine. No file equals another.
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from benchmarks.common import SCRIPT, run

SEED = 7
PYTHON = "3.11.2"

ROOT_FILE = """\
workspace:
  name: generated
  platforms: [linux/amd64]
targets:
  base: {rule: oci_base, layout: base}
  server:
    rule: custom_server
    entrypoint: [tinyserver]
    ports: [8080]
    routes: {liveness: 8080/healthz, readiness: 8080/healthz, scoring: 8080/score}
    requirements: [tinyserver==1.0]
"""
PACKAGE_FILE = """\
targets:
  model: {{rule: model, path: model, name: {name}}}
  code: {{rule: scoring_code, srcs: ["src/**"], entry_script: score.py}}
  {name}:
    rule: model_package
    model: :model
    base_env: //:{environment}
    server: //:server
    code: :code
"""
CODE = (
    "score.py",
    "features.py",
    "schema.py",
    "config.json",
    "lib/__init__.py",
    "lib/io.py",
    "lib/text.py",
    "lib/x.py",
)


def name_of(number: int) -> str:
    """The directory and the package target of the package with this number: "p0001" is `//p0001`."""
    return f"p{number:04}"


def generate(root: Path, packages: int, environments: int = 1) -> None:
    """Write the workspace into `root`, which must not be there or be empty, and lock it. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise FileExistsError(f"{str(root)!r} is not empty")
    names = [f"env{number}" if number else "env" for number in range(environments)]
    text = ROOT_FILE
    wheels = [_wheel("tinyserver", "1.0"), _wheel("numlib", "1.0")]
    for number, name in enumerate(names):
        wheels.append(_wheel(f"side{number}", "1.0"))
        text += f"  {name}: {{rule: python_env, base: '//:base', requirements: [numlib==1.0, side{number}==1.0]}}\n"
    (root / "BUILD.yaml").write_text(text)
    for filename, data in wheels:
        (root / filename).write_bytes(data)
    _write_base(root / "base")
    first = min(environments, packages)
    for number in range(first):  # locks know pairs of environment and server, so these are enough to make all
        _write_package(root, number, names[number % environments])
    _lock(root)
    for number in range(first, packages):
        _write_package(root, number, names[number % environments])


def _write_package(root: Path, number: int, environment: str) -> None:
    name = name_of(number)
    noise = random.Random(SEED * 1_000_003 + number)
    folder = root / name
    (folder / "model").mkdir(parents=True)
    (folder / "src" / "lib").mkdir(parents=True)
    (folder / "BUILD.yaml").write_text(PACKAGE_FILE.format(name=name, environment=environment))
    (folder / "model" / "weights.bin").write_bytes(noise.randbytes(2000))
    (folder / "model" / "labels.txt").write_text(f"{noise.random()}\n" * 20)
    for file in CODE:
        lines = "".join(f"value_{line} = {noise.random()}\n" for line in range(noise.randint(5, 25)))
        text = json.dumps({"lines": lines.splitlines()}) if file.endswith(".json") else lines
        (folder / "src" / file).write_text(text)


def _wheel(name: str, version: str) -> tuple[str, bytes]:
    """(file name, content) of a wheel with one module and some data."""
    info = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": f"version = {version!r}\n\n\ndef main():\n    pass\n".encode(),
        f"{name}/data.bin": random.Random(name).randbytes(3000),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    rows = ""
    for path, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += f"{path},sha256={digest},{len(data)}\n"
    content[f"{info}/RECORD"] = f"{rows}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def _write_base(folder: Path) -> None:
    """An OCI image layout (image specification 1.1, image-layout.md) that says it has Python inside."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("os-release")
        entry.size = 8
        archive.addfile(entry, io.BytesIO(b"ID=tiny\n"))
    tar = buffer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/bin", f"PYTHON_VERSION={PYTHON}"], "Cmd": ["python3"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
    }
    layer = put(gzip.compress(tar, mtime=0), "layer.v1.tar+gzip")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    image = put(json.dumps(manifest).encode(), "manifest.v1+json")
    image["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _lock(root: Path) -> None:
    """Resolve from the wheels that lie in the workspace, and from nowhere else."""
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder:
        settings = Path(folder, "uv.toml")
        settings.write_text("no-index = true\n")
        environment = {
            **os.environ,
            "BUILDRULES_CACHE_DIR": f"{folder}/store",
            "UV_CACHE_DIR": f"{folder}/uv",
            "UV_CONFIG_FILE": str(settings),
            "UV_FIND_LINKS": str(root),
        }
        run([str(SCRIPT), "lock"], cwd=root, env=environment)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workspace", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write it")
    parser.add_argument("--packages", type=int, default=100)
    parser.add_argument("--environments", type=int, default=1)
    options = parser.parse_args()
    try:
        generate(options.folder, options.packages, options.environments)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"cannot make the workspace: {error}") from error


if __name__ == "__main__":
    main()
