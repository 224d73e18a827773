"""Servers that say one thing of a file and send another: nothing is locked that is not the file."""

import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import BuildrulesError, FetchError, IntegrityError
from buildrules.locking.models import mlflow, s3
from buildrules.net.session import Session
from buildrules.start import retry, transfer
from buildrules.start.failure import Failure
from buildrules.start.web import Web
from tests.models.conftest import APP, from_uri
from tests.support.fetching import access
from tests.support.raw import Request, head, raw, whole
from tests.support.space import Space

OLD, NEW = b"OLD!" * 75_000, b"new." * 75_000
PART = 100_000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACKOFF", 0.01)


def listing(size: int) -> bytes:
    """S3's answer where a bucket has one object."""
    row = f"<Contents><Key>m/weights.bin</Key><Size>{size}</Size><ETag>&quot;a&quot;</ETag></Contents>"
    text = f"<ListBucketResult>{row}<IsTruncated>false</IsTruncated></ListBucketResult>"
    return whole(text.encode(), Content_Type="application/xml")


@pytest.mark.parametrize("body", [OLD[:PART], OLD + b"more"], ids=["short", "long"])
def test_an_object_of_another_size_than_listed_is_not_locked(tmp_path: Path, body: bytes) -> None:
    def answer(request: Request) -> bytes:
        return listing(len(OLD)) if "list-type" in request.path else head(200) + body

    why = r"ends at byte 100000 of 300000|contradicts what"
    with raw(answer) as server, pytest.raises((FetchError, IntegrityError), match=why):
        s3.resolve("s3://bucket/m", access(tmp_path, {"AWS_ENDPOINT_URL": server.url}))


def test_an_artifact_of_another_size_than_listed_is_not_locked(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        if "?path=" in request.path:
            return whole(json.dumps({"files": [{"path": "w.bin", "file_size": str(len(OLD))}]}).encode())
        return head(200) + OLD[:PART]

    with raw(answer) as server, pytest.raises(FetchError, match="ends at byte 100000 of 300000"):
        mlflow.resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": server.url}))


Fetched = Callable[..., "tuple[bytes, list[str | None]]"]


@pytest.fixture(params=[Web, lambda: Session().client], ids=["in a container", "at build"])
def fetched(request: pytest.FixtureRequest, tmp_path: Path) -> Fetched:
    """What a file of an unknown digest is taken for, and the ranges that were asked for."""

    def fetch(answer: Callable[[Request], bytes], **known: Any) -> tuple[bytes, list[str | None]]:
        place = tmp_path / "partial"
        client = request.param()
        with raw(answer) as server:
            where = f"{server.url}/m.bin", dict[str, str]()
            size, sha256 = transfer.Transfer(client.request, lambda: where, **known, tries=4).fetch(str(place))
            data = place.read_bytes()
            assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
            return data, [request.headers.get("range") for request in server.seen]

    return fetch


def test_a_part_that_nobody_asked_for_is_not_the_whole(fetched: Fetched) -> None:
    part = head(206, Content_Range=f"bytes 0-{PART - 1}/{len(OLD)}", Content_Length=str(PART)) + OLD[:PART]
    with pytest.raises(Failure, match="another range than was asked for"):
        fetched(lambda _: part)
    with pytest.raises(Failure, match="another range than was asked for"):
        fetched(lambda _: head(206) + OLD[:PART])


def rest(data: bytes, start: int, end: int, tag: str, total: str | None = None) -> bytes:
    """A 206 with the bytes from `start` to before `end`."""
    place = f"bytes {start}-{end - 1}/{total or len(data)}"
    return head(206, ETag=tag, Content_Range=place, Content_Length=str(end - start)) + data[start:end]


def broken(data: bytes, tag: str) -> bytes:
    """The first part of a 200."""
    return head(200, ETag=tag, Content_Length=str(len(data))) + data[:PART]


def test_a_short_part_is_followed_by_the_next(fetched: Fetched) -> None:
    def answer(request: Request) -> bytes:
        asked = request.headers.get("range")
        if not asked:
            return broken(OLD, '"v1"')
        start = int(asked[6:-1])
        return rest(OLD, start, min(start + PART, len(OLD)), '"v1"')

    data, ranges = fetched(answer)
    assert data == OLD
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize(
    "other",
    [
        lambda start: rest(NEW, start, len(NEW), '"v2"'),
        lambda start: rest(NEW, start, len(NEW), '"v1"', "400000"),
        lambda start: head(206, Content_Range=f"bytes {start}-299999/300000") + NEW[start:],
    ],
    ids=["etag", "total", "no etag"],
)
def test_a_part_of_another_file_is_not_put_behind_the_first(fetched: Fetched, other: Callable[[int], bytes]) -> None:
    answers = [broken(OLD, '"v1"'), other(PART), whole(NEW, ETag='"v2"')]
    data, ranges = fetched(lambda _: answers.pop(0))
    assert data == NEW
    assert ranges == [None, "bytes=100000-", None]


def test_a_file_that_changes_while_it_is_locked_is_locked_as_one_of_both(workspace: Space) -> None:
    first = [broken(OLD, '"v1"')]

    def answer(request: Request) -> bytes:
        if first:
            return first.pop()
        asked = request.headers.get("range")
        return rest(NEW, int(asked[6:-1]), len(NEW), '"v2"') if asked else whole(NEW, ETag='"v2"')

    with raw(answer) as server:
        from_uri(workspace, f"{server.url}/m.bin")
        workspace.run("lock")
    (file,) = tomllib.loads(workspace.path("model.m.lock").read_text())["files"]
    assert file["sha256"] == hashlib.sha256(NEW).hexdigest()


@pytest.mark.parametrize("digits", ["9" * 5000, "\u00b2", "-5"])
def test_lengths_that_are_none(tmp_path: Path, fetched: Fetched, digits: str) -> None:
    data, _ = fetched(lambda _: head(200, Content_Length=digits) + OLD)
    assert data == OLD
    said = listing(0).replace(b"<Size>0<", f"<Size>{digits}<".encode("latin-1"))
    why = r"without name or size|not answer as S3 does"
    said = head(200, Content_Type="application/xml") + said.partition(b"\r\n\r\n")[2]
    with raw(lambda _: said) as server, pytest.raises(BuildrulesError, match=why):
        s3.resolve("s3://bucket/m", access(tmp_path, {"AWS_ENDPOINT_URL": server.url}))


def test_a_build_with_such_a_length(workspace: Space) -> None:
    with raw(lambda _: head(200, Content_Length="9" * 5000) + OLD) as server:
        from_uri(workspace, f"{server.url}/m.bin")
        workspace.build(APP)
