"""What a request of the web client carries, hop by hop."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from buildrules.credentials.connections import SECRETS, Connections
from buildrules.errors import CredentialsError
from buildrules.net.client import Client
from buildrules.net.session import Session
from tests.oci.registry.servers import Answer, Seen, Web, web
from tests.support.local import Local, Plain

SECRET = "canary-request"


def answer(request: Seen) -> Answer:
    if "/to/" in request.path:
        return 302, {"Location": request.path.split("/to/", 1)[1].partition("?")[0].replace("!", "/")}, b""
    return 200, {}, b"content"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("NETRC", "/dev/null")
    with web(answer) as running:
        yield running


def connect(server: Web, kind: str, **parts: object) -> Client:
    parts = {SECRETS[kind]: {"env": "TOKEN"}, **parts}
    target = f"http://{server.host}/store"
    row = {"name": "c", "type": "http", "target": target, "kind": kind, "parts": parts}
    return Client(Connections([row]))


def ask(client: Client, server: Web, path: str) -> Seen:
    """The last request that `get` made."""
    client.get(f"http://{server.host}{path}").close()
    return server.seen[-1]


def test_a_login_goes_to_the_address_and_below(server: Web) -> None:
    client = connect(server, "api_key")
    assert ask(client, server, "/store/a").headers["authorization"] == f"Bearer {SECRET}"
    assert "authorization" not in ask(client, server, "/stores/a").headers
    assert "authorization" not in ask(client, server, "/").headers


def test_a_redirect_leaves_the_login_behind(server: Web) -> None:
    client = connect(server, "api_key")
    assert ask(client, server, "/store/to/!store!b").headers["authorization"] == f"Bearer {SECRET}"
    assert "authorization" not in ask(client, server, "/store/to/!elsewhere").headers
    port = server.host.partition(":")[2]
    last = ask(client, server, f"/store/to/http:!!localhost:{port}!store!b")
    assert (last.path, "authorization" in last.headers) == ("/store/b", False)


def test_nobody_is_sent_into_the_arms_of_a_connection(server: Web) -> None:
    """Another server's redirect does not make us spend a credential."""
    client = connect(server, "api_key")
    port = server.host.partition(":")[2]
    client.get(f"http://localhost:{port}/to/http:!!127.0.0.1:{port}!store!b").close()
    assert server.seen[-1].path == "/store/b"
    assert "authorization" not in server.seen[-1].headers


def test_a_signature_goes_into_the_query(server: Web) -> None:
    client = connect(server, "sas")
    assert ask(client, server, "/store/a").path == f"/store/a?{SECRET}"
    assert ask(client, server, "/store/a?x=y").path == f"/store/a?x=y&{SECRET}"
    assert SECRET not in ask(client, server, "/store/to/!elsewhere").path


def test_a_header_of_its_own(server: Web) -> None:
    client = connect(server, "api_key", header="X-Api-Key")
    request = ask(client, server, "/store/a")
    assert request.headers["x-api-key"] == SECRET
    assert "authorization" not in request.headers


def test_what_cannot_be_read_is_an_error_before_the_request(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(server, "api_key")
    monkeypatch.delenv("TOKEN")
    with pytest.raises(CredentialsError, match="'TOKEN' is not set"):
        ask(client, server, "/store/a")
    assert server.seen == []


def test_a_connection_serves_again() -> None:
    """Short answers that nobody reads, errors and redirects included, cost no connection each."""
    ports: set[int] = set()

    def answer(handler: Plain) -> None:
        ports.add(handler.client_address[1])
        handler.send({"/a": 200, "/b": 302, "/c": 404}[handler.path], b"short", Location="/a")

    client, other = Session().client, Session().client
    with Local(answer) as server, closing(client), closing(other):
        for path in "abcbca":
            client.get(f"{server.url}/{path}").close()
        assert len(ports) == 1
        other.get(f"{server.url}/a").close()
        assert len(ports) == 2, "another session has connections of its own"


def test_what_a_session_owns_is_its_own() -> None:
    one, other = Session(), Session()
    assert one.client is one.client is not other.client
    one.connect([{"name": "c", "type": "http", "target": "https://a.example"}], ".")
    assert [connection.name for connection in one.connections] == ["c"]
    assert list(other.connections) == []
