"""The servers that executors are tested with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.buildgrid import BuildGrid, buildgrid_server
from tests.support.casd import Casd, casd_server
from tests.support.dask_cluster import DaskCluster, dask_cluster


@pytest.fixture(scope="session")
def buildgrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildGrid]:
    """A BuildGrid with two workers; who kills a part of it starts it again. For tests of the group `buildgrid`."""
    with buildgrid_server(tmp_path_factory.mktemp("buildgrid") / "run") as server:
        yield server


@pytest.fixture(scope="session")
def casd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casd]:
    """A buildbox-casd that executes two actions at a time."""
    with casd_server(tmp_path_factory.mktemp("casd") / "content", jobs=2) as server:
        yield server


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of three workers; who kills a part of it starts it again. For tests of the group `dask`."""
    folder = tmp_path_factory.mktemp("dask") / "cluster"
    with dask_cluster(folder, environment={"GIVEN": "1"}, resources={"cpu": 2}) as cluster:
        yield cluster
    left = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in left if os.fsencode(folder) in command]
