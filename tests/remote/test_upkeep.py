"""Looking after real servers: what is checked, what is removed, and that records keep all they name."""

import os

import pytest

from buildrules.cli.errand import Errand
from buildrules.cli.upkeep import Upkeep
from buildrules.engine.inventory import Inventory
from buildrules.remote.backend import Backend
from buildrules.remote.envelope import Envelope, address
from buildrules.remote.keys import PrivateKey
from buildrules.remote.trust import Trust
from tests.remote.places import content

pytestmark = pytest.mark.able("lists")

CI = PrivateKey("ci", b"c" * 32)


@pytest.fixture
def keeper(backend: Backend) -> Upkeep:
    return Upkeep(Errand(quiet=True), Inventory(backend, Trust("require", [CI.public(("main",))])))


def record(backend: Backend, size: int) -> tuple[str, str]:
    """A record that names some content: its address, and the digest of that."""
    blob, _ = content(backend, size)
    key = os.urandom(32).hex()
    body = {"record": {"kind": "wheel/3"}, "sizes": {blob.digest: blob.size}, "content": {}}
    where = address("main", key)
    backend.records.put(where, Envelope(key, "main", body).seal(CI), [blob])
    return where, blob.digest


def test_a_sound_place_is_left_as_it_is(backend: Backend, keeper: Upkeep, capsys: pytest.CaptureFixture[str]) -> None:
    made = [record(backend, size) for size in (10, 1000, 100_000)]
    assert keeper.verify() == 0
    assert ", 0 corrupt; 0 records without their content" in capsys.readouterr().out
    keeper.expire(records=3600.0, content=0.0, dry_run=False)
    for where, digest in made:
        assert backend.records.get(where) is not None
        assert backend.content.holds([blob for blob in _blobs(backend, where) if blob.digest == digest]) == {digest}
    assert keeper.verify() == 0


def test_what_is_old_goes(backend: Backend, keeper: Upkeep) -> None:
    where, _ = record(backend, 1000)
    keeper.expire(records=-3600.0, content=-3600.0, dry_run=True)
    assert backend.records.get(where) is not None
    keeper.expire(records=-3600.0, content=-3600.0, dry_run=False)
    assert backend.records.get(where) is None
    assert keeper.verify() == 0


def _blobs(backend: Backend, where: str):
    found = Inventory(backend, Trust("require", [CI.public(("main",))]))
    entry = next(entry for entry in found.entries() if entry.name == where)
    (one,) = found.read([entry], lambda *_: None)
    assert one.wrong == "" and one.needs is not None
    return one.needs
