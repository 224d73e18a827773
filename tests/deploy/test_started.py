"""What is written works: compose starts it and it answers; Azure ML's deployment is read back to the same package."""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.docker_http import Engine
from tests.oci.registry.servers import free_port, registry
from tests.support.real import Real
from tests.support.space import APP, Space

APPLICATION = """\
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"ready" if self.path == "/health" else b"", 200 if self.path == "/health" else 404)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])

    def answer(self, body, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""
TARGETS = """\
  env: {{rule: python_env, base: "//bases:python311", requirements: []}}
  code: {{rule: scoring_code, srcs: [app.py], entry_script: app.py}}
  server:
    rule: custom_server
    entrypoint: [python3, /app/app.py, "{port}"]
    ports: [{port}]
    routes: {{liveness: {port}/health, readiness: {port}/health, scoring: {port}/score}}
  app:
    rule: model_package
    base_env: ":env"
    server: ":server"
    code: ":code"
    user: "4321:4321"
    resources: {{cpu: 0.5, memory: 256Mi}}
"""
SAME = ("routes", "ports", "entrypoint", "cmd", "working_dir", "user", "environment")


def compose(*words: str, env: dict[str, str] | None = None, code: int = 0) -> str:
    """Run docker-compose, Debian's, of whichever version; what it said."""
    if shutil.which("docker-compose") is None:
        assert not os.environ.get("CI"), "CI installs docker-compose"
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        ["docker-compose", *words], env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


class Pushed:
    """A package in a registry at `place`, listening on `port`."""

    def __init__(self, real: Real, host: str) -> None:
        self.real, self.port = real, free_port()
        self.place = f"{host}/team/{real.name}"
        real.write("app.py", APPLICATION)
        real.workspace(TARGETS.format(port=self.port))
        real.run("push", "//:app", "--to", self.place)

    def files(self, platform: str) -> Path:
        self.real.run("deploy-files", "//:app", "--for", platform, "--to", self.place, "-o", platform)
        return self.real.root / platform

    def show(self, label: str) -> dict[str, Any]:
        return dict(json.loads(self.real.run("show", label, "--json").stdout))


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[Pushed]:
    folder = tmp_path_factory.mktemp("deployed")
    with registry(folder / "registry") as host:
        yield Pushed(Real(folder / "workspace", real_store), host)


def answer(port: int) -> str:
    """What the package answers, once its port is open."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            return str(urllib.request.urlopen(f"http://127.0.0.1:{port}/score", b"abc", timeout=10).read().decode())
        assert time.monotonic() < end, "it does not answer"
        time.sleep(0.1)


@pytest.mark.docker
@pytest.mark.network
@pytest.mark.xdist_group("servers")
def test_compose_starts_it(pushed: Pushed, engine: Engine) -> None:
    file = str(pushed.files("compose") / "compose.yaml")
    project = ("-p", pushed.real.name, "-f", file)
    try:
        compose(*project, "up", "-d")
        assert answer(pushed.port) == "cba"
        (one,) = [row for row in engine.call("GET", "/containers/json") if row["Image"].startswith(pushed.place)]
        found = engine.call("GET", f"/containers/{one['Id']}/json")
        assert found["HostConfig"]["Memory"] == 256 << 20 and found["HostConfig"]["NanoCpus"] == 500_000_000
        assert [port["HostIp"] for port in found["NetworkSettings"]["Ports"][f"{pushed.port}/tcp"]] == ["127.0.0.1"]
        kind, *check = found["Config"]["Healthcheck"]["Test"]  # what the engine would run, without waiting for its turn
        assert kind == "CMD"
        for words, code in ((check, 0), ([*check[:-1], check[-1].replace("/health", "/none")], 1)):
            done = subprocess.run(["docker", "exec", one["Id"], *words], capture_output=True, check=False)
            assert done.returncode == code, done.stderr
    finally:
        compose(*project, "down", "--rmi", "all", "-t", "1")


@pytest.mark.network
@pytest.mark.xdist_group("servers")
def test_azure_ml_s_deployment_is_the_same_package(pushed: Pushed, tmp_path: Path) -> None:
    again = Real(tmp_path, Path(pushed.real.env["BUILDRULES_CACHE_DIR"]))
    shutil.copy(pushed.files("azureml") / "app-deployment.yml", tmp_path)
    again.run("import", "azureml", "app-deployment.yml")
    first, second = pushed.show("//:app"), json.loads(again.run("show", "//:app", "--json").stdout)
    assert [layer["digest"] for layer in first["layers"]] == [layer["digest"] for layer in second["layers"]]
    assert {name: first[name] for name in SAME} == {name: second[name] for name in SAME}
    words = ("--package", "app-deployment.yml", "--python", "3.11", "--to", pushed.place)
    said = again.run("deploy-files", "--for", "kubernetes", *words).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("next: buildrules push ")]
    assert sorted(line.split()[3:]) == sorted(words)
    again.run(*line.split()[2:], "--dry-run")


def test_compose_refuses_to_start_without_a_credential(built: Space) -> None:
    connection = '{type: custom, target: "https://files.example/m", credentials: {pat: {env: FILES_TOKEN}}}'
    built.edit("BUILD.yaml", "targets:\n", f"  connections: {{files: {connection}}}\ntargets:\n")
    built.edit("BUILD.yaml", "path: weights}", "path: weights, download_uri: 'https://files.example/m/weights'}")
    built.append("BUILD.yaml", "    mode: download\n    resources: {gpu: 1}\n")
    built.run("deploy-files", APP, "--for", "compose", "--to", "hub.example/app")
    file = str(built.path("deploy/compose.yaml"))
    assert "fetched with" in compose("-f", file, "config", code=1)
    said = compose("-f", file, "config", env={"FILES_TOKEN": "x", "BIND": "0.0.0.0"})
    assert "FILES_TOKEN: x" in said and "driver: nvidia" in said
