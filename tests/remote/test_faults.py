"""What back ends and what is around them make of servers and networks that fail, through a proxy that does."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from buildrules.remote import guarded as limits
from buildrules.remote.backend import Backend, Blob
from buildrules.remote.guarded import Guarded
from tests.remote.places import MIB, blob_of, content, key
from tests.remote.servers.place import Place
from tests.support.faulty import Fault, answer

ROOT = Path(__file__).parents[2]


def test_a_read_torn_at_nine_tenths_goes_on_there(proxied: Place, backend: Backend) -> None:
    blob, data = content(backend, 20 * MIB)
    with proxied.failing([Fault("close", 18 * MIB)]) as (proxy, torn):
        guarded = Guarded(torn, wait=lambda _: None)
        assert b"".join(guarded.read(blob)) == data
        assert [fault.kind for fault in proxy.applied] == ["close"]
        assert guarded.stats.failures == 0
        assert proxy.down <= len(data) + proxied.again, "one run is sent again at most"


def test_a_server_that_falls_silent_costs_a_miss(proxied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in proxied.patience:
        monkeypatch.setattr(f"buildrules.remote.{limit}", 0.3)
    with proxied.failing([Fault("stall", 1)] * 200) as (_, silent):
        guarded = Guarded(silent, wait=lambda _: None)
        assert guarded.get(key()) is None
        assert guarded.stats.failures == 1


@pytest.mark.able("hurries")
def test_a_record_that_trickles_costs_a_miss(proxied: Place, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    name = key()
    backend.records.put(name, b"x" * 20_000, [])
    for limit in proxied.patience:
        monkeypatch.setattr(f"buildrules.remote.{limit}", 0.3)
    with proxied.failing([Fault("trickle", 3)] * 10) as (proxy, slow):
        assert Guarded(slow, wait=lambda _: None).get(name) is None
        assert proxy.down < 2000, "the headers of three answers, and little more"


@pytest.mark.able("http")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(proxied: Place, backend: Backend, status: int) -> None:
    blob, data = content(backend, 1000)
    with proxied.failing([answer(status, Retry_After="0")] * 2) as (proxy, busy):
        guarded = Guarded(busy, wait=lambda _: None)
        assert b"".join(guarded.read(blob)) == data
        proxy.faults = [answer(status, Retry_After="0")] * 2
        assert guarded.get(key()) is None
        assert guarded.stats.failures == 0


def test_a_server_that_is_down_is_left_alone(proxied: Place) -> None:
    told: list[str] = []
    with proxied.failing([Fault("reset")] * 1000) as (_, down):
        guarded = Guarded(down, told.append, wait=lambda _: None)
        for _ in range(50):
            assert guarded.get(key()) is None
        assert guarded.stats.requests < 10
        assert len(told) == 1 and "left alone" in told[0]


WRITER = """
import sys, time
from buildrules.net.session import Session
from buildrules.remote.backend import Blob
from buildrules.remote.opening import open_backend
def slow():
    yield b"x" * (1 << 20)
    print("half", flush=True)
    time.sleep(600)
open_backend(sys.argv[1], Session()).content.write(Blob(sys.argv[2], 2 << 20), slow)
"""


def test_a_writer_that_is_killed_leaves_nothing_half_there(place: Place, backend: Backend) -> None:
    data = os.urandom(1000) + b"x" * (2 * MIB - 1000)
    blob = blob_of(data)
    command = [sys.executable, "-c", WRITER, place.url, blob.digest]
    environment = {**os.environ, **place.environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as writer:
        assert writer.stdout and writer.stdout.readline() == b"half\n"
        writer.kill()
    guarded = Guarded(backend)
    assert guarded.holds([blob]) == set()
    assert whole(guarded, blob) is None
    assert guarded.write(blob, lambda: [data])
    assert whole(Guarded(backend), blob) == data


KINDS = ("reset", "close", "flip")
SEEDS = int(os.environ.get("BUILDRULES_TEST_CASES", "15"))


def test_no_read_ever_gives_other_bytes(proxied: Place, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under every fault, for many seeds: the content, or nothing. What could not be written can be written later."""
    monkeypatch.setattr(limits, "PROGRESS", 64 << 10)
    kinds = (*KINDS, "length", "answer") if proxied.http else KINDS
    kept = [content(backend, size) for size in (1, 5000, 300_000)]
    met: set[str] = set()
    outcomes: set[bool] = set()
    for seed in range(SEEDS):
        new = random.Random(seed).randbytes(200_000) + os.urandom(8)
        with proxied.failing(seed=seed, rate=0.5, kinds=kinds) as (proxy, faulty):
            guarded = Guarded(faulty, wait=lambda _: None)
            guarded.write(blob_of(new), lambda data=new: [data[:1000], data[1000:]])
            for blob, data in kept:
                assert guarded.holds([blob]) <= {blob.digest}
                found = whole(guarded, blob)
                assert found is None or found == data
                outcomes.add(found is not None)
        met |= {fault.kind for fault in proxy.applied}
        after = Guarded(backend)
        assert whole(after, blob_of(new)) in (new, None)
        assert after.write(blob_of(new), lambda data=new: [data])
        assert whole(after, blob_of(new)) == new
    assert met == set(kinds)
    assert outcomes == {True, False}, "the faults were neither too mild nor too many"


def whole(guarded: Guarded, blob: Blob) -> bytes | None:
    """The content, None where it cannot be had."""
    try:
        return b"".join(guarded.read(blob))
    except FileNotFoundError:
        return None
