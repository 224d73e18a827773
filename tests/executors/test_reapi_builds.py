"""Builds whose steps are run by a server of the Remote Execution API, each in a sandbox that has nothing of this
machine: what comes back is what a build here makes.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.events import Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.executors.reapi.tool import tool
from buildrules.net.session import Session
from buildrules.store.store import Store
from tests.support.casd import Casd, casd_server
from tests.support.space import Space

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("reapi")]


@pytest.fixture(scope="module")
def casd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casd]:
    with casd_server(tmp_path_factory.mktemp("casd") / "content", jobs=2) as server:
        yield server


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that steps bring along, which is made once."""
    store, session = Store(str(tmp_path_factory.mktemp("tools") / "store")), Session()
    tool(LocalExecutor("/", store.blobs, session, session.own(Kinds), Stream()))
    store.close()
    return Path(store.root) / "interpreters"


def send(space: Space, url: str, tools: Path, **more: object) -> None:
    """All that can be sent is sent, from a store that has nothing but the tool."""
    settings = json.dumps({"url": url, "shortest": 0, **more})
    space.edit("BUILD.yaml", "  platforms: [linux/amd64]", f"  platforms: [linux/amd64]\n  executor: {settings}")
    shutil.rmtree(space.store, ignore_errors=True)
    space.store.mkdir()
    shutil.copytree(tools, space.store / "interpreters", copy_function=os.link)


def built(space: Space) -> dict[str, object]:
    """The digests of all that the workspace has."""
    report = json.loads(space.run("build", "//...", "--json").out)
    return {one["label"]: (one["digest"], [layer["digest"] for layer in one["layers"]]) for one in report["targets"]}


def test_what_a_server_makes_is_what_is_made_here(workspace: Space, casd: Casd, tools: Path) -> None:
    here = built(workspace)
    send(workspace, casd.url, tools)
    assert built(workspace) == here
