"""Bazel's HTTP cache: what servers answer, and where credentials go."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from buildrules.errors import UsageError
from buildrules.net.session import Session
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from tests.oci.registry.servers import Answer, Seen, Web, web
from tests.remote.places import blob_of, key
from tests.support.cache_server import PASSWORD, WRITER, cache_server

DATA = b"content" * 1000
BLOB = blob_of(DATA)
SECRET = "canary-9f8e7d6c5b4a"


class Server:
    """Answers a status to each method, or what was put."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.kept: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}

    def answer(self, request: Seen) -> Answer:
        if request.method in self.statuses:
            return self.statuses[request.method], self.headers, b""
        if request.method == "PUT":
            self.kept[request.path] = request.body
            return 201, {}, b""
        found = self.kept.get(request.path)
        return (404, {}, b"") if found is None else (200, {}, found)


class Client:
    """A guarded place, what it told, and what its server saw."""

    def __init__(self, server: Web, path: str = "", login: str = "", connection: str | None = None) -> None:
        self.told: list[str] = []
        self.session = Session()
        if connection:
            parts = {"username": "ci", "password": {"env": "CACHE_PASSWORD"}}
            row = {"name": connection, "type": "http", "target": f"http://{server.host}", "kind": "username_password"}
            self.session.connect([{**row, "parts": parts}], ".")
        backend = open_backend(f"http://{login}{server.host}{path}", self.session, connection)
        self.guarded = Guarded(backend, self.told.append, wait=lambda _: None)
        self.seen = server.seen


@contextmanager
def serving(server: Server) -> Iterator[Web]:
    with web(server.answer) as running:
        yield running


def test_where_records_and_content_are() -> None:
    with serving(Server()) as running:
        client, name = Client(running, "/team/one/"), key()
        assert client.guarded.put(name, b"record")
        assert client.guarded.write(BLOB, lambda: [DATA])
        assert client.guarded.holds([BLOB]) == {BLOB.digest}
        assert [(one.method, one.path) for one in client.seen] == [
            ("PUT", f"/team/one/ac/{name}"),
            ("PUT", f"/team/one/cas/{BLOB.digest[7:]}"),
            ("HEAD", f"/team/one/cas/{BLOB.digest[7:]}"),
        ]
        sent = client.seen[1].headers
        assert sent["content-length"] == str(len(DATA)) and "transfer-encoding" not in sent


@pytest.mark.parametrize("status", [401, 403, 405])
def test_who_may_not_write_is_told_once_and_reads_on(status: int) -> None:
    server = Server(PUT=status)
    with serving(server) as running:
        client, name = Client(running), key()
        server.kept[f"/ac/{name}"] = b"record"
        for _ in range(5):
            assert not client.guarded.put(key(), b"x")
            assert not client.guarded.write(BLOB, lambda: [DATA])
        assert len([one for one in client.seen if one.method == "PUT"]) == 1
        assert len(client.told) == 1 and "left out for writing" in client.told[0]
        assert client.guarded.get(name) == b"record"


def test_who_may_not_read_writes_on() -> None:
    with serving(Server(GET=403, HEAD=403)) as running:
        client = Client(running)
        assert client.guarded.get(key()) is None
        assert client.guarded.holds([BLOB]) == set()
        assert client.guarded.write(BLOB, lambda: [DATA])
        assert len(client.told) == 1


def test_a_limit_of_size_is_remembered() -> None:
    with serving(Server(PUT=413)) as running:
        client = Client(running)
        for _ in range(3):
            assert not client.guarded.write(BLOB, lambda: [DATA])
        assert len(client.seen) == 1
        assert len(client.told) == 1 and str(BLOB.size) in client.told[0]


@pytest.mark.parametrize("there", [True, False])
def test_a_conflict_is_success_where_it_is_there(there: bool) -> None:
    server = Server(PUT=409)
    with serving(server) as running:
        if there:
            server.kept[f"/cas/{BLOB.digest[7:]}"] = DATA
        assert Client(running).guarded.write(BLOB, lambda: [DATA]) is there


def test_a_conflict_over_a_record_leaves_somebody_elses() -> None:
    server = Server(PUT=409)
    with serving(server) as running:
        client, name = Client(running), key()
        server.kept[f"/ac/{name}"] = b"somebody else's"
        assert client.guarded.put(name, b"ours")
        assert client.guarded.get(name) == b"somebody else's"


def test_somebody_was_faster() -> None:
    with serving(Server(PUT=412)) as running:
        client = Client(running)
        assert client.guarded.put(key(), b"record")
        assert client.seen[0].headers["if-none-match"] == "*"
        assert client.guarded.put(key(), b"record", replace=True)
        assert "if-none-match" not in client.seen[1].headers


@pytest.mark.parametrize("status", [405, 501])
def test_without_head_all_counts_as_missing_and_nobody_asks_again(status: int) -> None:
    with serving(Server(HEAD=status)) as running:
        client = Client(running)
        assert client.guarded.holds([BLOB]) == set()
        assert client.guarded.holds([BLOB, blob_of(b"x"), blob_of(b"y")]) == set()
        assert len(client.seen) == 1
        assert not client.told


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_is_a_miss(status: int) -> None:
    with serving(Server(GET=status)) as running:
        client = Client(running)
        assert client.guarded.get(key()) is None
        with pytest.raises(FileNotFoundError):
            list(client.guarded.read(BLOB))
        assert client.guarded.stats.failures == 0


def test_a_record_that_never_ends_is_not_read_to_its_end() -> None:
    server = Server()
    with serving(server) as running:
        client, name = Client(running), key()
        server.kept[f"/ac/{name}"] = b"x" * (50 << 20)
        assert client.guarded.get(name) is None


@pytest.mark.parametrize("start", [0, 3000, 4000, 5000])
def test_ranges_that_are_ignored_early_or_late(start: int) -> None:
    """A read that broke off at 4000 is answered from another place: what comes before is passed over."""

    def answer(request: Seen) -> Answer:
        if "range" not in request.headers:
            return 200, {"Content-Length": str(len(DATA)), "Connection": "close"}, DATA[:4000]
        if start == 0:
            return 200, {}, DATA
        return 206, {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}, DATA[start:]

    with web(answer) as running:
        client = Client(running)
        if start <= 4000:
            assert b"".join(client.guarded.read(BLOB)) == DATA
        else:
            with pytest.raises(FileNotFoundError):
                list(client.guarded.read(BLOB))


@pytest.mark.parametrize("way", ["userinfo", "netrc", "connection"])
def test_no_credentials_follow_to_another_host(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", SECRET)
    netrc = f"{tmp_path}/netrc"
    with open(os.open(netrc, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"machine localhost login ci password {SECRET}\n")
    monkeypatch.setenv("NETRC", netrc if way == "netrc" else f"{tmp_path}/none")
    elsewhere = Server()
    elsewhere.kept[f"/cas/{BLOB.digest[7:]}"] = DATA
    home = Server(GET=307, PUT=307)
    with serving(elsewhere) as other, serving(home) as running:
        home.headers = {"Location": f"http://{other.host}/cas/{BLOB.digest[7:]}"}
        running.host = running.host.replace("127.0.0.1", "localhost")
        login = f"ci:{SECRET}@" if way == "userinfo" else ""
        client = Client(running, login=login, connection="cache" if way == "connection" else None)
        assert b"".join(client.guarded.read(BLOB)) == DATA
        assert not client.guarded.write(BLOB, lambda: [DATA]), "what is written is not sent on"
        assert all("authorization" in one.headers for one in running.seen)
        assert [one.method for one in other.seen] == ["GET"]
        assert "authorization" not in other.seen[0].headers
        assert SECRET not in repr((client.told, client.guarded.url, other.seen))


@pytest.mark.network
def test_a_full_disk_keeps_no_readers_away(tmp_path: Path, small_disk: Path) -> None:
    large = os.urandom(2 << 20)
    with cache_server(tmp_path / "server", data=small_disk) as running:
        told: list[str] = []
        url = f"http://{WRITER}:{quote(PASSWORD)}@{running.host}"
        guarded = Guarded(open_backend(url, Session()), told.append, wait=lambda _: None)
        assert guarded.write(BLOB, lambda: [DATA])
        for _ in range(5):
            assert not guarded.write(blob_of(large), lambda: [large])
        assert guarded.stats.requests < 10
        assert len(told) == 1 and "left alone for writing" in told[0]
        assert guarded.holds([BLOB, blob_of(large)]) == {BLOB.digest}
        assert b"".join(guarded.read(BLOB)) == DATA


def test_a_login_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", SECRET)
    told: list[str] = []
    session = Session()
    parts = {"username": "ci", "password": {"env": "CACHE_PASSWORD"}}
    row = {"name": "cache", "type": "http", "target": "http://cache.invalid", "kind": "username_password"}
    session.connect([{**row, "parts": parts}], ".")
    guarded = Guarded(open_backend("http://cache.invalid", session, "cache"), told.append, wait=lambda _: None)
    assert not guarded.put(key(), b"record")
    assert len(told) == 1 and "unencrypted" in told[0] and "plain_http" in told[0]


@pytest.mark.parametrize("way", ["userinfo", "netrc", "redirect"])
def test_no_login_at_all_is_sent_unencrypted(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.touch(0o600)
    netrc.write_text("" if way == "userinfo" else f"machine cache.invalid login ci password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = Server(GET=302) if way == "redirect" else Server()
    server.headers = {"Location": "http://cache.invalid/x"}
    with serving(server) as running:
        monkeypatch.setenv("http_proxy", f"http://{running.host}")  # sees what goes to cache.invalid
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        login = f"ci:{SECRET}@" if way == "userinfo" else ""
        told: list[str] = []
        host = running.host if way == "redirect" else "cache.invalid"
        guarded = Guarded(open_backend(f"http://{login}{host}", Session()), told.append, wait=lambda _: None)
        assert guarded.get(key()) is None
        if way != "redirect":
            assert not guarded.put(key(), b"record")
            assert len(told) == 1 and "unencrypted" in told[0] and "use https" in told[0]
        assert any("cache.invalid" in one.path for one in running.seen), "reads are anonymous"
        assert all("authorization" not in one.headers for one in running.seen)
        assert SECRET not in repr(told)


def test_a_secret_that_is_missing_costs_no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_PASSWORD", raising=False)
    with serving(Server()) as running:
        client = Client(running, connection="cache")
        assert client.guarded.get(key()) is None, "many a cache is read by all"
        assert not client.told
        assert not client.guarded.put(key(), b"record")
        assert len(client.told) == 1 and "CACHE_PASSWORD" in client.told[0]
        assert [(one.method, "authorization" in one.headers) for one in client.seen] == [("GET", False)]


def test_a_container_of_azure_by_a_shared_access_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_SAS", f"sv=2024-11-04&sig={SECRET}")
    elsewhere = Server()
    home = Server(GET=307)
    with serving(elsewhere) as other, serving(home) as running:
        home.headers = {"Location": f"http://{other.host}/x"}
        session, told = Session(), list[str]()
        row = {"name": "store", "type": "azure_blob", "target": f"http://{running.host}/container", "kind": "sas"}
        session.connect([{**row, "parts": {"sas_token": {"env": "CACHE_SAS"}}}], ".")
        guarded = Guarded(open_backend(f"http://{running.host}/container/x", session, "store"), told.append)
        assert guarded.write(BLOB, lambda: [DATA])
        sent = running.seen[0]
        assert sent.path.endswith(f"?sv=2024-11-04&sig={SECRET}")
        assert sent.headers["x-ms-blob-type"] == "BlockBlob"
        assert guarded.get(key()) is None
        assert SECRET in running.seen[1].path and SECRET not in repr((other.seen, told))


@pytest.mark.parametrize("tail", ["?sig=abc", "#part"])
def test_addresses_with_more_than_a_path(tail: str) -> None:
    with pytest.raises(UsageError, match="query"):
        open_backend(f"https://cache.example/x{tail}", Session())


def test_a_server_that_is_not_there() -> None:
    told: list[str] = []
    guarded = Guarded(open_backend("http://127.0.0.1:9", Session()), told.append, wait=lambda _: None)
    for _ in range(10):
        assert guarded.get(key()) is None
    assert guarded.stats.requests < 10
    assert len(told) == 1 and "connection refused" in told[0]
