"""The servers that executors are tested with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.events import Event, Progress, Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.executors.reapi.tool import tool
from buildrules.net.session import Session
from buildrules.store.store import Store
from tests.support.buildgrid import BuildGrid, buildgrid_server
from tests.support.casd import Casd, casd_server


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
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that steps bring along, which is made once."""
    store, session, said = Store(str(tmp_path_factory.mktemp("tools") / "store")), Session(), list[Event]()
    tool(LocalExecutor("/", store.blobs, session, session.own(Kinds), Stream(said.append)))
    ends = [event.done for event in said if isinstance(event, Progress) and event.done == event.total]
    assert max(ends) > 1 << 20, "people are told of bytes"
    store.close()
    return Path(store.root) / "interpreters"
