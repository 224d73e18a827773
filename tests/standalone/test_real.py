"""Interpreters of this machine, in the form of python-build-standalone's: served, locked, laid, booted, asked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Real
from tests.support.real_python import Here, archive_of, pythons, suite
from tests.support.web import Web

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("standalone")]

ASKED = """\
import http.server, json, os, platform, ssl, subprocess, sys, sysconfig
import bz2, ctypes, decimal, hashlib, lzma, readline, sqlite3, uuid, zlib
import greenlet  # of C++: it needs libstdc++, which is outside of it

zone = __import__("zoneinfo").ZoneInfo if sys.version_info >= (3, 9) else str


class Answer(http.server.BaseHTTPRequestHandler):
    def found(self):
        plain = subprocess.run(["/opt/python/bin/python3", "-c", "import sys; print(sys.prefix)"], capture_output=True)
        return {
            "python": platform.python_version(),
            "prefix": [sys.prefix, sys.base_prefix, plain.stdout.decode().strip()],
            "sysconfig": [sysconfig.get_config_var("exec_prefix"), sysconfig.get_paths()["purelib"]],
            "greenlet": greenlet.greenlet(lambda: 42).switch(),
            "certificates": len(ssl.create_default_context().get_ca_certs()) > 50,
            "zone": str(zone("Europe/Oslo")),
            "table": sqlite3.connect(":memory:").execute("select 1").fetchone(),
            "managed": os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
        }

    def do_GET(self):
        body = json.dumps(self.found() if self.path == "/asked" else None).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.HTTPServer(("", 8080), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[tuple[Real, Web]]:
    web = Web()
    space = Real(tmp_path_factory.mktemp("standalone"), real_store)
    space.write("src/serve.py", ASKED)
    yield space, web
    web.close()


@pytest.mark.parametrize("here", pythons(), ids=lambda one: one.minor)
def test_a_python_of_this_machine_answers_from_its_image(
    here: Here, space: tuple[Real, Web], run_directory: Path
) -> None:
    real, web = space
    file = archive_of(here, run_directory / "pythons")
    web.files["/" + quote(file.name)] = file.read_bytes()
    web.files["/SHA256SUMS"] = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n".encode()
    real.workspace(
        f"""\
  py: {{rule: python_standalone, version: "{here.minor}"}}
  env: {{rule: python_env, base: ":py", requirements: [greenlet]}}
  code: {{rule: scoring_code, srcs: ["src/**"]}}
  server:
    rule: custom_server
    entrypoint: [python, /app/serve.py]
    ports: [8080]
    routes: {{readiness: 8080/}}
  app: {{rule: model_package, base_env: ":env", server: ":server", code: ":code"}}
""",
        f"debian: {{suite: {suite()}}}",
        mirror=web.url,
    )
    engine = running_engine()
    with tidy(engine, real.name):
        real.run("lock")
        with real.start(engine, "//:app") as server:
            found = server.wait().ask("GET", "/asked").json
    assert found["sysconfig"].pop(0) in ("/opt/python", "/opt/venv"), "where it was built"  # by version
    assert found == {
        "python": here.python,
        "prefix": ["/opt/venv", "/opt/python", "/opt/python"],
        "sysconfig": [f"/opt/venv/lib/python{here.minor}/site-packages"],
        "greenlet": 42,
        "certificates": True,
        "zone": "Europe/Oslo",
        "table": [1],
        "managed": True,
    }
