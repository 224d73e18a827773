"""HTTP over a local socket: whatever an engine answers, whole, broken or nonsense."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import DockerError
from buildrules.oci import docker_http
from buildrules.oci.docker_connect import unix
from buildrules.oci.docker_http import Engine, message_of


@contextlib.contextmanager
def engine(*answers: bytes, early: bool = False) -> Iterator[tuple[Engine, list[bytes]]]:
    """An engine that answers with these bytes in turn, and what it was asked. With `early`, before it has read."""
    asked: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        server.listen()

        def serve() -> None:
            for answer in answers:
                peer, _ = server.accept()
                with peer:
                    if early:
                        peer.shutdown(socket.SHUT_RD)
                        while peer.recv(1 << 16):
                            pass
                    else:
                        data = peer.recv(1 << 16)
                        while b"chunked" in data and not data.endswith(b"0\r\n\r\n"):
                            data += peer.recv(1 << 16)
                        asked.append(data)
                    peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Engine("here", unix(f"{folder}/s"), "the engine"), asked
        thread.join()


def chunked(parts: list[bytes]) -> bytes:
    body = b"".join(b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in parts if part)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\nTrailer: x\r\n\r\n"


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 200), st.sampled_from(["chunks", "length", "end"]))
def test_bodies_come_whole(parts: list[bytes], size: int, kind: str) -> None:
    body = b"".join(parts)
    length = b"Content-Length: %d\r\n" % len(body) if kind == "length" else b""
    answer = chunked(parts) if kind == "chunks" else b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (length, body)
    with engine(answer) as (one, asked), one.open("GET", "/x", query={"a": "b c"}) as reply:
        assert reply.status == 200
        found = b""
        while data := reply.read(size):
            assert len(data) <= size
            found += data
    assert found == body
    assert asked[0].startswith(b"GET /x?a=b+c HTTP/1.1\r\nHost: ")


@given(st.lists(st.text("ab", max_size=9), max_size=5), st.integers(0, 20))
def test_lines_come_whole(lines: list[str], cut: int) -> None:
    body = "".join(line + "\n" for line in lines).encode()
    with engine(chunked([body[:cut], body[cut:]])) as (one, _), one.open("GET", "/x") as reply:
        assert list(reply.lines()) == [line.encode() for line in lines]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        chunked([b"12345"])[:-12],
        chunked([b"12345"])[:-22],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_a_body_that_breaks_off_is_an_error(answer: bytes) -> None:
    with (
        engine(answer) as (one, _),
        one.open("GET", "/x") as reply,
        pytest.raises(DockerError, match="the engine broke off its answer"),
    ):
        reply.read()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300,
        b"a" * 100_000,
    ],
)
def test_no_answer_is_an_error(answer: bytes) -> None:
    with engine(answer) as (one, _), pytest.raises(DockerError, match="the engine hung up during GET /x: ") as caught:
        one.open("GET", "/x", query={"secret": "s"})
    assert "secret" not in caught.value.message
    assert caught.value.hint


def test_a_body_goes_in_chunks() -> None:
    with (
        engine(b"HTTP/1.1 204 No Content\r\n\r\n") as (one, asked),
        one.open("POST", "/x", headers={"Content-Type": "a/b"}, body=iter([b"one", b"", b"two"])) as reply,
    ):
        assert reply.read() == b""
    assert asked[0].endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert b"Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n" in asked[0]


FAILED = b'HTTP/1.1 500 Internal\r\nContent-Length: 18\r\n\r\n{"message":"gone"}'


def test_a_question_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_http, "PAUSES", (0, 0))
    with engine(FAILED, FAILED, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]") as (one, asked):
        assert one.call("GET", "/images/json") == []
    assert len(asked) == 3
    with engine(FAILED, FAILED, FAILED) as (one, _), pytest.raises(DockerError, match=r"refused GET /x: gone"):
        one.call("GET", "/x")
    with engine(FAILED) as (one, _), pytest.raises(DockerError, match=r"refused POST /x: gone"):
        one.call("POST", "/x")


def test_an_engine_that_refuses_half_way_is_heard() -> None:
    refusal = b'HTTP/1.1 500 Internal\r\nContent-Length: 18\r\n\r\n{"message":"full"}'
    with (
        engine(refusal, early=True) as (one, _),
        one.open("POST", "/x", body=iter([b"x" * 100_000] * 100)) as reply,
    ):
        assert (reply.status, message_of(reply.read())) == (500, "full")
