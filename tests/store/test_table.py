"""The table holds text and bytes, refuses everything else, and damage is a miss."""

import os
import pickle
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.store.blobs import Blobs
from buildrules.store.records import Records
from buildrules.store.table import Table


@pytest.fixture
def table(tmp_path):
    table = Table(str(tmp_path / "table"))
    yield table
    table.close()


def test_round_trip_and_prefixes(table):
    assert table.get("r:1") is None
    assert table.set("r:1", b"one")
    assert table.set_many([("r:2", b"two"), ("s:1", b"three")])
    assert table.get("r:1") == b"one"
    assert table.keys("r:") == ["r:1", "r:2"]
    table.delete("r:1")
    assert table.get("r:1") is None


@pytest.mark.parametrize("value", ["text", 1, None, {"a": 1}, b"x" * 30_001])
def test_other_values_are_refused(table, value):
    assert not table.set("key", value)
    assert table.get("key") is None


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_in_the_database_is_never_loaded(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.set_many([("key", b"value")])
    table.close()
    with sqlite3.connect(tmp_path / "table" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb()),))
    database.close()
    assert table.get("key") is None
    assert not (tmp_path / "exploded").exists()


def test_a_row_that_names_a_file_is_not_followed(table, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    table.set_many([("key", b"value")])
    table.close()
    with sqlite3.connect(tmp_path / "table" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 2, filename = '../secret'")
    database.close()
    assert table.get("key") is None


@pytest.mark.parametrize("damage", ["header", "truncated", "empty-garbage"])
def test_a_damaged_database_is_set_aside(table, tmp_path, damage):
    table.set_many([("key", b"value")])
    table.close()
    path = tmp_path / "table" / "cache.db"
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = os.urandom(100)
    elif damage == "truncated":
        data = data[: len(data) // 2]
    else:
        data = bytearray(os.urandom(4096))
    path.write_bytes(data)
    table.get("key")
    assert table.set_many([("key", b"again")])
    assert table.get("key") == b"again"
    assert list(table.keys()) == ["key"]


def test_eight_processes_write_at_once(tmp_path):
    code = (
        "import sys; from buildrules.store.table import Table\n"
        "table = Table(sys.argv[1])\n"
        "for n in range(100): assert table.set(f'{sys.argv[2]}:{n}', b'v' * 400)\n"
        "table.close()"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "table"), str(number)]) for number in range(8)
    ]
    assert [child.wait() for child in children] == [0] * 8
    table = Table(str(tmp_path / "table"))
    assert len(list(table.keys())) == 800
    table.close()


def test_a_row_of_the_log_is_folded_into_the_database(tmp_path):
    folder = str(tmp_path / "table")
    Table(folder).set("key", b"old")
    for value in (b"newer", b"newest"):
        Table(folder).set("key", value)
    assert not (tmp_path / "table" / "cache.db").exists()
    assert Table(folder).get("key") == b"newest"
    other = Table(folder)
    assert list(other.keys()) == ["key"]
    assert (tmp_path / "table" / "log").stat().st_size == 0
    assert Table(folder).get("key") == b"newest"
    other.delete("key")
    assert Table(folder).get("key") is None


def test_a_long_log_is_folded_at_the_end(table, tmp_path):
    for number in range(300):
        table.set(str(number), b"v" * 1000)
    table.close()
    assert (tmp_path / "table" / "log").stat().st_size == 0
    assert table.get("299") == b"v" * 1000


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_of_the_log_loses_rows_and_invents_none(tmp_path_factory, place, bit, cut):
    folder = tmp_path_factory.mktemp("log")
    rows = {f"key {number}": b"\xb5row value %d" % number for number in range(5)}
    table = Table(str(folder))
    for key, value in rows.items():
        table.set(key, value)
    table.close()
    data = bytearray((folder / "log").read_bytes())
    at = int(place * len(data))
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    (folder / "log").write_bytes(data)
    table.set("after", b"the damage")
    found = {key: table.get(key) for key in rows}
    assert {key: value for key, value in found.items() if value is not None}.items() <= rows.items()
    assert cut or sum(value is None for value in found.values()) == 1
    assert Table(str(folder)).get("after") == b"the damage"
    table.close()


def test_a_long_record_lives_in_a_blob_and_its_loss_is_a_miss(table, tmp_path):
    blobs = Blobs(str(tmp_path))
    records = Records(table, blobs)
    long = {"values": ["x" * 50_000]}
    records.put("k", long)
    assert records.get("k") == long
    digest = records.blob_of("k")
    assert digest is not None
    blobs.discard(digest)
    assert records.get("k") is None


def test_what_cannot_be_opened_is_empty_and_takes_nothing(tmp_path):
    (tmp_path / "table").write_bytes(b"where its folder would be: as on a full disk nothing can be made there")
    table = Table(str(tmp_path / "table"))
    assert not table.set_many([("key", b"value")])
    table.delete("key")
    assert (table.get("key"), table.keys(), table.written_before(1e12, "")) == (None, [], [])
    table.close()
