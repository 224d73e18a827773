"""A mirror that wants a password, which a connection has."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from buildrules.errors import CredentialsError, FetchError
from tests.oci.registry.servers import Answer, Seen, Web, web

PASSWORD = "canary-mirror-51"


@pytest.fixture
def private(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The lab's archive behind a password; the settings and a connection name it."""
    lab.base()
    lab.publish()
    wanted = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()

    def answer(request: Seen) -> Answer:
        if request.headers.get("authorization") != wanted:
            return 401, {"WWW-Authenticate": 'Basic realm="mirror"'}, b""
        path = lab.mirror.root / request.path.lstrip("/")
        return (200, {}, path.read_bytes()) if path.is_file() else (404, {}, b"")

    monkeypatch.setenv("MIRROR_PASSWORD", PASSWORD)
    parts = {"username": "reader", "password": {"env": "MIRROR_PASSWORD"}}
    with web(answer) as server:
        url = f"http://{server.host}"
        lab.settings |= {"mirror": f"{url}/debian", "security_mirror": f"{url}/debian-security"}
        row = {"name": "mirror", "type": "debian_mirror", "target": url, "kind": "username_password", "parts": parts}
        lab.context.session.connect([row], ".")
        yield server


def test_packages_of_a_private_mirror(lab: Any, private: Web) -> None:
    lock = lab.lock()
    assert lab.build(lock).layers
    assert lab.mirror.requests == []
    assert private.asked("GET", ".deb")


def test_a_refusal_names_the_connection(lab: Any, private: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lab.lock()
    monkeypatch.setenv("MIRROR_PASSWORD", "wrong-one")
    for act in (lab.lock, lambda: lab.build(lock)):
        with pytest.raises(FetchError, match="connection 'mirror' was refused") as caught:
            act()
        assert "'MIRROR_PASSWORD'" in str(caught.value.hint)
    monkeypatch.delenv("MIRROR_PASSWORD")
    with pytest.raises(CredentialsError, match="'MIRROR_PASSWORD' is not set"):
        lab.lock()
