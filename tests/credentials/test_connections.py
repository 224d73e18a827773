"""Which connection serves an address, and what login it gives."""

import base64
from pathlib import Path
from typing import Any

import pytest

from buildrules.credentials import secret
from buildrules.credentials.connections import SECRETS, Connections
from buildrules.errors import CredentialsError, UsageError
from buildrules.start import http
from buildrules.start.secret import hide
from buildrules.start.web import Web

HOST = "https://pkgs.example"
PAT = {"kind": "pat", "parts": {"pat": {"env": "FEED_TOKEN"}}}


def row(name: str, target: str, sort: str = "http", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": sort, "target": target, **PAT, **more}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_TOKEN", "canary-91")


def serving(known: Connections, url: str) -> str | None:
    found = known.serving(url)
    return found.name if found else None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{HOST}/team", "team"),
        (f"{HOST}/team/x.bin", "team"),
        (f"{HOST}:443/team/x.bin", "team"),
        ("https://PKGS.example/team/x.bin", "team"),
        (f"{HOST}/team/inner/x.bin", "inner"),
        (f"{HOST}/teams/x.bin", None),
        (f"{HOST}/team/../other/x.bin", None),
        (f"{HOST}/team/%2e%2e/other/x.bin", None),
        (f"{HOST}/team/..%2fother/x.bin", None),
        (f"{HOST}/team\\..\\x", None),
        (f"{HOST}/TEAM/x.bin", None),
        (f"{HOST}:8443/team/x.bin", None),
        ("http://pkgs.example/team/x.bin", None),
        ("https://pkgs.example.evil/team/x.bin", None),
        ("https://pkgs.example@evil/team/x.bin", None),
        ("https://evil/https://pkgs.example/team", None),
        ("not a url", None),
        ("https://[broken/team", None),
    ],
)
def test_credentials_go_to_the_address_and_below(url: str, name: str | None) -> None:
    known = Connections([row("team", f"{HOST}/team/"), row("inner", f"{HOST}/team/inner")], ".")
    assert serving(known, url) == name


def test_a_feed_reaches_its_files_in_the_same_top_folder() -> None:
    known = Connections(
        [
            row("one", f"{HOST}/one/_packaging/feed/pypi/simple/", "python_feed"),
            row("two", f"{HOST}/two/_packaging/feed/pypi/simple/", "git"),
            row("plain", "https://plain.example/simple", "python_feed"),
            row("store", f"{HOST}/two/models"),
        ],
        ".",
    )
    assert serving(known, f"{HOST}/one/4711/_packaging/guid/pypi/download/a/1.0/a.whl") == "one"
    assert serving(known, f"{HOST}/two/4711/_packaging/guid/pypi/download/a/1.0/a.whl") == "two"
    assert serving(known, f"{HOST}/two/models/a.bin") == "store"
    assert serving(known, f"{HOST}/three/a.whl") is None
    assert serving(known, "https://plain.example/files/a.whl") == "plain"
    assert [feed.name for feed in known.feeds()] == ["one", "two", "plain"]
    assert [feed.name for feed in known.feeds(["plain", "one"])] == ["plain", "one"]
    with pytest.raises(UsageError, match="'store' is not a Python feed, but of type 'http'"):
        known.feeds(["store"])
    with pytest.raises(UsageError, match="no connection 'tow'"):
        known.feeds(["tow"])


def test_registries_are_found_by_host_and_repository() -> None:
    known = Connections(
        [
            row("all", "registry.example:5000", "container_registry"),
            row("team", "https://registry.example:5000/team", "oci"),
        ],
        ".",
    )
    found = [known.serving_registry("registry.example:5000", name) for name in ("other/app", "team/app", "teams")]
    assert [connection.name for connection in found if connection] == ["all", "team", "all"]
    assert known.serving_registry("registry.example", "team/app") is None
    assert known.serving("https://registry.example:5000/team/x") is None


BASIC = "Basic " + base64.b64encode(b"__token__:canary-91").decode()


@pytest.mark.parametrize(
    ("sort", "kind", "parts", "headers", "query"),
    [
        ("python_feed", "pat", {}, {"Authorization": BASIC}, ""),
        ("http", "pat", {}, {"Authorization": BASIC}, ""),
        ("mlflow", "pat", {}, {"Authorization": "Bearer canary-91"}, ""),
        ("http", "api_key", {}, {"Authorization": "Bearer canary-91"}, ""),
        ("http", "api_key", {"header": "X-Key"}, {"X-Key": "canary-91"}, ""),
        ("python_feed", "api_key", {}, {"Authorization": BASIC}, ""),
        ("azure_blob", "sas", {}, {}, "canary-91"),
        ("s3", "access_key", {"access_key_id": "AK"}, {}, ""),
        ("http", "username_password", {"username": "__token__"}, {"Authorization": BASIC}, ""),
    ],
)
def test_logins(sort: str, kind: str, parts: dict[str, Any], headers: dict[str, str], query: str) -> None:
    field = SECRETS[kind]
    known = Connections([row("c", HOST, sort, kind=kind, parts={field: {"env": "FEED_TOKEN"}, **parts})], ".")
    login = known.named("c").login()
    assert login
    assert (login.headers(), login.query()) == (headers, query)
    assert "canary" not in f"{login!r} {login}"
    roles = known.named("c").roles()
    assert "FEED_TOKEN" in roles.values()
    assert "canary" not in str(roles)
    assert known.named("c").environ() == {"FEED_TOKEN": "canary-91"}


@pytest.mark.parametrize(
    ("sort", "kind", "parts"),
    [
        ("http", "pat", {}),
        ("http", "api_key", {}),
        ("http", "api_key", {"header": "X-Key"}),
        ("http", "username_password", {"username": "me"}),
        ("azure_blob", "sas", {}),
    ],
)
def test_a_container_sends_what_a_build_sends(sort: str, kind: str, parts: dict[str, str]) -> None:
    field = SECRETS[kind]
    known = Connections([row("c", HOST, sort, kind=kind, parts={field: {"file": "x"}, **parts})], ".")
    connection = known.named("c")
    name = f"BUILDRULES_C_{field.upper()}"
    source = {"kind": "http", "url": f"{HOST}/x", "credentials": connection.roles()}
    url, headers = http.locate(source, {"path": "x"}, {name: "canary-91"}, Web())
    known = Connections([row("c", HOST, sort, kind=kind, parts={field: {"env": "FEED_TOKEN"}, **parts})], ".")
    login = known.named("c").login()
    assert login
    assert (url, headers) == (login.onto(f"{HOST}/x"), login.headers())


def test_a_signature_joins_the_query() -> None:
    parts = {"sas_token": {"env": "FEED_TOKEN"}}
    known = Connections([row("c", HOST, "azure_blob", kind="sas", parts=parts)], ".")
    login = known.login(f"{HOST}/c/x")
    assert login
    assert login.onto(f"{HOST}/c/x") == f"{HOST}/c/x?canary-91"
    assert login.onto(f"{HOST}/c/x?a=b#frag") == f"{HOST}/c/x?a=b&canary-91#frag"


def test_container_variables_for_other_references() -> None:
    parts = {
        "access_key_id": "AK",
        "secret_access_key": {"file": "key"},
        "session_token": {"keyring": "s3/me"},
    }
    known = Connections([row("my-store.2", "https://s3.example", "s3", kind="access_key", parts=parts)], ".")
    assert known.named("my-store.2").roles() == {
        "access_key_id": "=AK",
        "secret_access_key": "BUILDRULES_MY_STORE_2_SECRET_ACCESS_KEY",
        "session_token": "BUILDRULES_MY_STORE_2_SESSION_TOKEN",
    }


def test_places_are_read_at_the_moment_of_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Connections([row("c", HOST, parts={"pat": {"file": "secrets/pat"}})], str(tmp_path))
    connection = known.named("c")
    with pytest.raises(CredentialsError, match="the file 'secrets/pat' cannot be read: no such file"):
        connection.login()
    (tmp_path / "secrets").mkdir()
    for text in ("canary-file\n", "canary-second\r\n"):
        (tmp_path / "secrets/pat").write_bytes(text.encode())
        login = connection.login()
        assert login
        assert login.secret == text.strip()
    monkeypatch.setenv("HOME", str(tmp_path / "secrets"))
    known = Connections([row("c", HOST, parts={"pat": {"file": "~/pat"}})], "/")
    found = known.login(f"{HOST}/x")
    assert found is not None
    assert found.secret == "canary-second"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\nb", "line break"),
        (b"\xff\xfe", "is not text"),
        (b"x" * 70000, "large"),
    ],
)
def test_a_place_without_a_secret(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "pat").write_bytes(content)
    known = Connections([row("c", HOST, parts={"pat": {"file": "pat"}})], str(tmp_path))
    with pytest.raises(CredentialsError, match=words):
        known.login(f"{HOST}/x")


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEED_TOKEN")
    known = Connections([row("c", HOST)], ".")
    assert known.login("https://other.example/x") is None, "nobody needs the variable here"
    with pytest.raises(CredentialsError, match="connection 'c': the environment variable 'FEED_TOKEN' is not set"):
        known.login(f"{HOST}/x")


def test_the_keyring_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "keyring"
    program.write_text('#!/bin/sh\n[ "$1 $2 $3" = "get a/b me" ] || exit 1\necho canary-ring\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    known = Connections([row("c", HOST, parts={"pat": {"keyring": "a/b/me"}})], ".")
    login = known.named("c").login()
    assert login
    assert login.secret == "canary-ring"
    known = Connections([row("c", HOST, parts={"pat": {"keyring": "a/b/you"}})], ".")
    with pytest.raises(CredentialsError, match="no entry 'a/b/you'"):
        known.named("c").login()


def test_a_keyring_that_waits_for_somebody_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "keyring"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(secret, "_PATIENCE", 0.2)
    known = Connections([row("c", HOST, parts={"pat": {"keyring": "a/b/me"}})], ".")
    with pytest.raises(CredentialsError, match=r"connection 'c': the keyring did not answer within 0.2 s") as caught:
        known.named("c").login()
    assert "unlock it" in (caught.value.hint or "")


def test_http_to_another_machine_must_be_allowed() -> None:
    known = Connections([row("c", "http://pkgs.example")], ".")
    with pytest.raises(CredentialsError, match="unencrypted"):
        known.login("http://pkgs.example/x")
    known = Connections([row("c", "http://pkgs.example", plain_http=True)], ".")
    assert known.login("http://pkgs.example/x")
    known = Connections([row("c", "http://127.0.0.1:80")], ".")
    assert known.login("http://127.0.0.1/x")


def test_secrets_that_were_read_are_hidden() -> None:
    known = Connections([row("c", HOST)], ".")
    known.login(f"{HOST}/x")
    basic = BASIC.removeprefix("Basic ")
    shown = hide(f"canary-91 {basic} {base64.b64encode(b'canary-91').decode()} fine")
    assert shown == "*** *** *** fine"
