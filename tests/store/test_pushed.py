"""What the store keeps of pushes: which repository has a layer."""

import time
from pathlib import Path

from buildrules.store.expiry import drop_digests
from buildrules.store.pushed import Pushed
from buildrules.store.store import Store

DIGEST = "sha256:" + "a" * 64


def test_a_place_is_kept_until_it_is_old(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    Pushed(store.table).note("r.example.com:5000", DIGEST, "team/app")
    assert Pushed(store.table).place("r.example.com:5000", DIGEST) == "team/app"
    assert Pushed(store.table).place("other.example.com", DIGEST) is None
    Pushed(store.table).note("r.example.com:5000", DIGEST, "team/moved")
    drop_digests(store, time.time() - 3600)
    assert Pushed(store.table).place("r.example.com:5000", DIGEST) == "team/moved"
    drop_digests(store, time.time() + 3600)
    assert Pushed(store.table).place("r.example.com:5000", DIGEST) is None
    store.close()
