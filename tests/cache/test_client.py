"""The cache as buildrules uses it: one connection in the workspace, whose password CI has and developers have not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildrules.net.session import Session
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from tests.remote.places import blob_of, key
from tests.support.cache_server import PASSWORD, WRITER, CacheServer, cache_server

pytestmark = pytest.mark.network  # nginx is installed

DATA = b"content" * 1000
BLOB = blob_of(DATA)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheServer]:
    with cache_server(tmp_path_factory.mktemp("cache") / "server") as running:
        yield running


@contextmanager
def client(server: CacheServer, told: list[str]) -> Iterator[Guarded]:
    session = Session()
    parts = {"username": WRITER, "password": {"env": "CACHE_PASSWORD"}}
    session.connect(
        [{"name": "cache", "type": "http", "target": server.url, "kind": "username_password", "parts": parts}], "."
    )
    yield Guarded(open_backend(server.url, session, "cache"), told.append, wait=lambda _: None)
    session.close()


@pytest.mark.parametrize("missing", [None, ""])  # GitHub gives forks variables that are empty
def test_who_has_no_password_reads(server: CacheServer, monkeypatch: pytest.MonkeyPatch, missing: str | None) -> None:
    told: list[str] = []
    name = key()
    monkeypatch.setenv("CACHE_PASSWORD", PASSWORD)
    with client(server, told) as writer:
        assert writer.write(BLOB, lambda: [DATA])
        assert writer.put(name, b"record", [BLOB])
    if missing is None:
        monkeypatch.delenv("CACHE_PASSWORD")
    else:
        monkeypatch.setenv("CACHE_PASSWORD", missing)
    with client(server, told) as reader:
        assert reader.get(name) == b"record"
        assert reader.holds([BLOB]) == {BLOB.digest}
        assert b"".join(reader.read(BLOB)) == DATA
        assert told == []
        assert not reader.put(key(), b"record")
        assert not reader.write(BLOB, lambda: [DATA])
        assert reader.get(name) == b"record"
    (text,) = told
    assert "left out for writing" in text and f"'CACHE_PASSWORD' is {'not set' if missing is None else 'empty'}" in text


def test_where_a_password_is_wanted_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_PASSWORD", raising=False)
    told: list[str] = []
    with cache_server(tmp_path / "server", readers=False) as server, client(server, told) as reader:
        assert reader.get(key()) is None
    (text,) = told
    assert "left out for reading" in text and "'CACHE_PASSWORD' is not set" in text
    assert os.environ.get("CACHE_PASSWORD") is None
