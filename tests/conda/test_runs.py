"""A package on a conda environment, started and asked: a real Python, a compiled module, and a wheel on top."""

import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.conda import MINOR, PLACEHOLDER, Channel, is_libc, libc_files, libraries_of, real_python
from tests.support.dockerlab import tidy
from tests.support.space import Space, make_base

SERVE = """\
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from importlib.util import MAGIC_NUMBER

import needy, numlib.core, pure, yaml
from yaml._yaml import get_version_string

assert get_version_string()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        said = subprocess.run(["pure"], capture_output=True, text=True).stdout.strip()
        where = open("/opt/conda/etc/where").read()
        parsed = yaml.load("a: [1, 2]", yaml.CSafeLoader)
        found = {"prefix": sys.prefix, "parsed": parsed, "said": said, "where": where, "needy": needy.version}
        found["bytecode"] = open(needy.__cached__, "rb").read(8) == MAGIC_NUMBER + b"\\1\\0\\0\\0"
        self.answer({**found, "asked": json.loads(asked)})

    def answer(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
SERVER = """\
rule: plain
provides: server
summary: A server of this workspace's own.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/app}
image:
  environment: {LD_LIBRARY_PATH: /opt/conda/lib, MARK: here}
  entrypoint: [python, /srv/app/serve.py]
  ports: [8080]
routes: {liveness: 8080/, readiness: 8080/, scoring: 8080/score}
"""
PACKAGE = """\
  code: {rule: scoring_code, srcs: ["src/**"]}
  m: {rule: model, path: weights}
  server: {rule: //rules:plain}
  app: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":code"}
  app_test:
    rule: package_test
    package: :app
    requests:
      - name: golden
        json: {a: 1}
        expect:
          json:
            prefix: /opt/conda
            parsed: {a: [1, 2]}
            said: pure
            where: /opt/conda/share
            needy: "1.0"
            bytecode: true
            asked: {a: 1}
"""


def compiled() -> dict[str, bytes]:
    """PyYAML as installed here, whose parser is compiled, as files of a conda package, with what it links to."""
    spec = importlib.util.find_spec("yaml")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    files = {
        f"lib/python{MINOR}/site-packages/yaml/{path.name}": path.read_bytes()
        for path in folder.iterdir()
        if path.suffix in (".py", ".so")
    }
    libraries = libraries_of(*folder.glob("*.so"))
    return files | {f"lib/{path.name}": path.read_bytes() for path in libraries if not is_libc(path)}


@pytest.fixture(scope="module")
def python() -> dict[str, bytes]:
    return real_python()


@pytest.fixture
def running(conda: Callable[..., Space], python: dict[str, bytes]) -> Space:
    space = conda(python=python)
    space.name = f"buildrules-test-{os.urandom(4).hex()}"
    space.edit("BUILD.yaml", "name: acme", f"name: {space.name}")
    space.write("rules/plain.yaml", SERVER.replace("here", space.name))
    space.append("BUILD.yaml", PACKAGE)
    space.write("src/serve.py", SERVE)
    space.write("weights/w.txt", "1\n")
    channel = Channel(space.root / "channel", keep=True)
    channel.add("pyyaml", "6.0", {**compiled(), "etc/where": f"{PLACEHOLDER}/share".encode()}, depends=["python"])
    space.edit("environment.yml", "  - pure\n", "  - pure\n  - pyyaml\n")
    return space


@pytest.fixture(params=["rootfs", pytest.param("docker", marks=pytest.mark.docker)])
def runner(request: pytest.FixtureRequest, running: Space) -> Iterator[str]:
    if request.param == "docker":
        with tidy(request.getfixturevalue("engine"), running.name):
            yield "docker"
    else:
        yield request.param


def test_bytecode_of_wheels_is_the_same_for_another_platform(running: Space, python: dict[str, bytes]) -> None:
    running.write("environment.yml", f"channels: [./channel]\ndependencies: [python={MINOR}, {{pip: [tinyserver]}}]\n")
    running.edit("BUILD.yaml", "targets:", "  platforms: [linux/arm64]\ntargets:")
    Channel(running.root / "channel", keep=True).add(
        "python", f"{MINOR}.4", {f"bin/python{MINOR}": b"\x7fELF\0of another machine"}, subdir="linux-aarch64"
    )
    platforms = ("linux/amd64", "linux/arm64")
    make_base(running.root / "base", python="", files=libc_files(), mode=0o755, platforms=platforms)

    def bytecode(*options: str) -> list[str]:
        layers = running.build("//:env", options=options).targets["//:env"]["layers"]
        return [layer["digest"] for layer in layers if layer["origin"].endswith(": bytecode")]

    there = bytecode()
    assert len(there) == 1 and there == bytecode("--platform", "linux/amd64")
    Channel(running.root / "channel", keep=True).add("python", f"{MINOR}.5", subdir="linux-aarch64")
    running.run("lock", "--upgrade-package", "python")
    running.run("build", "//:env").said(f"its Python is {MINOR}.5, and that of linux/amd64 {MINOR}.4")
    running.edit("BUILD.yaml", "environment.yml}", "environment.yml, bytecode: false}")
    assert "bytecode" not in running.run("build", "//:env").err


@pytest.mark.xdist_group("docker")
def test_it_answers(running: Space, runner: str) -> None:
    said = running.run("test", "//:app", "//:app_test", "--runner", runner)
    said.said("1 request in ", f"({runner})", "1 passed in")
    assert "missing_modules" not in said.err and not re.search(r"warning: .*import", said.err)
    config = running.config(running.build("//:app").digests["//:app"] or "")
    environment = dict(item.split("=", 1) for item in config["Env"])
    assert environment["CONDA_PREFIX"] == "/opt/conda" and environment["PATH"].startswith("/opt/conda/bin:")
    assert "VIRTUAL_ENV" not in environment
