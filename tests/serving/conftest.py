"""The engine, and hand-made images that leave nothing behind in it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from dockerlab import running_engine, static_busybox, tidy
from handmade import Shelf

from buildrules.oci.docker_http import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    return running_engine()


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return static_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A repository name of this test alone; its images are removed afterwards."""
    unique = f"buildrules-test/{os.urandom(6).hex()}"
    with tidy(engine, unique):
        yield unique
