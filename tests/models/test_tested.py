"""`buildrules test` on a package whose model is fetched when it starts, with a credential that only the tester has."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canary import Canary
from tests.support.hub import Hub
from tests.support.real import Real
from tests.support.web import Web

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("servers")]

SHOW = "import os; print(os.environ)"
TARGETS = """\
  m: {{rule: model, uri: "{url}/acme/answer.txt", digest: "sha256:{digest}"}}
  server:
    rule: custom_server
    entrypoint: [/usr/bin/python3.11, -m, http.server, "8080", --directory, /models]
    stop_signal: SIGINT
    ports: [8080]
    routes: {{readiness: 8080/answer.txt, scoring: 8080/answer.txt}}
  late: {{rule: model_package, model: ":m", base_env: "//bases:python311", server: ":server", mode: download}}
  late_test: {{rule: package_test, package: ":late", requests: [{{method: GET, expect: {{text: "forty-two"}}}}]}}
"""
CONNECTIONS = """\
connections:
    store: {{type: custom, target: "{url}/acme", plain_http: true, credentials: {{key: {{env: STORE_KEY}}}}}}"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: each looks for a credential of its own in it."""
    return tmp_path_factory.mktemp("tested") / "store"


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


def test_the_credential_is_passed_on_and_kept_nowhere(tmp_path: Path, store: Path, web: Web) -> None:
    canary = Canary(plain=True)
    web.files["/acme/answer.txt"] = b"forty-two"
    web.wanted = f"Bearer {canary.text}"
    space = Real(tmp_path / "ws", store)
    digest = hashlib.sha256(b"forty-two").hexdigest()
    space.workspace(TARGETS.format(url=web.url, digest=digest), CONNECTIONS.format(url=web.url))
    space.env["STORE_KEY"] = canary.text
    out = space.run("test", "//:late", "--runner", "rootfs", "--json").stdout
    assert '"status": "passed"' in out
    # what a package says of its own surroundings is shown without it
    space.workspace(
        TARGETS.format(url=web.url, digest=digest).replace(
            '[/usr/bin/python3.11, -m, http.server, "8080", --directory, /models]',
            f'[/usr/bin/python3.11, -c, "{SHOW}"]',
        ),
        CONNECTIONS.format(url=web.url),
    )
    done = space.run("test", "//:late", "--runner", "rootfs", code=1)
    assert "exited" in done.stdout
    assert "'STORE_KEY': '***'" in done.stdout
    assert canary.found(space.root, store) == []
    assert not canary.inside((out + done.stdout + done.stderr).encode())
    del space.env["STORE_KEY"]
    done = space.run("test", "//:late", "--runner", "rootfs", code=1)
    assert "the environment variable 'STORE_KEY' is not set" in done.stdout + done.stderr


def test_the_token_of_the_hub_s_own_client_is_passed_on_and_kept_nowhere(tmp_path: Path, store: Path, hub: Hub) -> None:
    """What the model's server says, which starts only once the model has been fetched."""
    canary = Canary(plain=True)
    hub.wanted = f"Bearer {canary.text}"
    hub.commit("acme/answers", {"answer.txt": b"forty-two"}, private=True)
    space = Real(tmp_path / "ws", store)
    space.env |= {"HF_TOKEN": canary.text, "HF_ENDPOINT": hub.url}
    said = f'uri: "{hub.url}/acme/answer.txt", digest: "sha256:"'
    targets = TARGETS.format(url=hub.url, digest="").replace(said, "hub: acme/answers")
    space.workspace(targets.replace('-m, http.server, "8080", --directory, /models]', f'-c, "{SHOW}"]'))
    done = space.run("test", "//:late", "--runner", "rootfs", code=1)
    assert "exited" in done.stdout and "'HF_TOKEN': '***'" in done.stdout
    assert not canary.inside((done.stdout + done.stderr).encode())
    assert canary.found(space.root, store) == []
