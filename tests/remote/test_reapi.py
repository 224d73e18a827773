"""The Remote Execution API: what is particular to it, with a real server that is killed, and calls that go wrong."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import CredentialsError, UsageError
from buildrules.net.session import Session
from buildrules.remote import reapi_messages as forms
from buildrules.remote.backend import Backend, Blob, RemoteError
from buildrules.remote.opening import open_backend
from buildrules.remote.protobuf import decode, encode
from buildrules.start.trust import VARIABLES
from tests.oci.registry.servers import certify
from tests.remote.places import blob_of
from tests.support.casd import Casd, casd_server

KEY, OTHER = "a" * 64, "b" * 64


def keep(place: Backend, data: bytes) -> Blob:
    place.content.write(blob_of(data), lambda: [data[at : at + 100_000] for at in range(0, len(data), 100_000)])
    return blob_of(data)


def read(place: Backend, blob: Blob, offset: int = 0) -> bytes:
    return b"".join(place.content.read(blob, offset))


class TestServer:
    """With a real server."""

    pytestmark = pytest.mark.network

    @pytest.fixture
    def casd(self, tmp_path: Path) -> Iterator[Casd]:
        with casd_server(tmp_path / "casd") as server:
            yield server

    @pytest.fixture
    def place(self, casd: Casd) -> Iterator[Backend]:
        place = open_backend(casd.url, Session())
        yield place
        place.close()

    @pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
    def test_content_comes_back_also_from_the_middle(self, place: Backend, size: int) -> None:
        data = os.urandom(size)
        blob = keep(place, data)
        assert place.content.holds([blob, blob_of(b"no")]) == {blob.digest}
        for offset in {0, size // 2, size}:
            assert read(place, blob, offset) == data[offset:]

    def test_a_record_whose_content_is_not_there_is_none(self, place: Backend) -> None:
        place.records.put(KEY, b"record", [blob_of(b"nowhere")])
        assert place.records.get(KEY) is None
        there = keep(place, b"there")
        place.records.put(KEY, b"record", [there])
        assert place.records.get(KEY) == b"record"

    def test_the_first_record_of_a_key_stays(self, place: Backend) -> None:
        place.records.put(KEY, b"first", [])
        place.records.put(KEY, b"second", [])
        assert place.records.get(KEY) == b"first"
        place.records.put(KEY, b"third", [], replace=True)
        assert place.records.get(KEY) == b"third"
        assert place.records.get(OTHER) is None

    def test_a_server_killed_while_content_arrives_has_nothing_of_it(self, casd: Casd, place: Backend) -> None:
        data = os.urandom(8 << 20)
        keep(place, b"before")

        def body() -> Iterator[bytes]:
            yield data[: 4 << 20]
            casd.kill()
            yield data[4 << 20 :]

        with pytest.raises(RemoteError) as caught:
            place.content.write(blob_of(data), body)
        assert caught.value.retry
        casd.start()
        again = open_backend(casd.url, Session())
        assert again.content.holds([blob_of(data), blob_of(b"before")]) == {blob_of(b"before").digest}
        assert read(again, keep(again, data)) == data

    @pytest.mark.parametrize("length", [3 << 20, (4 << 20) - 1])
    def test_wrong_and_short_content_is_refused(self, place: Backend, length: int) -> None:
        data, wrong = os.urandom(4 << 20), os.urandom(length)
        with pytest.raises(RemoteError) as caught:
            place.content.write(blob_of(data), lambda: [wrong])
        assert not caught.value.retry
        assert place.content.holds([blob_of(data)]) == set()

    def test_an_error_of_the_one_who_sends_is_its_own(self, place: Backend) -> None:
        data = os.urandom(4 << 20)

        def body() -> Iterator[bytes]:
            yield data[: 2 << 20]
            raise InterruptedError("stop")

        with pytest.raises(InterruptedError):
            place.content.write(blob_of(data), body)
        assert place.content.holds([blob_of(data)]) == set()

    def test_content_that_is_not_there(self, place: Backend) -> None:
        for size in (5, 5 << 20):
            with pytest.raises(FileNotFoundError):
                read(place, Blob("sha256:" + "1" * 64, size))


class Acted:
    """A server whose answers are what the test says: status codes, limits, what it was sent."""

    def __init__(self, tls: Path | None = None) -> None:
        import grpc

        self.answers: dict[str, Any] = {"GetCapabilities": self.limits()}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: list[bytes] = []
        self._grpc = grpc
        self.server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[self])
        if tls is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            pair = (tls / "key.pem").read_bytes(), (tls / "certificate.pem").read_bytes()
            self.port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        self.server.start()

    @staticmethod
    def limits(**more: Any) -> bytes:
        cache = {"digest_functions": [1], "action_cache_update_capabilities": {"update_enabled": 1}, **more}
        return encode(forms.CAPABILITIES, {"cache_capabilities": cache})

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        self.asked.append((method, dict(details.invocation_metadata)))

        def answer(message: bytes, context: Any) -> bytes:
            self.sent.append(message)
            found = self.answers[method]
            if isinstance(found, bytes):
                return found
            code, said, trailers = found
            context.set_trailing_metadata(trailers)
            context.abort(getattr(self._grpc.StatusCode, code), said)
            raise AssertionError

        return self._grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def acted() -> Iterator[Acted]:
    server = Acted()
    yield server
    server.server.stop(None)


def acted_place(acted: Acted, session: Session | None = None, path: str = "") -> Backend:
    return open_backend(f"grpc://127.0.0.1:{acted.port}{path}", session or Session())


@pytest.mark.parametrize(
    ("code", "retry", "refused"),
    [
        ("UNAVAILABLE", True, False),
        ("RESOURCE_EXHAUSTED", True, False),
        ("ABORTED", True, False),
        ("INVALID_ARGUMENT", False, False),
        ("OUT_OF_RANGE", False, False),
        ("UNIMPLEMENTED", False, False),
        ("UNAUTHENTICATED", False, True),
        ("PERMISSION_DENIED", False, True),
    ],
)
def test_what_a_status_means(acted: Acted, code: str, retry: bool, refused: bool) -> None:
    acted.answers["GetActionResult"] = (code, "because \x1b[2J of\nthat", ())
    with pytest.raises(RemoteError) as caught:
        acted_place(acted).records.get(KEY)
    assert (caught.value.retry, caught.value.refused) == (retry, refused)
    assert "\n" not in caught.value.text


def test_how_long_to_wait_is_what_the_server_says(acted: Acted) -> None:
    info = encode(forms.RETRY_INFO, {"retry_delay": {"seconds": 2, "nanos": 500_000_000}})
    detail = {"type_url": "type.googleapis.com/google.rpc.RetryInfo", "value": info}
    status = encode(forms.STATUS, {"code": 14, "details": [detail]})
    acted.answers["GetActionResult"] = ("UNAVAILABLE", "", (("grpc-status-details-bin", status),))
    with pytest.raises(RemoteError) as caught:
        acted_place(acted).records.get(KEY)
    assert caught.value.wait == 2.5


def test_a_server_that_takes_no_results_is_not_sent_any(acted: Acted) -> None:
    acted.answers["GetCapabilities"] = acted.limits(action_cache_update_capabilities=None)
    with pytest.raises(RemoteError) as caught:
        acted_place(acted).records.put(KEY, b"record", [])
    assert caught.value.refused
    assert [method for method, _ in acted.asked] == ["GetCapabilities"]


def test_a_server_of_other_digests_is_no_cache(acted: Acted) -> None:
    acted.answers["GetCapabilities"] = acted.limits(digest_functions=[2, 9])
    with pytest.raises(RemoteError, match="SHA-256"):
        acted_place(acted).content.holds([blob_of(b"")])


def test_a_blob_above_the_limit_of_the_server_is_not_sent(acted: Acted) -> None:
    acted.answers["GetCapabilities"] = acted.limits(max_cas_blob_size_bytes=1000)
    with pytest.raises(RemoteError) as caught:
        acted_place(acted).content.write(Blob("sha256:" + "1" * 64, 1001), lambda: [b"1" * 1001])
    assert caught.value.too_large


def test_an_answer_that_is_no_message_is_an_error(acted: Acted, capfd: pytest.CaptureFixture[str]) -> None:
    acted.answers["GetActionResult"] = b"\x0a\xff"
    with pytest.raises(RemoteError, match="no answer"):
        acted_place(acted).records.get(KEY)
    assert capfd.readouterr().err == ""


def test_many_threads_ask_once_what_a_server_can(acted: Acted) -> None:
    acted.answers["FindMissingBlobs"] = b""
    place = acted_place(acted)
    threads = [threading.Thread(target=place.content.holds, args=([blob_of(b"1")],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [method for method, _ in acted.asked].count("GetCapabilities") == 1


def session_with(**row: Any) -> Session:
    session = Session()
    session.connect([{"name": "cache", "type": "http", **row}], ".")
    return session


def test_the_login_of_a_connection_goes_along(acted: Acted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_TOKEN", "open-sesame")
    target = f"http://127.0.0.1:{acted.port}"
    session = session_with(target=target, kind="api_key", parts={"key": {"env": "CACHE_TOKEN"}})
    acted.answers["GetActionResult"] = ("UNAUTHENTICATED", "not with open-sesame", ())
    with pytest.raises(RemoteError) as caught:
        acted_place(acted, session).records.get(KEY)
    assert acted.asked[-1][1]["authorization"] == "Bearer open-sesame"
    assert "open-sesame" not in caught.value.text


def test_a_login_is_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_TOKEN", "open-sesame")
    row = {"target": "http://cache.example:80", "kind": "api_key", "parts": {"key": {"env": "CACHE_TOKEN"}}}
    with pytest.raises(CredentialsError, match="unencrypted"):
        open_backend("grpc://cache.example/main", session_with(**row))
    open_backend("grpc://cache.example/main", session_with(**row, plain_http=True))


def test_an_address_without_a_host() -> None:
    with pytest.raises(UsageError, match="names no host"):
        open_backend("grpc:///main", Session())


ASK = """
import sys
from buildrules.net.session import Session
from buildrules.remote.opening import open_backend
try:
    open_backend(sys.argv[1], Session()).records.get("a" * 64)
except Exception as error:
    print(error.text)
"""


def test_the_path_of_an_address_is_the_name_of_the_instance(acted: Acted) -> None:
    acted.answers["GetActionResult"] = ("NOT_FOUND", "", ())
    assert acted_place(acted, path="/team/main").records.get(KEY) is None
    assert [decode(forms.GET_CAPABILITIES, sent)["instance_name"] for sent in acted.sent] == ["team/main"] * 2


def test_certificates_that_cannot_be_read_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    monkeypatch.setattr(session.connections, "certificates", lambda: ("/proc/self/mem", None))
    with pytest.raises(CredentialsError, match="'/proc/self/mem'"):
        open_backend("grpcs://127.0.0.1:9", session).records.get(KEY)


def test_certificates_are_those_that_all_traffic_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    certify(tmp_path)
    acted = Acted(tmp_path)
    acted.answers["GetActionResult"] = ("NOT_FOUND", "", ())
    url = f"grpcs://127.0.0.1:{acted.port}"
    with pytest.raises(RemoteError) as caught:
        open_backend(url, Session()).records.get(KEY)
    assert caught.value.retry
    assert not acted.sent
    done = subprocess.run([sys.executable, "-c", ASK, url], check=True, capture_output=True, text=True)
    assert "unavailable" in done.stdout
    assert done.stderr == ""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    assert open_backend(url, Session()).records.get(KEY) is None
    monkeypatch.delenv("SSL_CERT_FILE")
    (tmp_path / "key.pem").unlink()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert open_backend(url, Session()).records.get(KEY) is None
    acted.server.stop(None)
