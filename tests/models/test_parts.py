"""A large file comes in parts, several at once, whatever its server makes of that."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.start.failure import Failure
from buildrules.start.parts import PART
from buildrules.start.transfer import Transfer
from buildrules.start.web import Web as Asking
from tests.models.conftest import download
from tests.models.test_huggingface import from_hub
from tests.support.hub import Hub
from tests.support.space import Space
from tests.support.web import Answering, Web

DATA = os.urandom(1 << 20) * 34 + b"the end"
SHA256 = hashlib.sha256(DATA).hexdigest()
STARTS = range(0, len(DATA), PART)
RANGES = [f"bytes={start}-{min(start + PART, len(DATA)) - 1}" for start in STARTS]
PATH = "/model.bin"


class Together(Web):
    """Answers no part but the first before `together` others are asked for."""

    def __init__(self, together: int) -> None:
        self.barrier = threading.Barrier(together)
        self.change: Callable[[str], str] = lambda text: text  # of the range that is asked for
        super().__init__()
        self.files[PATH] = DATA

    def kind(self) -> type[Answering]:
        return _Together


class _Together(Answering):
    web: Together

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        if asked:
            if not asked.startswith("bytes=0-"):
                self.web.barrier.wait(20)
            self.headers.replace_header("Range", self.web.change(asked))
        super().do_GET()


@pytest.fixture
def together() -> Iterator[Callable[[int], Together]]:
    servers: list[Together] = []

    def make(number: int) -> Together:
        servers.append(Together(number))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def bring(web: Web, path: Path, **more: Any) -> list[int]:
    """Bring the file to `path`; the bytes of each time it grew."""
    grown: list[int] = []
    more = {"streams": 5, "moved": lambda more, _: grown.append(more), **more}
    Transfer(Asking().request, lambda: (web.url + PATH, {}), len(DATA), SHA256, **more).to(str(path))
    return grown


def arrived(path: Path) -> bool:
    """Whether it is what it must be; bytes of this length are nothing for pytest to compare."""
    return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def test_parts_are_asked_for_at_once_and_laid_in_order(tmp_path: Path, together: Callable[[int], Together]) -> None:
    web = together(len(STARTS) - 1)
    assert sum(bring(web, tmp_path / "model")) == len(DATA)
    assert arrived(tmp_path / "model") and os.listdir(tmp_path) == ["model"]
    assert sorted(map(str, web.asked(PATH))) == sorted(RANGES)


def test_what_has_arrived_is_not_asked_for_again(tmp_path: Path, together: Callable[[int], Together]) -> None:
    (tmp_path / f".{SHA256}.part").write_bytes(DATA[: PART + 5])
    web = together(1)
    bring(web, tmp_path / "model", streams=2)
    assert arrived(tmp_path / "model")
    assert web.asked(PATH) == [f"bytes={s}-{min(s + PART, len(DATA)) - 1}" for s in range(PART + 5, len(DATA), PART)]


@pytest.mark.parametrize("ranges", [False, True])
def test_a_server_that_gives_no_parts_sends_the_whole_once(
    tmp_path: Path, together: Callable[[int], Together], ranges: bool
) -> None:
    """One that knows no ranges, and one that knows no end of them."""
    web = together(1)
    web.ranges, web.change = ranges, lambda text: text.partition("-")[0] + "-"
    bring(web, tmp_path / "model")
    assert arrived(tmp_path / "model") and web.asked(PATH) == ["bytes=0-"]


@pytest.mark.parametrize("fault", ["429", "503", "drop 1000", "drop 0"])
def test_where_parts_fail_fewer_are_asked_for_and_none_is_lost(
    tmp_path: Path, together: Callable[[int], Together], fault: str
) -> None:
    web = together(1)
    web.faults[PATH] = ["", "", fault]
    grown = bring(web, tmp_path / "model")
    assert arrived(tmp_path / "model") and sum(grown) == len(DATA) and min(grown) >= 0


def test_parts_of_another_place_are_not_taken(tmp_path: Path, together: Callable[[int], Together]) -> None:
    web = together(1)
    web.change = lambda text: "bytes=7-99" if text == RANGES[2] else text
    with pytest.raises(Failure, match="answered with another range than was asked for"):
        bring(web, tmp_path / "model", tries=1)
    web.change = lambda text: text
    bring(web, tmp_path / "model")
    assert arrived(tmp_path / "model")


def test_a_part_that_is_refused_ends_it_with_its_words(tmp_path: Path, together: Callable[[int], Together]) -> None:
    web = together(1)
    web.faults[PATH] = ["", "403"]
    with pytest.raises(Failure, match="answered 403 Forbidden"):
        bring(web, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_wrong_bytes_are_found(tmp_path: Path, together: Callable[[int], Together]) -> None:
    web = together(1)
    web.faults[PATH] = ["", "wrong"]
    with pytest.raises(Failure, match="has other content than it must"):
        bring(web, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_it_is_stopped_while_parts_are_on_their_way(tmp_path: Path, together: Callable[[int], Together]) -> None:
    stop, web = threading.Event(), together(5)  # of which four are asked for, and not answered

    def see() -> None:
        while web.barrier.n_waiting < 4:
            stop.wait(0.01)
        stop.set()

    threading.Thread(target=see, daemon=True).start()
    with pytest.raises(Failure, match="fetching was stopped"):
        bring(web, tmp_path / "model", stop=stop)
    assert os.listdir(tmp_path) == [f".{SHA256}.part"]
    web.barrier.abort()


def test_a_hub_s_large_file_is_built_and_fetched_at_start_in_parts(workspace: Space) -> None:
    hub = Hub()
    try:
        workspace.env["HF_ENDPOINT"] = hub.url
        files = {"model.bin": DATA, "config.json": b"{}\n", "tokenizer.json": b"{}\n"}
        hub.commit("acme/tiny", files)
        from_hub(workspace)
        workspace.build()
        asked = f"/lfs/{SHA256}"
        assert sorted(map(str, hub.store.asked(asked))) == sorted(RANGES)
        hub.store.seen.clear()
        workspace.append("BUILD.yaml", "    mode: download\n")
        download(workspace).run(env={"HF_ENDPOINT": hub.url})
        assert arrived(workspace.folder / "served/model.bin")
        assert sorted(map(str, hub.store.asked(asked))) == sorted(RANGES)
        assert all("Authorization" not in headers for _, headers in hub.store.seen)
    finally:
        hub.close()
