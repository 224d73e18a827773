"""One model target, copied and downloaded: both images answer with the real Azure ML server in Docker."""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.test_artifacts import Repository
from tests.oci.registry.servers import registry
from tests.support.dockerlab import running_engine, tidy
from tests.support.real import Real

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

SCORE = """
import json, os

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights", "factor.json")) as file:
        factor = json.load(file)

def run(raw_data):
    return [factor * value for value in json.loads(raw_data)["data"]]
"""

TARGETS = """\
  m: {{rule: model, uri: "oci://{host}/team/model:v1"}}
  code: {{rule: scoring_code, srcs: [score.py], entry_script: score.py}}
  server: {{rule: azureml_online, port: {port}}}
  env: {{rule: python_env, base: "//bases:python311", requirements: []}}
  copied: {{rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":code"}}
  late: {{rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":code", mode: download}}
"""

ASK = """
import json, urllib.request
request = urllib.request.Request("http://127.0.0.1:{port}/score", json.dumps({{"data": [1, 2]}}).encode())
request.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""


class Packages:
    """Both packages, loaded, and the registry their model is in."""

    def __init__(self, real: Real, host: str, port: int) -> None:
        self.host, self.port = host, port
        Repository(host).push_files("v1", {"weights/factor.json": b"21", "weights/more.bin": os.urandom(200_000)})
        real.write("score.py", SCORE)
        real.workspace(TARGETS.format(host=host, port=port))
        self.copied, self.late = real.load("//:copied"), real.load("//:late")

    @contextlib.contextmanager
    def running(self, image: str, *options: str) -> Iterator[str]:
        done = docker("run", "-d", *options, image)
        try:
            yield done.strip()
        finally:
            docker("rm", "-f", "-v", done.strip())

    def answer(self, container: str) -> str:
        """What the server in the container answers, asked from within, so that no network is needed."""
        end = time.monotonic() + 90
        while True:
            said = subprocess.run(
                ["docker", "exec", container, "/usr/bin/python3.11", "-c", ASK.format(port=self.port)],
                capture_output=True,
                text=True,
                check=False,
            )
            if said.returncode == 0:
                return said.stdout.strip()
            running = docker("inspect", "-f", "{{.State.Running}}", container).strip()
            assert running == "true" and time.monotonic() < end, logs(container) + said.stderr
            time.sleep(0.3)


def docker(*args: str) -> str:
    done = subprocess.run(["docker", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def logs(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Iterator[Packages]:
    engine = running_engine()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("download")
    real = Real(folder / "ws", real_store)
    with tidy(engine, real.name), registry(folder / "registry") as host:
        yield Packages(real, host, port)


def test_a_copied_model_answers_without_a_network(packages: Packages) -> None:
    with packages.running(packages.copied, "--network", "none") as container:
        assert json.loads(packages.answer(container)) == [21, 42]


def test_a_downloaded_model_answers_for_any_user(packages: Packages) -> None:
    with packages.running(packages.late, "--network", "host", "--user", "65532:65532") as container:
        assert json.loads(packages.answer(container)) == [21, 42]
        assert "fetching 2 files" in logs(container)
        docker("restart", "-t", "3", container)
        assert json.loads(packages.answer(container)) == [21, 42]
        assert "already there" in logs(container)


def test_a_volume_that_has_the_model_needs_no_network(packages: Packages, tmp_path: Path) -> None:
    name = f"buildrules-test-{os.urandom(4).hex()}"
    place = "/var/azureml-app/azureml-models/m/1"
    docker("volume", "create", name)
    try:
        fill = ["--network", "host", "-v", f"{name}:{place}", "--entrypoint", "/usr/bin/python3.11", packages.late]
        docker("run", "--rm", *fill, "-ISB", "/opt/buildrules")
        with packages.running(packages.late, "--network", "none", "-v", f"{name}:{place}:ro") as container:
            assert json.loads(packages.answer(container)) == [21, 42]
    finally:
        docker("volume", "rm", "-f", name)


def test_a_start_that_cannot_fetch_says_so_and_ends(packages: Packages) -> None:
    options = ["--network", "none", "-e", "BUILDRULES_FETCH_TRIES=2"]
    with packages.running(packages.late, *options) as container:
        assert docker("wait", container).strip() == "1"
        told = logs(container)
        assert "model 'm', file 'factor.json'" in told or "model 'm', file 'more.bin'" in told
        assert f"from oci://{packages.host}/team/model" in told
        assert "cannot be reached" in told


def test_a_fetching_container_stops_at_once(packages: Packages) -> None:
    options = ["--network", "none", "-e", "BUILDRULES_FETCH_TRIES=50"]
    with packages.running(packages.late, *options) as container:
        end = time.monotonic() + 20
        while "fetching 2 files" not in logs(container):
            assert time.monotonic() < end
            time.sleep(0.1)
        docker("stop", "-t", "30", container)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", container).strip() == "143"


def test_no_model_is_in_the_image_that_downloads(packages: Packages) -> None:
    history = docker("image", "inspect", "-f", "{{json .Config}}", packages.late)
    assert json.loads(history)["Entrypoint"][:4] == ["/usr/bin/python3.11", "-ISB", "/opt/buildrules", "--"]
    with packages.running(packages.late, "--network", "none", "-e", "BUILDRULES_FETCH_TRIES=50") as container:
        look = "import os; print(os.listdir('/var/azureml-app/azureml-models/m/1/weights'))"
        listing = docker("exec", container, "/usr/bin/python3.11", "-c", look)
        assert "factor.json" not in listing and "more.bin" not in listing
