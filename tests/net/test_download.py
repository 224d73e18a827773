"""Downloads against a real server on 127.0.0.1 that breaks off, goes slow, redirects and refuses."""

import base64
import errno
import fcntl
import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from buildrules.credentials.redact import redact, scrub
from buildrules.errors import FetchError, GoneError, IntegrityError, Interrupted
from buildrules.net import client
from buildrules.net.download import Download, fetch_all
from buildrules.start import partial, retry
from tests.support.fetching import Context
from tests.support.local import Local, Plain

TOKEN = "canary-4f1d"
DATA = random.Random(7).randbytes(3_000_000)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Server:
    """`answer(handler, nth)` writes the reply to the nth request of a path; `seen` keeps (path, headers)."""

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[Plain, int], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.http = Local(self._answer)
        self.port, self.url = self.http.server_port, self.http.url

    def _answer(self, handler: Plain) -> None:
        path = handler.path.partition("?")[0]
        nth = sum(1 for seen, _ in self.seen if seen == path)
        self.seen.append((path, dict(handler.headers)))
        self.routes[path](handler, nth)

    def ranges(self, path: str) -> list[str | None]:
        return [headers.get("Range") for seen, headers in self.seen if seen == path]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.close()


other = server


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(retry, "BACKOFF", 0.001)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Context(tmp_path)


def status(code: int, **headers: str) -> Callable[[Plain, int], None]:
    def answer(handler: Plain, nth: int) -> None:
        handler.send(code, **headers)

    return answer


def whole(data: bytes = DATA) -> Callable[[Plain, int], None]:
    return lambda handler, nth: handler.send(200, data)


def drop(handler: Plain) -> None:
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def dropping(*, after: int, times: int, ranges: bool = True) -> Callable[[Plain, int], None]:
    """Serve DATA with Range, but break off `after` bytes into the first `times` answers."""

    def answer(handler: Plain, nth: int) -> None:
        asked = handler.headers.get("Range") if ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        handler.send_header("Content-Length", str(len(DATA) - start))
        handler.end_headers()
        if nth < times:
            handler.wfile.write(DATA[start : start + after])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_WR)
            handler.close_connection = True
        else:
            handler.wfile.write(DATA[start:])

    return answer


def fetch_blob(urls: Sequence[str], digest: str, size: int | None, context: Context, **more: Any) -> None:
    fetch_all([Download(urls, digest, size, **more)], context)


def leftovers(context: Context) -> list[str]:
    folder = Path(context.blobs.tmp, "partial")
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_fetches_verifies_and_counts(server: Server, context: Context) -> None:
    server.routes["/a.whl"] = whole()
    fetch_blob([f"{server.url}/a.whl"], DIGEST, len(DATA), context, what="a 1.0")
    assert context.blobs.read(DIGEST) == DATA
    assert context.fetched == len(DATA)
    assert context.reports[-1] == ("a 1.0", len(DATA), len(DATA))
    assert leftovers(context) == []
    assert os.stat(context.blobs.path(DIGEST)).st_mode & 0o777 == 0o444
    fetch_blob([f"{server.url}/a.whl"], DIGEST, len(DATA), context)
    assert len(server.seen) == 1


def test_size_may_be_unknown(server: Server, context: Context) -> None:
    server.routes["/a"] = whole()
    fetch_blob([f"{server.url}/a"], DIGEST, None, context)
    assert context.blobs.read(DIGEST) == DATA


def test_file_url(tmp_path: Path, context: Context) -> None:
    (tmp_path / "with space.whl").write_bytes(DATA)
    fetch_blob([(tmp_path / "with space.whl").as_uri()], DIGEST, len(DATA), context)
    assert context.blobs.read(DIGEST) == DATA
    with pytest.raises(GoneError, match="no such file"):
        fetch_blob([(tmp_path / "none").as_uri()], "0" * 64, None, context)


def test_resumes_by_range_after_a_drop(server: Server, context: Context) -> None:
    server.routes["/a"] = dropping(after=1_000_000, times=2)
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.blobs.read(DIGEST) == DATA
    assert server.ranges("/a") == [None, "bytes=1000000-", "bytes=2000000-"]
    assert context.fetched == len(DATA)


def test_drops_with_progress_between_do_not_use_up_the_tries(server: Server, context: Context) -> None:
    server.routes["/a"] = dropping(after=600_000, times=4)
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.blobs.read(DIGEST) == DATA


def test_starts_over_where_the_server_knows_no_ranges(server: Server, context: Context) -> None:
    server.routes["/a"] = dropping(after=1_000_000, times=1, ranges=False)
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.blobs.read(DIGEST) == DATA


def test_reset_connections_are_tried_three_times(server: Server, context: Context) -> None:
    server.routes["/a"] = lambda handler, nth: drop(handler)
    with pytest.raises(FetchError, match="after 3 tries") as caught:
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert not isinstance(caught.value, GoneError | IntegrityError)
    assert len(server.seen) == 3
    assert leftovers(context) == []


def test_goes_on_where_an_earlier_process_stopped(server: Server, context: Context, tmp_path: Path) -> None:
    folder = Path(context.blobs.tmp, "partial")
    folder.mkdir(parents=True)
    (folder / DIGEST[7:]).write_bytes(DATA[:1234])
    server.routes["/a"] = dropping(after=0, times=0)
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert server.ranges("/a") == ["bytes=1234-"]
    assert context.fetched == len(DATA) - 1234
    assert context.blobs.read(DIGEST) == DATA


def test_a_rotten_partial_file_is_thrown_away(server: Server, context: Context) -> None:
    folder = Path(context.blobs.tmp, "partial")
    folder.mkdir(parents=True)
    (folder / DIGEST[7:]).write_bytes(b"x" * 5000)
    server.routes["/a"] = dropping(after=0, times=0)
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert server.ranges("/a") == ["bytes=5000-", None]
    assert context.blobs.read(DIGEST) == DATA


def test_a_drop_keeps_what_came_for_the_next_run(server: Server, context: Context) -> None:
    server.routes["/a"] = dropping(after=300_000, times=3)
    with pytest.raises(FetchError):
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert leftovers(context) == [DIGEST[7:]]
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.fetched == len(DATA)
    assert leftovers(context) == []


@pytest.mark.parametrize("code", [404, 410])
def test_gone_everywhere(server: Server, context: Context, code: int) -> None:
    server.routes["/a"] = server.routes["/b"] = status(code)
    with pytest.raises(GoneError, match=f"answered {code}"):
        fetch_blob([f"{server.url}/a", f"{server.url}/b"], DIGEST, len(DATA), context, what="a 1.0")
    assert [path for path, _ in server.seen] == ["/a", "/b"]


def test_gone_here_and_broken_there_is_not_gone(server: Server, context: Context) -> None:
    server.routes["/a"], server.routes["/b"] = status(404), status(500)
    with pytest.raises(FetchError) as caught:
        fetch_blob([f"{server.url}/a", f"{server.url}/b"], DIGEST, len(DATA), context)
    assert not isinstance(caught.value, GoneError)


def test_the_second_url_helps_out(server: Server, context: Context) -> None:
    server.routes["/a"], server.routes["/b"] = status(404), whole()
    fetch_blob([f"{server.url}/a", f"{server.url}/b"], DIGEST, len(DATA), context)
    assert context.blobs.has(DIGEST, len(DATA))


def test_no_url_at_all(context: Context) -> None:
    with pytest.raises(GoneError, match=r"nothing says where 'a 1.0'"):
        fetch_blob([], DIGEST, None, context, what="a 1.0")


@pytest.mark.parametrize("url", ["ftp://host/a", "a-1.0.whl", "http://[bad"])
def test_urls_of_no_use(context: Context, url: str) -> None:
    with pytest.raises(FetchError):
        fetch_blob([url], DIGEST, None, context)


def test_busy_servers_are_waited_for(server: Server, context: Context) -> None:
    def answer(handler: Plain, nth: int) -> None:
        (status(429, Retry_After="0") if nth == 0 else status(503) if nth == 1 else whole())(handler, nth)

    server.routes["/a"] = answer
    fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert len(server.seen) == 3


def test_retry_after_is_obeyed_but_not_for_an_hour(server: Server, context: Context) -> None:
    server.routes["/a"] = status(503, Retry_After="3600")
    with pytest.raises(FetchError, match="asks to come back in 3600 s"):
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert len(server.seen) == 1


def test_other_content_is_refused_and_not_kept(server: Server, context: Context) -> None:
    server.routes["/a"] = whole(b"x" * len(DATA))
    with pytest.raises(IntegrityError, match=r"'a 1.0' is not what it must be"):
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context, what="a 1.0")
    assert not context.blobs.has(DIGEST)
    assert leftovers(context) == []


def test_another_size_is_refused_before_it_is_read(server: Server, context: Context) -> None:
    server.routes["/a"] = whole(DATA + b"x")
    with pytest.raises(IntegrityError, match=r"3000001 bytes, expected .* 3000000 bytes"):
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.fetched == 0


def test_slow_answers_are_fine_silent_ones_are_not(
    server: Server, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IDLE_TIMEOUT", 1.0)

    def slow(handler: Plain, nth: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "8")
        handler.end_headers()
        for _ in range(8):
            time.sleep(0.2)
            handler.wfile.write(b"x")

    def silent(handler: Plain, nth: int) -> None:
        """Keeps the connection, and waits for the next request."""

    server.routes["/slow"], server.routes["/silent"] = slow, silent
    fetch_blob([f"{server.url}/slow"], hashlib.sha256(b"x" * 8).hexdigest(), 8, context)
    with pytest.raises(FetchError, match=r"timed out|silent"):
        fetch_blob([f"{server.url}/silent"], DIGEST, None, context)


def test_credentials_of_the_url_stay_out_of_sight(server: Server, context: Context) -> None:
    server.routes["/a"] = status(401)
    url = f"http://user:{TOKEN}@127.0.0.1:{server.port}/a?sig={TOKEN}"
    with pytest.raises(FetchError) as caught:
        fetch_blob([url], DIGEST, None, context)
    sent = server.seen[0][1]["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"user:{TOKEN}"
    error: BaseException | None = caught.value
    while error:
        assert TOKEN not in repr(error) and TOKEN not in str(vars(error))
        error = error.__cause__
    assert "~/.netrc" in str(caught.value.hint)
    assert TOKEN not in repr(context.reports)


def test_credentials_of_netrc(server: Server, context: Context, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    (tmp_path / "netrc").chmod(0o600)
    server.routes["/a"] = whole()
    fetch_blob([f"{server.url}/a"], DIGEST, None, context)
    assert base64.b64decode(server.seen[0][1]["Authorization"][6:]).decode() == f"me:{TOKEN}"


def test_credentials_do_not_follow_a_redirect_to_another_origin(
    server: Server, other: Server, context: Context
) -> None:
    server.routes["/a"] = status(302, Location="/b")
    server.routes["/b"] = status(302, Location=f"http://evil:evil@127.0.0.1:{other.port}/c")
    other.routes["/c"] = whole()
    url = f"http://user:{TOKEN}@127.0.0.1:{server.port}/a"
    fetch_blob([url], DIGEST, None, context)
    assert "Authorization" in server.seen[0][1]
    assert "Authorization" not in other.seen[0][1]


def test_credentials_follow_a_redirect_within_the_origin(server: Server, context: Context) -> None:
    server.routes["/a"], server.routes["/b"] = status(307, Location="/b"), whole()
    fetch_blob([f"http://user:{TOKEN}@127.0.0.1:{server.port}/a"], DIGEST, None, context)
    assert "Authorization" in server.seen[1][1]


def test_redirects_to_elsewhere_end(server: Server, context: Context) -> None:
    server.routes["/a"], server.routes["/f"] = status(302, Location="/a"), status(302, Location="file:///etc/passwd")
    with pytest.raises(FetchError, match="redirects"):
        fetch_blob([f"{server.url}/a"], DIGEST, None, context)
    with pytest.raises(FetchError, match="neither http nor https"):
        fetch_blob([f"{server.url}/f"], DIGEST, None, context)


def test_proxy_from_the_environment(
    server: Server, context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", f"http://p:{TOKEN}@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.routes["http://wheels.invalid/a"] = whole()
    fetch_blob(["http://wheels.invalid/a"], DIGEST, None, context)
    assert "Proxy-Authorization" in server.seen[0][1]
    monkeypatch.setenv("no_proxy", "wheels.invalid")
    monkeypatch.setenv("NO_PROXY", "wheels.invalid")
    with pytest.raises(FetchError, match=r"not found|not known|resolution"):
        fetch_blob(["http://wheels.invalid/a"], "1" * 64, None, context)


def test_refused_connection_says_so(context: Context) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="connection refused"):
        fetch_blob([f"http://127.0.0.1:{port}/a"], DIGEST, None, context)


def test_ctrl_c_keeps_what_came(server: Server, context: Context) -> None:
    server.routes["/a"] = whole()
    context.progress = lambda *_: setattr(context, "cancelled", True)  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert leftovers(context) == [DIGEST[7:]]
    assert not context.blobs.has(DIGEST)


def test_two_processes_fetch_once(server: Server, context: Context, tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def answer(handler: Plain, nth: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:1_000_000])
        begun.set()
        assert go.wait(20)
        handler.wfile.write(DATA[1_000_000:])

    server.routes["/a"] = answer
    script = f"""
import sys, types
from buildrules.store.blobs import Blobs
from buildrules.net.download import Download, fetch_all
from buildrules.net.session import Session
context = types.SimpleNamespace(session=Session(), blobs=Blobs(sys.argv[1]), cancelled=False, progress=lambda *a: None,
                                count=lambda **k: None)
fetch_all([Download(["{server.url}/a"], "{DIGEST}", {len(DATA)})], context)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    first = subprocess.Popen(command)
    assert begun.wait(20)
    second = subprocess.Popen(command)
    time.sleep(0.3)  # time for the second to reach the lock; were it not there yet, the test still holds
    go.set()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert len(server.seen) == 1
    assert context.blobs.read(DIGEST) == DATA
    assert leftovers(context) == []


def test_a_stalled_holder_is_not_waited_for(server: Server, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "STALLED", 0.2)
    server.routes["/a"] = whole()
    folder = Path(context.blobs.tmp, "partial")
    folder.mkdir(parents=True)
    with open(folder / DIGEST[7:], "wb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        fetch_blob([f"{server.url}/a"], DIGEST, len(DATA), context)
    assert context.blobs.read(DIGEST) == DATA
    assert leftovers(context) == []


def test_many_at_once(server: Server, context: Context) -> None:
    contents = [random.Random(n).randbytes(1000 + n) for n in range(30)]
    for number, data in enumerate(contents):
        server.routes[f"/{number}"] = whole(data)
    items = [
        Download([f"{server.url}/{n}"], "sha256:" + hashlib.sha256(data).hexdigest(), len(data))
        for n, data in enumerate(contents)
    ]
    fetch_all([*items, items[3]], context, parallel=4)
    assert all(context.blobs.read(item.digest) for item in items)
    assert len(server.seen) == 30


@pytest.mark.slow
def test_many_at_once_raises_the_cause_not_the_consequence(server: Server, context: Context) -> None:
    server.routes["/gone"] = status(404)

    def endless(handler: Plain, nth: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        try:
            for start in range(0, len(DATA), 1000):
                handler.wfile.write(DATA[start : start + 1000])
                time.sleep(0.01)
        except OSError as error:
            assert error.errno in (errno.EPIPE, errno.ECONNRESET)

    server.routes["/slow"] = endless
    items = [Download([f"{server.url}/slow"], DIGEST, len(DATA)), Download([f"{server.url}/gone"], "1" * 64, 5)]
    with pytest.raises(GoneError):
        fetch_all(items, context)


def test_redact_and_scrub() -> None:
    assert redact("https://u:p@host:8080/a/b?sig=1#x") == "https://host:8080/a/b"
    assert redact("file:///a/b.whl") == "file:///a/b.whl"
    text = f"failed https://u:{TOKEN}@host/simple/ and http://{TOKEN}@h:1/?a={TOKEN}, then mail a@b.c"
    assert scrub(text) == "failed https://host/simple/ and http://h:1/ then mail a@b.c"
