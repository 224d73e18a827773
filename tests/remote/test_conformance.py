"""What every back end must do, over real servers. A new one is a file in `servers` and a line in `conftest.PLACES`."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, RemoteError
from buildrules.remote.guarded import Guarded
from buildrules.remote.names import hex_name
from tests.remote.places import MIB, blob_of, content, key
from tests.remote.servers.place import Place


def test_a_record_that_is_not_there(backend: Backend) -> None:
    assert backend.records.get(key()) is None


@pytest.mark.parametrize("size", [1, 1000, 100_000, LARGEST_RECORD])
def test_a_record_comes_back_as_it_was(backend: Backend, size: int) -> None:
    name, data = key(), os.urandom(size)
    blob, _ = content(backend, 10)
    backend.records.put(name, data, [blob])
    assert backend.records.get(name) == data


def test_one_of_two_records_stays(place: Place, backend: Backend) -> None:
    name = key()
    backend.records.put(name, b"first", [])
    backend.records.put(name, b"second", [])
    assert backend.records.get(name) == (b"first" if place.first else b"second")
    backend.records.put(name, b"third", [], replace=True)
    assert backend.records.get(name) == b"third"


@pytest.mark.parametrize("size", [0, 1, 1000, 3 * MIB + 1, 9 * MIB])
def test_content_comes_back_as_it_was(backend: Backend, size: int) -> None:
    data = random.randbytes(size)
    blob = blob_of(data)
    if size:  # some places have the empty content without being told
        assert backend.content.holds([blob]) == set()
    runs = [data[at : at + MIB] for at in range(0, size, MIB)]
    backend.content.write(blob, lambda: runs)
    assert backend.content.holds([blob]) == {blob.digest}
    if size:
        assert b"".join(backend.content.read(blob)) == data
    backend.content.write(blob, lambda: runs)  # somebody else has it as well


@pytest.mark.parametrize("offset", [1, MIB, 2 * MIB - 1])
def test_a_read_starts_where_it_is_told(backend: Backend, offset: int) -> None:
    blob, data = content(backend, 2 * MIB)
    assert b"".join(backend.content.read(blob, offset)) == data[offset:]


def test_content_that_is_not_there(backend: Backend) -> None:
    with pytest.raises(FileNotFoundError):
        list(backend.content.read(blob_of(os.urandom(20))))


def test_presence_of_many(backend: Backend) -> None:
    there = [content(backend, 30)[0] for _ in range(20)]
    gone = [blob_of(os.urandom(20)) for _ in range(20)]
    guarded = Guarded(backend)
    assert guarded.holds([*there, *gone]) == {blob.digest for blob in there}
    assert guarded.stats.requests == -(-40 // backend.batch)


@pytest.mark.able("plants")
def test_content_of_another_length_counts_as_missing(place: Place, backend: Backend) -> None:
    assert place.plant is not None
    blob, data = content(backend, 3000)
    place.plant(hex_name(blob.digest), data[:-1])
    assert backend.content.holds([blob]) == set()


@pytest.mark.parametrize("name", ["../../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "A" * 64, "a" * 63, ""])
def test_names_lead_nowhere_else(backend: Backend, name: str) -> None:
    blob = Blob(f"sha256:{name}", 1)
    attempts: list[Callable[[], Any]] = [
        lambda: backend.records.get(name),
        lambda: backend.records.put(name, b"x", []),
        lambda: backend.content.holds([blob]),
        lambda: list(backend.content.read(blob)),
        lambda: backend.content.write(blob, lambda: [b"x"]),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="not a"):
            attempt()


def test_what_breaks_off_while_it_is_sent_is_not_there(backend: Backend) -> None:
    data = random.randbytes(3 * MIB)
    blob = blob_of(data)

    def breaks() -> Iterator[bytes]:
        yield data[:MIB]
        raise InterruptedError("the power went")

    with pytest.raises((InterruptedError, RemoteError)):
        backend.content.write(blob, breaks)
    assert backend.content.holds([blob]) == set()
    backend.content.write(blob, lambda: [data])
    assert b"".join(backend.content.read(blob)) == data


def test_other_content_is_refused_or_never_believed(place: Place, backend: Backend) -> None:
    blob, other = blob_of(b"r" * 1000), b"w" * 1000
    if place.checks:
        with pytest.raises(RemoteError):
            backend.content.write(blob, lambda: [other])
        assert backend.content.holds([blob]) == set()
        return
    backend.content.write(blob, lambda: [other])
    with pytest.raises(FileNotFoundError, match="other bytes"):
        list(Guarded(backend).read(blob))


@pytest.mark.able("plants")
def test_content_that_rots_is_never_believed_and_can_be_mended(place: Place, backend: Backend) -> None:
    assert place.plant is not None
    blob, data = content(backend, 2 * MIB)
    rotten = bytearray(data)
    rotten[-1] ^= 1
    place.plant(hex_name(blob.digest), bytes(rotten))
    guarded = Guarded(backend)
    with pytest.raises(FileNotFoundError, match="other bytes"):
        list(guarded.read(blob))
    assert guarded.holds([blob]) == set()
    assert guarded.write(blob, lambda: [data])
    assert b"".join(Guarded(backend).read(blob)) == data


def test_eight_writers(place: Place, backend: Backend) -> None:
    contents = [random.randbytes(100_000) for _ in range(4)]
    name, wrong = key(), []

    def write(number: int) -> None:
        with place.opened() as own:
            guarded = Guarded(own, wrong.append)
            for data in contents:
                if not guarded.write(blob_of(data), lambda: [data]):  # noqa: B023 - used at once
                    wrong.append(f"writer {number}")
            guarded.put(name, bytes([number]) * 1000, [blob_of(data) for data in contents])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not wrong
    for data in contents:
        assert b"".join(backend.content.read(blob_of(data))) == data
    record = backend.records.get(name)
    assert record is not None and record == record[:1] * 1000, "one writer's, and whole"


@pytest.mark.able("lists")
def test_a_shelf_says_what_there_is(backend: Backend) -> None:
    assert backend.shelf is not None
    name, (blob, _) = key(), content(backend, 1234)
    backend.records.put(name, b"record", [blob])
    found = {(entry.kind, entry.name): entry for entry in backend.shelf.entries()}
    record, kept = found["record", name], found["content", blob.digest]
    assert (record.size, kept.size) == (6, 1234)
    assert kept.written > 1.7e9
    for entry in (record, kept, record, kept):
        backend.shelf.remove(entry)
    assert backend.records.get(name) is None
    assert backend.content.holds([blob]) == set()
