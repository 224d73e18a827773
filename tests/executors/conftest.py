"""The servers that executors are tested with."""

from collections.abc import Iterator

import pytest

from tests.support.buildgrid import BuildGrid, buildgrid_server


@pytest.fixture(scope="session")
def buildgrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildGrid]:
    """A BuildGrid with two workers; who kills a part of it starts it again. For tests of the group `buildgrid`."""
    with buildgrid_server(tmp_path_factory.mktemp("buildgrid") / "run") as server:
        yield server
