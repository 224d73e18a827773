"""Content on its way to where tasks find it."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildrules.errors import FetchError
from buildrules.executors.depot import Depot
from buildrules.net.session import Session
from buildrules.remote.backend import Blob, Body
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from buildrules.sha256 import digest_of
from tests.support.local import Local, Plain

TEXTS = [b"one", b"two"]
CONTENT: dict[Blob, Body] = {Blob(digest_of(text), 3): lambda text=text: [text] for text in TEXTS}  # type: ignore[misc]


def opened(url: str) -> Guarded:
    return Guarded(open_backend(url, Session()))


def test_threads_open_one_place_and_send_each_once(tmp_path: Path) -> None:
    places = []

    def slowly() -> Guarded:
        time.sleep(0.05)
        places.append(opened(f"file://{tmp_path}"))
        return places[-1]

    depot = Depot(slowly)
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda _: depot.have(CONTENT), range(8)))
    assert len(places) == 1
    assert sum(sent) == places[0].stats.bytes_out == 6
    depot.close()


def test_what_is_sent_is_sent_side_by_side() -> None:
    both = threading.Barrier(2)

    def answer(request: Plain) -> None:
        both.wait(20)
        request.send(200)

    with Local(answer) as server:
        depot = Depot(lambda: opened(server.url))
        assert depot.send(list(CONTENT), CONTENT) == 6
        depot.close()


def test_a_place_that_does_not_answer_is_not_one_that_lacks_all() -> None:
    depot = Depot(lambda: opened("http://127.0.0.1:1"))
    said = r"nobody says what is at http://127\.0\.0\.1:1: .*refused"
    with pytest.raises(FetchError, match=re.compile(said, re.I)):
        depot.lacking(CONTENT)
