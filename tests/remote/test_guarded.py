"""A place that fails costs time and never a build: attempts, waiting, being left alone, digests."""

import os
from collections.abc import Iterator

import pytest

from buildrules.errors import CredentialsError, Interrupted
from buildrules.remote.backend import LARGEST_RECORD, Blob, Body, Entry, RemoteError
from buildrules.remote.breaker import ENOUGH, IN_A_ROW, PAUSE
from buildrules.remote.guarded import PROGRESS, TRIES
from buildrules.store.blobs import Blobs
from tests.remote.places import Lab, blob_of

KEY = "ab" * 32
BUSY = RemoteError("busy", retry=True)


def test_a_record_comes_and_goes() -> None:
    lab = Lab()
    assert lab.guarded.get(KEY) is None
    assert lab.guarded.put(KEY, b"record")
    assert lab.guarded.get(KEY) == b"record"
    stats = lab.guarded.stats
    assert (stats.requests, stats.bytes_in, stats.bytes_out, stats.failures, stats.misses) == (3, 6, 6, 0, 1)


def test_what_fails_is_tried_again_after_a_pause_that_grows() -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    lab.place.faults = [BUSY, BUSY]
    assert lab.guarded.get(KEY) == b"record"
    assert len(lab.place.asked) == TRIES
    assert len(lab.clock.waited) == 2 and lab.clock.waited[0] <= 0.5 and lab.clock.waited[1] <= 1.0
    assert not lab.told


def test_after_all_attempts_it_is_a_miss() -> None:
    lab = Lab()
    lab.place.faults = [BUSY] * TRIES
    assert lab.guarded.get(KEY) is None
    assert (lab.guarded.stats.requests, lab.guarded.stats.failures) == (TRIES, 1)


def test_retry_after_is_obeyed_and_not_beyond_reason() -> None:
    lab = Lab()
    lab.place.faults = [RemoteError("busy", retry=True, wait=7.0), RemoteError("busy", retry=True, wait=3600.0)]
    assert lab.guarded.get(KEY) is None
    assert lab.clock.waited == [7.0]
    assert len(lab.place.asked) == 2


def test_what_no_other_attempt_helps_is_not_tried_again() -> None:
    lab = Lab()
    lab.place.faults = [RemoteError("what?")]
    assert lab.guarded.get(KEY) is None
    assert len(lab.place.asked) == 1


def test_a_place_that_fails_is_left_alone_tried_out_and_used_again() -> None:
    lab = Lab()
    lab.place.faults = [RemoteError("down")] * (IN_A_ROW + 1)
    for _ in range(20):
        assert lab.guarded.get(KEY) is None
    assert len(lab.place.asked) == IN_A_ROW
    assert lab.told == ["cache test://place fails and is left alone for reading: down"]
    lab.clock.now += PAUSE
    lab.guarded.get(KEY)
    lab.guarded.get(KEY)
    assert len(lab.place.asked) == IN_A_ROW + 1, "one request tries it out"
    lab.clock.now += PAUSE
    lab.place.records[KEY] = b"record"
    assert lab.guarded.get(KEY) == b"record"
    assert lab.guarded.get(KEY) == b"record"
    assert len(lab.told) == 1


def test_a_place_that_fails_more_often_than_not_is_left_alone() -> None:
    lab = Lab()
    down = RemoteError("down")
    lab.place.faults = [None, down, down, None, down] * ENOUGH
    for _ in range(3 * ENOUGH):
        lab.guarded.get(KEY)
    assert len(lab.place.asked) == ENOUGH
    assert len(lab.told) == 1


def test_what_fails_together_counts_once() -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    breaker = lab.guarded._breakers["reading"]
    for _ in range(32):  # all begun before the first failed
        lab.clock.now += 0.01
        assert not breaker.failed(0.0)
    assert lab.guarded.get(KEY) == b"record"


def test_writing_that_fails_leaves_reading_alone() -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    lab.place.faults = [RemoteError("disk full")] * IN_A_ROW
    for _ in range(10):
        assert not lab.guarded.put("cd" * 32, b"x")
    assert lab.guarded.get(KEY) == b"record"


@pytest.mark.parametrize(
    "refusal", [RemoteError("answered 401", refused=True), CredentialsError("no variable", hint="set it")]
)
def test_who_is_refused_asks_once_in_that_direction(refusal: Exception) -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    lab.place.faults = [refusal]
    for _ in range(5):
        assert not lab.guarded.put("cd" * 32, b"x")
    lab.clock.now += 10 * PAUSE
    assert not lab.guarded.put("cd" * 32, b"x")
    assert len(lab.place.asked) == 1
    assert len(lab.told) == 1 and "left out for writing" in lab.told[0]
    assert lab.guarded.get(KEY) == b"record"


def test_ctrl_c_is_no_failure_of_a_place() -> None:
    lab = Lab()
    lab.place.faults = [Interrupted("interrupted"), KeyboardInterrupt()]
    with pytest.raises(Interrupted):
        lab.guarded.get(KEY)
    with pytest.raises(KeyboardInterrupt):
        lab.guarded.get(KEY)
    assert not lab.told


def test_what_is_too_large_is_remembered() -> None:
    lab = Lab()
    lab.place.faults = [RemoteError("answered 413", too_large=True)]
    large, larger, small = b"x" * 100, b"y" * 101, b"z" * 99
    assert not lab.guarded.write(blob_of(large), lambda: [large])
    assert not lab.guarded.write(blob_of(larger), lambda: [larger])
    assert lab.guarded.write(blob_of(small), lambda: [small])
    assert lab.place.asked == ["write 100", "write 99"]
    assert len(lab.told) == 1


def test_a_read_goes_on_where_it_broke_off() -> None:
    lab = Lab()
    data = os.urandom(10 * PROGRESS)
    lab.place.content[blob_of(data).digest] = data
    lab.place.faults = [n * PROGRESS for n in range(1, 10)]  # far more often than TRIES, each after some progress
    assert b"".join(lab.guarded.read(blob_of(data))) == data
    assert lab.place.asked == [f"read {n * PROGRESS}" for n in range(10)]
    assert lab.guarded.stats.bytes_in == len(data)


def test_a_read_without_progress_ends() -> None:
    lab = Lab()
    data = os.urandom(2 * PROGRESS)
    lab.place.content[blob_of(data).digest] = data
    lab.place.faults = [0] * 10
    with pytest.raises(FileNotFoundError, match="torn"):
        list(lab.guarded.read(blob_of(data)))
    assert len(lab.place.asked) == TRIES


@pytest.mark.parametrize("other", [b"wrong", b"rig", b"right and more", b""])
def test_other_bytes_are_not_handed_on_as_complete(other: bytes, tmp_path: object) -> None:
    lab = Lab()
    blob = blob_of(b"right")
    lab.place.content[blob.digest] = other
    with pytest.raises(FileNotFoundError):
        list(lab.guarded.read(blob))
    store = Blobs(str(tmp_path))
    assert not lab.guarded.bring(blob, store)
    assert not store.has(blob.digest)
    assert lab.guarded.holds([blob]) == set(), "nobody builds on it any more"
    assert lab.guarded.write(blob, lambda: [b"right"])
    assert lab.guarded.bring(blob, store)
    assert store.read(blob.digest) == b"right"


def test_bytes_that_were_wrong_once_are_fetched_again(tmp_path: object) -> None:
    lab = Lab()
    blob = blob_of(b"right")
    answers = iter([b"wrong", b"right"])
    read = lab.place.read

    def lies_once(blob: Blob, offset: int = 0) -> Iterator[bytes]:
        lab.place.content[blob.digest] = next(answers)
        return read(blob, offset)

    lab.place.read = lies_once  # type: ignore[method-assign]
    store = Blobs(str(tmp_path))
    assert lab.guarded.bring(blob, store)
    assert store.read(blob.digest) == b"right"
    assert len(lab.told) == 1


def test_a_read_that_trickles_ends() -> None:
    lab = Lab()
    blob = Blob("sha256:" + "0" * 64, 1 << 30)

    def trickle(blob: Blob, offset: int = 0) -> Iterator[bytes]:
        for _ in range(1 << 20):
            lab.clock.now += 20.0  # just before the connection counts as idle
            yield b"x"

    lab.place.read = trickle  # type: ignore[method-assign]
    with pytest.raises(FileNotFoundError, match="slowly"):
        list(lab.guarded.read(blob))
    assert lab.clock.now < 300


def test_a_reader_that_takes_its_time_is_no_fault_of_the_place() -> None:
    lab = Lab()
    data = os.urandom(3 * PROGRESS)
    lab.place.content[blob_of(data).digest] = data
    found = b""
    for chunk in lab.guarded.read(blob_of(data)):
        found += chunk
        lab.clock.now += 3600
    assert found == data


def test_what_is_spoilt_here_is_not_sent_and_not_held_against_the_place() -> None:
    lab = Lab()
    blob = blob_of(b"right" * 1000)

    def unreadable() -> Iterator[bytes]:
        yield b"right"
        raise OSError("the disk is broken")

    for _ in range(IN_A_ROW + 1):
        assert not lab.guarded.write(blob, lambda: [b"wrong" * 500, b"wrong" * 500])
        assert not lab.guarded.write(blob, unreadable)
    assert blob.digest not in lab.place.content
    assert lab.guarded.write(blob, lambda: [b"right" * 999, b"right"])


def test_presence_is_asked_in_batches_and_only_for_what_is_named_properly() -> None:
    lab = Lab(batch=10)
    blobs = [blob_of(bytes([n])) for n in range(25)]
    for blob, n in zip(blobs, range(20), strict=False):
        lab.place.content[blob.digest] = bytes([n])
    found = lab.guarded.holds([*blobs, Blob("sha256:../../etc/passwd", 1)])
    assert found == {blob.digest for blob in blobs[:20]}
    assert sorted(lab.place.asked) == ["holds 10", "holds 10", "holds 5"]


@pytest.mark.parametrize("name", ["../" * 21 + "x", "AB" * 32, "", "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_other_names_than_hex_are_never_asked_for(name: str) -> None:
    lab = Lab()
    assert lab.guarded.get(name) is None
    assert not lab.guarded.put(name, b"")
    assert not lab.guarded.write(Blob(f"sha256:{name}", 0), lambda: [])
    with pytest.raises(FileNotFoundError):
        list(lab.guarded.read(Blob(f"sha256:{name}", 0)))
    assert not lab.place.asked


def test_oversize_records_are_neither_sent_nor_taken() -> None:
    lab = Lab()
    assert not lab.guarded.put(KEY, b"x" * (LARGEST_RECORD + 1))
    lab.place.records[KEY] = b"x" * (LARGEST_RECORD + 1)
    assert lab.guarded.get(KEY) is None


def test_nothing_is_asked_after_close() -> None:
    lab = Lab()
    lab.guarded.close()
    assert lab.guarded.get(KEY) is None
    assert not lab.guarded.put(KEY, b"x")
    assert lab.guarded.holds([blob_of(b"x")]) == set()
    assert not lab.place.asked


def test_content_of_another_length_than_a_record_says_is_not_removed() -> None:
    lab = Lab()
    blob = blob_of(b"right")
    lab.place.content[blob.digest] = b"right"
    for size in (2, 9):  # by a wrong record
        with pytest.raises(FileNotFoundError, match="another length"):
            list(lab.guarded.read(blob._replace(size=size)))
    removed: list[str] = []
    lab.place.remove = lambda entry: removed.append(entry.name)  # type: ignore[method-assign]
    assert lab.guarded.write(blob, lambda: [b"right"])
    assert not removed
    assert len(lab.told) == 1 and "other bytes" not in lab.told[0]


def test_a_place_that_lets_nobody_remove_takes_content_all_the_same() -> None:
    lab = Lab()
    blob = blob_of(b"right")
    lab.place.content[blob.digest] = b"wrong"
    with pytest.raises(FileNotFoundError):
        list(lab.guarded.read(blob))

    def refuse(entry: Entry) -> None:
        raise RemoteError("answered 405", refused=True)

    lab.place.remove = refuse  # type: ignore[method-assign]
    assert lab.guarded.write(blob, lambda: [b"right"])
    assert not lab.guarded.refuses
    assert b"".join(lab.guarded.read(blob)) == b"right"


def test_a_read_that_nobody_ends_has_tried_the_place_out() -> None:
    lab = Lab()
    data = os.urandom(3 * PROGRESS)
    lab.place.content[blob_of(data).digest] = data
    lab.place.faults = [RemoteError("down")] * IN_A_ROW
    for _ in range(IN_A_ROW):
        lab.guarded.get(KEY)
    lab.clock.now += PAUSE
    reading = lab.guarded.read(blob_of(data))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert b"".join(lab.guarded.read(blob_of(data))) == data


def silence(lab: Lab, place: object, name: str, seconds: float = 5.0) -> None:
    """Let a request take so long, and then fail."""

    def hang(*_: object, **__: object) -> None:
        lab.place.asked.append(name)
        lab.clock.now += seconds
        raise RemoteError("timed out", retry=True)

    setattr(place, name, hang)


def test_a_place_that_does_not_answer_is_left_alone_at_once_and_not_written_to() -> None:
    lab = Lab()
    silence(lab, lab.place, "get")
    for _ in range(9):
        assert lab.guarded.get(KEY) is None
        assert not lab.guarded.put(KEY, b"record")
        assert not lab.guarded.write(blob_of(b"x"), lambda: [b"x"])
        assert not lab.guarded.holds([blob_of(b"x")])
    lab.clock.now += 10 * PAUSE
    assert lab.guarded.get(KEY) is None
    assert lab.place.asked == ["get"]
    assert lab.told == ["cache test://place fails and is left alone for reading: timed out"]
    assert lab.guarded.silent


def test_a_place_that_takes_nothing_and_does_not_say_so_still_gives() -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    silence(lab, lab.place, "write")
    for _ in range(9):
        assert not lab.guarded.write(blob_of(b"x"), lambda: [b"x"])
        assert lab.guarded.get(KEY) == b"record"
    assert lab.place.asked.count("write") == 1
    assert not lab.guarded.silent


def test_who_was_answered_meanwhile_asks_again() -> None:
    lab = Lab()
    lab.place.records[KEY] = b"record"
    breaker = lab.guarded._breakers["reading"]
    started = lab.clock.now
    lab.clock.now += 5
    assert lab.guarded.get(KEY) == b"record"
    assert not breaker.silent(started)
    assert lab.guarded.get(KEY) == b"record"


def test_a_slow_failure_while_bytes_move_is_no_silence() -> None:
    lab = Lab()

    def slow(blob: Blob, body: Body) -> None:
        lab.place.asked.append("write")
        for _ in body():
            lab.clock.now += 2
        raise RemoteError("torn", retry=True)

    lab.place.write = slow  # type: ignore[method-assign]
    runs = [b"x", b"y", b"z"]
    assert not lab.guarded.write(blob_of(b"xyz"), lambda: runs)
    assert lab.place.asked == ["write"] * TRIES


def test_only_what_was_taken_counts_as_sent() -> None:
    lab = Lab()
    refusal = RemoteError("answered 401", refused=True)
    lab.place.faults = [refusal]
    assert not lab.guarded.put(KEY, b"record")
    assert lab.guarded.stats.bytes_out == 0
    lab = Lab()

    def torn(blob: Blob, body: Body) -> None:
        list(body())
        if lab.place.asked.append("write") or len(lab.place.asked) < 2:
            raise RemoteError("torn", retry=True)

    lab.place.write = torn  # type: ignore[method-assign]
    assert lab.guarded.write(blob_of(b"xyz"), lambda: [b"xyz"])
    assert lab.guarded.stats.bytes_out == 3


def test_a_single_failure_is_told_in_the_end() -> None:
    lab = Lab()
    lab.place.faults = [BUSY] * TRIES
    assert lab.guarded.get(KEY) is None
    assert not lab.told
    lab.guarded.tell()
    lab.guarded.tell()
    assert lab.told == ["cache test://place failed while reading: busy"]
    lab = Lab()
    lab.place.faults = [BUSY, BUSY]
    lab.guarded.get(KEY)
    lab.guarded.tell()
    assert not lab.told, "another attempt did it"
