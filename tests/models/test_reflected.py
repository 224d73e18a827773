"""Servers that repeat what they were sent, or lead elsewhere with it: credentials are shown nowhere and go nowhere."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from buildrules.credentials.redact import scrub_output
from buildrules.errors import FetchError
from buildrules.net.download import Download, fetch_all
from buildrules.net.session import Session
from buildrules.oci.auth import Credentials
from buildrules.start import http, secret
from buildrules.start.failure import Failure
from buildrules.start.sources import credential, locate
from buildrules.start.web import Web
from tests.models.conftest import APP, download, from_uri
from tests.models.test_fetched import connect
from tests.support.fetching import Context
from tests.support.raw import Request, head, raw, whole
from tests.support.space import Space

TOKEN = "canary-Token/with+signs=9f3"
DOWNLOAD = "    mode: download\n"
LEADS: dict[str, Callable[[str], str]] = {
    "loop": lambda sent: f"/loop/{quote(sent)}",
    "scheme": lambda sent: f"ftp://127.0.0.1/{quote(sent)}",
    "port": lambda sent: f"http://127.0.0.1:{quote(sent)}/",
    "host": lambda sent: f"http://{sent.split()[-1]}/",
    "hostname": lambda sent: f"http://x{''.join(filter(str.isalnum, sent))}.invalid/",
    "bracket": lambda sent: f"http://[{quote(sent)}/",
    "schemes": lambda sent: f"{''.join(filter(str.isalnum, sent))}://h/",
}


def reflecting(lead: str) -> Callable[[Request], bytes]:
    """A server that redirects to where the Authorization it was sent stands."""
    return lambda request: head(302, Location=LEADS[lead](request.headers.get("authorization", "nothing")))


def forms(*secrets: str) -> list[str]:
    """What must not be found, in lower case."""
    return [form.lower() for text in secrets for form in (text, quote(text), quote(text, safe=""))]


def silent(text: str, *secrets: str) -> None:
    """Fail where a secret stands in a text, in any encoding that the servers here use."""
    for form in forms(*secrets):
        assert form not in text.lower(), text


@pytest.mark.parametrize("lead", [name for name in LEADS if name not in ("hostname", "schemes")])
def test_a_token_at_start_is_not_in_the_log(workspace: Space, lead: str) -> None:
    with raw(lambda _: whole(b"weights")) as server:
        connect(workspace, server.url, "{type: api_key, key: {env: TOKEN}}")
        from_uri(workspace, f"{server.url}/m.bin", package=DOWNLOAD)
        workspace.run("build", APP, env={"TOKEN": TOKEN})
        start = download(workspace)
    place = start.place / "start.json"
    with raw(reflecting(lead)) as other:
        place.write_text(place.read_text().replace(server.url, other.url))
        told = start.run(code=1, env={"TOKEN": TOKEN, "BUILDRULES_FETCH_TRIES": "1"})
    assert "redirects" in told or "cannot be reached" in told
    silent(told, TOKEN, "canary")


def logs(space: Space) -> str:
    return "".join(path.read_text() for path in (space.store / "logs").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("lead", LEADS)
def test_a_password_of_netrc_is_in_no_error_and_no_log(workspace: Space, lead: str) -> None:
    pair = base64.b64encode(f"ali:{TOKEN}".encode()).decode()
    (workspace.folder / "home/.netrc").write_text(f"machine 127.0.0.1 login ali password {TOKEN}\n")
    with raw(reflecting(lead)) as server:
        from_uri(workspace, f"{server.url}/m.bin")
        told = workspace.run("build", APP, code=1, env={"BUILDRULES_FETCH_TRIES": "1"})
        assert any("authorization" in request.headers for request in server.seen)
    alone = "".join(filter(str.isalnum, f"Basic {pair}")) if lead in ("hostname", "schemes") else pair
    silent(told.out + told.err + logs(workspace), TOKEN, pair, alone)


def test_a_token_of_mlflow_is_in_no_error_and_no_lock(workspace: Space) -> None:
    environment = {"MLFLOW_TRACKING_TOKEN": TOKEN}
    with raw(reflecting("loop")) as server:
        from_uri(workspace, "models:/m/1")
        told = workspace.run("build", APP, code=1, env={**environment, "MLFLOW_TRACKING_URI": server.url})
    silent(told.out + told.err + logs(workspace), TOKEN)


@pytest.mark.parametrize("lead", LEADS)
def test_the_client_of_wheels_shows_no_more_than_an_origin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lead: str
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ali password {TOKEN}\n")
    with raw(reflecting(lead)) as server, pytest.raises(Failure) as caught:
        Session().client.get(f"{server.url}/m.whl")
    pair = base64.b64encode(f"ali:{TOKEN}".encode()).decode()
    silent(str(caught.value) + repr(caught.value), TOKEN, pair)


def test_the_words_of_a_status_are_not_the_servers(workspace: Space) -> None:
    (workspace.folder / "home/.netrc").write_text(f"machine 127.0.0.1 login ali password {TOKEN}\n")

    def answer(request: Request) -> bytes:
        return b"HTTP/1.1 418 " + request.headers.get("authorization", "").encode() + b"\r\n\r\n"

    with raw(answer) as server:
        from_uri(workspace, f"{server.url}/m.bin")
        told = workspace.run("build", APP, code=1)
    told.said("418")
    silent(told.out + told.err + logs(workspace), base64.b64encode(f"ali:{TOKEN}".encode()).decode())


def test_the_words_of_a_status_are_not_those_of_a_wheels_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ali password {TOKEN}\n")

    def answer(request: Request) -> bytes:
        return b"HTTP/1.1 418 words " + request.headers["authorization"].encode() + b"\r\n\r\n"

    with raw(answer) as server, pytest.raises(FetchError, match="answered 418") as caught:
        fetch_all([Download([f"{server.url}/m.whl"], "sha256:" + "0" * 64)], Context(tmp_path))
    assert "words" not in caught.value.message


def test_logins_of_docker_and_tokens_are_never_shown() -> None:
    login = Credentials("ali", "canary-docker")
    assert login.basic()
    pair = base64.b64encode(b"ali:canary-docker").decode()
    assert secret.hide(f"at /{pair}/ and CANARY-DOCKER and {quote(pair)}") == "at /***/ and *** and ***"


@pytest.fixture
def scoped() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server with two tenants; /acme/ redirects to the other one."""
    seen: list[tuple[str, str | None]] = []

    def answer(request: Request) -> bytes:
        seen.append((request.path, request.headers.get("authorization")))
        if request.path.startswith("/acme/old"):
            return head(302, Location="/acme/new.bin")
        if request.path.startswith("/acme/model"):
            return head(302, Location="/stranger/model.bin")
        return whole(b"weights")

    with raw(answer) as server:
        yield server.url, seen


def test_a_token_stays_below_the_address_of_its_connection(
    workspace: Space, scoped: tuple[str, list[tuple[str, str | None]]]
) -> None:
    url, seen = scoped
    connect(workspace, f"{url}/acme", "{type: api_key, key: {env: TOKEN}}")
    from_uri(workspace, f"{url}/acme/model.bin", package=DOWNLOAD)
    workspace.run("build", APP, env={"TOKEN": TOKEN})
    sent = [("/acme/model.bin", f"Bearer {TOKEN}"), ("/stranger/model.bin", None)]
    assert seen == sent
    start = download(workspace)
    seen.clear()
    start.run(env={"TOKEN": TOKEN})
    assert seen == sent
    assert f'"within": "{url}/acme"' in start.text
    assert TOKEN not in start.text


@pytest.mark.parametrize("make", [Web, lambda: Session().client], ids=["in a container", "at build"])
def test_a_token_goes_with_a_redirect_below_the_same_address(
    make: Callable[[], Web], scoped: tuple[str, list[tuple[str, str | None]]]
) -> None:
    (url, seen), client = scoped, make()
    for within in (None, f"{url}/acme"):
        seen.clear()
        client.request(f"{url}/acme/old.bin", {"Authorization": "x"}, within=within).close()
        assert seen == [("/acme/old.bin", "x"), ("/acme/new.bin", "x")]
    client.request(f"{url}/stranger/old.bin", {"Authorization": "x"}, within=f"{url}/acme").close()
    assert seen[-1] == ("/stranger/old.bin", None)


def test_the_body_of_a_redirect_is_not_waited_for() -> None:
    def answer(request: Request) -> Iterator[bytes]:
        if request.path == "/there":
            yield whole(b"here")
            return
        yield head(302, Location="/there")
        while True:  # until the client has had enough
            yield bytes(1 << 16)
            time.sleep(0.001)

    with raw(answer) as server:
        found = Session().client.get(f"{server.url}/model.whl")
        assert found.read() == b"here"
        found.close()


@pytest.mark.parametrize(
    ("value", "why"),
    [("canary\nsecret", "line break"), ("canary-\u20ac-secret", "cannot be sent"), ("canary\x7fsecret", "control")],
)
def test_a_token_that_no_header_takes_is_named_by_its_variable(workspace: Space, value: str, why: str) -> None:
    with raw(lambda _: whole(b"weights")) as server:
        connect(workspace, server.url, "{type: api_key, key: {env: TOKEN}}")
        from_uri(workspace, f"{server.url}/m.bin", package=DOWNLOAD)
        workspace.run("build", APP, env={"TOKEN": TOKEN})
        told = download(workspace).run(code=1, env={"TOKEN": value})
    assert "$TOKEN" in told and why in told and "nothing else" in told
    assert "network host" not in told
    assert "canary" not in told and "secret\n" not in told.replace("the secret", "")


def test_a_line_break_at_the_end_is_no_part_of_a_token() -> None:
    source = {"kind": "http", "url": "http://127.0.0.1:1/x", "credentials": {"token": "T"}}
    assert locate(source, {"path": "x"}, {"T": "abcd\r\n"}, Web())[1] == {"Authorization": "Bearer abcd"}
    assert credential(source, "token", {"T": "\n"}) is None  # what is empty is not set


def test_headers_of_any_other_kind_are_looked_at_as_well() -> None:
    with pytest.raises(Failure, match="header 'X-Key'") as caught:
        Web().request("http://127.0.0.1:1/", {"X-Key": "canary\u20ac"})
    assert "canary" not in caught.value.text
    with pytest.raises(Failure, match="header 'X-Key'"):
        Session().client.get("http://127.0.0.1:1/", {"X-Key": "canary\u20ac"})
    assert http.basic("a", "\u20ac\u20ac\u20ac\u20ac").isascii()


def test_what_a_program_says_has_no_login_that_it_read_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine feed.example login ali password {TOKEN}-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("UV_INDEX_TEAM_PASSWORD", f"{TOKEN}-uv")
    pair = base64.b64encode(f"ali:{TOKEN}-netrc".encode()).decode()
    text = f"error: https://feed.example/{pair} or /{quote(TOKEN, safe='')}-uv answered 404"
    assert scrub_output(text) == "error: https://feed.example/*** or /*** answered 404"
