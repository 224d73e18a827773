"""The client against registries that misbehave: lies, refusals, redirects, limits."""

import base64
import json
import os
import pathlib
import stat
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from buildrules.credentials.connections import Connections
from buildrules.errors import IntegrityError, RegistryError
from buildrules.oci.auth import ANONYMOUS, Credentials, credentials_for, endpoint
from buildrules.oci.registry import Registry
from buildrules.oci.transport import AnswerError, Transport
from buildrules.start.address import is_loopback
from buildrules.start.challenge import parse_challenges
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Run, pulled
from tests.oci.registry.servers import PASSWORD, USER, Answer, Seen, web
from tests.support.handmade import sha256
from tests.support.raw import Request, head, raw

BLOB = b"the bytes of a layer" * 1000
DIGEST = sha256(BLOB)
REFUSAL = json.dumps({"errors": [{"code": "DENIED", "message": "not for you"}]}).encode()


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def connect(host: str, credentials: Credentials = ANONYMOUS, **settings: Any) -> tuple[Registry, Waits]:
    waits = Waits()
    return Registry(host, "base", credentials, sleep=waits, **settings), waits


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_are_final_and_speak_the_registrys_words(status: int) -> None:
    with web(lambda _: (status, {}, REFUSAL)) as server:
        registry, waits = connect(server.host)
        with pytest.raises(AnswerError, match=f"answered {status} to GET /v2/base/.*: DENIED: not for you") as caught:
            registry.manifest("v1")
    assert (caught.value.status, caught.value.code, waits) == (status, "DENIED", [])
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_answers_are_tried_three_times(status: int) -> None:
    with web(lambda _: (status, {}, b"<html>busy</html>")) as server:
        registry, waits = connect(server.host)
        with pytest.raises(AnswerError, match=f"answered {status} to GET /v2/base/manifests/v1$"):
            registry.manifest("v1")
    assert len(server.seen) == 3
    assert len(waits) == 2


def test_retry_after_is_obeyed_up_to_half_a_minute() -> None:
    answers: list[Answer] = [(429, {"Retry-After": "7"}, b""), (503, {"Retry-After": "0"}, b""), (200, {}, b"{}")]
    with web(lambda _: answers.pop(0)) as server:
        registry, waits = connect(server.host)
        assert registry.manifest("v1").data == b"{}"
    assert waits == [7.0, 0.0]
    with web(lambda _: (429, {"Retry-After": "3600"}, b"")) as server:
        registry, waits = connect(server.host)
        with pytest.raises(AnswerError) as caught:
            registry.manifest("v1")
    assert waits == []
    assert "3600 seconds" in str(caught.value.hint)
    with web(lambda _: (429, {"Retry-After": formatdate(time.time() + 20, usegmt=True)}, b"")) as server:
        registry, waits = connect(server.host)
        with pytest.raises(AnswerError):
            registry.manifest("v1")
    assert all(0 < wait <= 20 for wait in waits)
    assert len(waits) == 2


def test_uploads_try_again_from_the_start() -> None:
    answers = {"POST": [202, 202], "PUT": [503, 201]}

    def answer(request: Seen) -> Answer:
        return answers[request.method].pop(0), {"Location": f"/upload/{len(answers['POST'])}?state=x"}, b""

    with web(answer) as server:
        assert connect(server.host)[0].upload(DIGEST, len(BLOB), lambda: [BLOB[:100], BLOB[100:]]) == "uploaded"
    puts = server.asked("PUT", "/upload/")
    assert [put.body for put in puts] == [BLOB, BLOB]
    assert [put.path.split("?")[0] for put in puts] == ["/upload/1", "/upload/0"]
    assert all(f"state=x&digest={DIGEST.replace(':', '%3A')}" in put.path for put in puts)
    assert all("transfer-encoding" not in put.headers for put in puts)


@pytest.mark.parametrize(
    ("body", "size"), [(BLOB[:-1], len(BLOB)), (BLOB + b"x", len(BLOB)), (BLOB[::-1], len(BLOB)), (BLOB[::-1], None)]
)
def test_wrong_blobs_are_noticed(body: bytes, size: int | None) -> None:
    with web(lambda _: (200, {}, body)) as server, pytest.raises(IntegrityError):
        pulled(connect(server.host)[0], DIGEST, size)


def test_an_endless_blob_is_cut_at_its_size(blobs: Blobs) -> None:
    def endless(_: Request) -> Iterator[bytes]:
        yield head(200)
        while True:  # until the client has had enough
            yield bytes(1 << 16)

    run = Run("", blobs)
    with raw(endless) as server, pytest.raises(IntegrityError, match=r"more than 20 bytes|expected .* 20 bytes"):
        connect(server.url.removeprefix("http://"))[0].fetch(DIGEST, 20, run)
    assert run.fetched <= 1 << 20
    with web(lambda _: (200, {}, b"x" * 21)) as stated, pytest.raises(IntegrityError, match=r"expected .* 20 bytes"):
        connect(stated.host)[0].fetch(DIGEST, 20, Run("", blobs))
    assert os.listdir(os.path.join(blobs.tmp, "partial")) == []


@pytest.mark.parametrize("resumes", ["as asked", "from the start", "somewhere else", "out of range"])
def test_ways_to_answer_a_range(resumes: str, quick: None) -> None:
    half = len(BLOB) // 2

    def answer(request: Seen) -> Answer:
        asked = request.headers.get("range")
        if asked is None:
            return 200, {"Content-Length": str(len(BLOB)), "Connection": "close"}, BLOB[:half]
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if resumes == "from the start":
            return 200, {}, BLOB
        if resumes == "out of range":
            return 416, {}, b""
        place = start if resumes == "as asked" else start + 1
        return 206, {"Content-Range": f"bytes {place}-{len(BLOB) - 1}/{len(BLOB)}"}, BLOB[start:]

    with web(answer) as server:
        if resumes in ("as asked", "from the start"):
            assert pulled(connect(server.host)[0], DIGEST, len(BLOB)) == BLOB
        else:
            with pytest.raises((RegistryError, IntegrityError)):
                pulled(connect(server.host)[0], DIGEST, len(BLOB))
    assert [request.headers.get("range") for request in server.seen][:2] == [None, f"bytes={half}-"]


def test_lying_manifests_are_noticed() -> None:
    with web(lambda _: (200, {"Docker-Content-Digest": DIGEST}, b"{}")) as server:
        registry, _ = connect(server.host)
        with pytest.raises(IntegrityError, match="instead of"):
            registry.manifest(DIGEST)
        with pytest.raises(IntegrityError, match="instead of"):
            registry.manifest("v1")
    with web(lambda _: (200, {}, b" " * (5 << 20))) as server, pytest.raises(RegistryError, match="more than 4194304"):
        connect(server.host)[0].manifest("v1")
    with (
        web(lambda _: (201, {"Docker-Content-Digest": DIGEST}, b"")) as server,
        pytest.raises(RegistryError, match="changed"),
    ):
        connect(server.host)[0].put_manifest(b"{}", "application/json", "v1")


def test_redirects_to_another_host_lose_the_authorization() -> None:
    basic = Credentials(USER, PASSWORD)
    with web(lambda _: (200, {}, BLOB)) as other:

        def answer(request: Seen) -> Answer:
            if "authorization" not in request.headers:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            if request.path.startswith("/v2/"):
                return 307, {"Location": "/moved"}, b""
            return 307, {"Location": f"http://{other.host}/storage"}, b""

        with web(answer) as server:
            assert pulled(connect(server.host, basic)[0], DIGEST, len(BLOB)) == BLOB
        assert "authorization" in server.asked("GET", "/moved")[0].headers
        assert [request.path for request in other.seen] == ["/storage"]
        assert "authorization" not in other.seen[0].headers


def test_an_upload_at_another_host_gets_no_authorization() -> None:
    with web(lambda _: (201, {}, b"")) as other:

        def answer(request: Seen) -> Answer:
            if "authorization" not in request.headers:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            return 202, {"Location": f"http://{other.host}/upload"}, b""

        with web(answer) as server:
            connect(server.host, Credentials(USER, PASSWORD))[0].upload(DIGEST, len(BLOB), lambda: [BLOB])
        assert other.seen[0].body == BLOB
        assert "authorization" not in other.seen[0].headers


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="http://HOST/token"'])
def test_a_challenge_of_another_host_is_not_answered(challenge: str) -> None:
    def answer(request: Seen) -> Answer:
        return 401, {"WWW-Authenticate": challenge.replace("HOST", request.headers["host"])}, b""

    with web(answer) as other:
        moved = web(lambda _: (307, {"Location": f"http://{other.host}/storage"}, b""))
        with moved as server, pytest.raises(AnswerError, match="answered 401"):
            pulled(connect(server.host, Credentials(USER, PASSWORD))[0], DIGEST)
        assert [request.path for request in other.seen] == ["/storage"]
        assert "authorization" not in other.seen[0].headers


def test_redirects_end_and_stay_encrypted() -> None:
    with web(lambda _: (307, {"Location": "/again"}, b"")) as server, pytest.raises(RegistryError, match="more than 5"):
        connect(server.host)[0].manifest("v1")
    assert len(server.seen) == 6
    with (
        web(lambda _: (307, {"Location": "http://registry.example/x"}, b"")) as server,
        pytest.raises(RegistryError, match=r"http://registry\.example, which is not encrypted"),
    ):
        connect(server.host)[0].manifest("v1")
    with (
        web(lambda _: (307, {"Location": "file:///etc/passwd"}, b"")) as server,
        pytest.raises(RegistryError, match="neither http nor https"),
    ):
        connect(server.host)[0].manifest("v1")
    with (
        web(lambda _: (202, {"Location": "http://registry.example/x"}, b"")) as server,
        pytest.raises(RegistryError, match="not encrypted"),
    ):
        connect(server.host)[0].upload(DIGEST, len(BLOB), lambda: [BLOB])


@pytest.mark.parametrize("location", ["http://[::1/x", "http://127.0.0.1:port/x", "x" * 9 + "://h/"])
def test_redirects_to_what_is_no_address(location: str) -> None:
    with web(lambda _: (307, {"Location": location}, b"")) as server, pytest.raises(RegistryError, match="not valid"):
        connect(server.host)[0].manifest("v1")
    realm = {"WWW-Authenticate": f'Bearer realm="{location}"'}
    with web(lambda _: (401, realm, b"")) as server, pytest.raises(RegistryError, match="not valid"):
        connect(server.host)[0].manifest("v1")


def test_what_a_registry_repeats_of_a_login_is_not_shown() -> None:
    def answer(request: Seen) -> Answer:
        shown = request.headers.get("authorization", "")
        if not shown:
            return 401, {"WWW-Authenticate": "Basic"}, b""
        words = f"{shown} and {base64.b64decode(shown.split()[1]).decode()}"
        return 403, {}, json.dumps({"errors": [{"code": "DENIED", "message": words}]}).encode()

    with web(answer) as server, pytest.raises(AnswerError, match=r"DENIED: Basic \*\*\* and ali:\*\*\*"):
        connect(server.host, Credentials(USER, PASSWORD))[0].manifest("v1")


def test_a_length_that_is_none_counts_as_nothing() -> None:
    with web(lambda _: (200, {"Content-Length": "9" * 5000}, b"")) as server:
        assert connect(server.host)[0].blob_size(DIGEST) == 0


def test_credentials_do_not_go_to_a_token_server_without_tls() -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://tokens.example/token",service="x"'}
    with web(lambda _: (401, challenge, b"")) as server, pytest.raises(RegistryError, match="not encrypted"):
        connect(server.host, Credentials(USER, PASSWORD))[0].manifest("v1")


def test_a_token_server_sends_nobody_elsewhere() -> None:
    with web(lambda _: (200, {}, b'{"token": "x"}')) as other:
        away = {"Location": f"http://{other.host}/token"}
        with web(lambda _: (302, away, b"")) as tokens:
            challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token"'}
            with web(lambda _: (401, challenge, b"")) as server, pytest.raises(AnswerError, match="answered 302"):
                connect(server.host, Credentials(USER, PASSWORD))[0].manifest("v1")
    assert other.seen == []


def test_plain_http_is_for_loopback_or_when_asked() -> None:
    assert Transport("registry.example:5000").base == "https://registry.example:5000"
    assert Transport("registry.example:5000", plain_http=True).base == "http://registry.example:5000"
    assert Transport("127.0.0.1:5000").base == "http://127.0.0.1:5000"
    assert Transport("127.0.0.1:5000", plain_http=False).base == "https://127.0.0.1:5000"
    assert all(map(is_loopback, ("localhost", "[::1]", "127.9.9.9", "a.localhost")))
    others = ("127.0.0.1.example", "127.example", "localhost.example", "10.0.0.1", "")
    assert not any(map(is_loopback, others))


def test_secrets_echoed_by_a_registry_are_hidden() -> None:
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    tokens = web(lambda _: (200, {}, json.dumps({"token": "the-bearer-token"}).encode()))

    def answer(request: Seen) -> Answer:
        if "authorization" not in request.headers:
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{token_server.host}/t?a=b",scope="other:x:y"'}, b""
        echo = f"you sent {request.headers['authorization']} and {basic} and {PASSWORD}\nline"
        return 403, {}, json.dumps({"errors": [{"code": "DENIED", "message": echo}]}).encode()

    with tokens as token_server, web(answer) as server, pytest.raises(AnswerError) as caught:
        connect(server.host, Credentials(USER, PASSWORD))[0].manifest("v1")
    assert "you sent Bearer *** and *** and *** line" in caught.value.message
    assert "a=b&scope=other%3Ax%3Ay&scope=repository%3Abase%3Apull" in token_server.seen[0].path
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": ""}', b'{"token": "a\\r\\nb"}', b'{"token": 1}'])
def test_nonsense_from_a_token_server(body: bytes) -> None:
    with web(lambda _: (200, {}, body)) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token"'}
        with web(lambda _: (401, challenge, b"")) as server, pytest.raises(RegistryError, match="sent no token"):
            connect(server.host)[0].manifest("v1")


def test_challenges_are_parsed() -> None:
    header = (
        'Basic realm="a, \\"b\\"", Bearer realm="https://t.example/x?y=z", service=reg, scope="repository:a:pull,push"'
    )
    assert parse_challenges(header) == {
        "basic": {"realm": 'a, "b"'},
        "bearer": {"realm": "https://t.example/x?y=z", "service": "reg", "scope": "repository:a:pull,push"},
    }
    assert parse_challenges("") == {}
    assert parse_challenges("Negotiate abc") == {}
    assert parse_challenges("basic") == {"basic": {}}


def write_config(directory: pathlib.Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))


def test_credentials_come_from_dockers_configuration(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    auths = {"registry.example:5000": {"auth": auth}, "https://other.example/v1/": {"auth": auth}}
    auths["third.example"] = {"auth": auth, "identitytoken": "refresh"}
    write_config(tmp_path, {"auths": auths}, monkeypatch)
    for host in ("registry.example:5000", "other.example"):
        found = credentials_for(host, Connections())
        assert (found.username, found.password, found.identity_token) == (USER, PASSWORD, None)
    assert credentials_for("third.example", Connections()).identity_token == "refresh"
    assert credentials_for("registry.example", Connections()).anonymous
    assert endpoint("registry.example", "base") == ("registry.example", "base")


def test_a_credential_helper_is_asked(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text(
        f'#!/bin/sh\nread host\necho "$host" >> {tmp_path}/asked\n'
        f'echo \'{{"ServerURL": "", "Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n'
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write_config(tmp_path, {"credHelpers": {"registry.example": "vault"}}, monkeypatch)
    assert credentials_for("registry.example", Connections()).password == PASSWORD
    assert credentials_for("other.example", Connections()).anonymous
    assert (tmp_path / "asked").read_text() == "registry.example\n"


@pytest.mark.parametrize(
    "config", [{"credsStore": "does-not-exist"}, {"auths": {"x": "y"}}, {"auths": {"127.0.0.1": {"auth": "###"}}}]
)
def test_a_broken_configuration_is_explained_when_access_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    write_config(tmp_path, config, monkeypatch)
    with web(lambda _: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")) as server:
        credentials = credentials_for(server.host, Connections())
        assert credentials.anonymous
        with pytest.raises(AnswerError) as caught:
            connect(server.host, credentials)[0].manifest("v1")
    assert "config.json gives no credentials" in str(caught.value.hint)


def test_threads_share_one_authorization() -> None:
    def answer(request: Seen) -> Answer:
        if "authorization" not in request.headers:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return 200, {}, b"{}"

    with web(answer) as server:
        registry, _ = connect(server.host, Credentials(USER, PASSWORD))
        registry.manifest("v1")
        threads = [threading.Thread(target=registry.manifest, args=("v1",)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum("authorization" not in request.headers for request in server.seen) == 1
