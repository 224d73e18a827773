"""The engine, and hand-made images that leave nothing behind in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy
from tests.support.ordinary import nobodys_folder


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A repository name of this test alone; its images are removed afterwards."""
    unique = f"buildrules-test/{os.urandom(6).hex()}"
    with tidy(engine, unique):
        yield unique


@pytest.fixture
def nobodys(busybox: bytes) -> Iterator[Path]:
    """A folder of an ordinary user, with the launcher and a root file system."""
    with nobodys_folder(busybox) as folder:
        yield folder
