"""What the tests of servers share: one store, so that a base or a wheel is fetched once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of all tests here, and of all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "real-store"
