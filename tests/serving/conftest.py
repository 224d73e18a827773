"""The engine, and hand-made images that leave nothing behind in it."""

import os
from collections.abc import Iterator

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import tidy


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A repository name of this test alone; its images are removed afterwards."""
    unique = f"buildrules-test/{os.urandom(6).hex()}"
    with tidy(engine, unique):
        yield unique
