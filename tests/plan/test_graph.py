"""Targets, layers and actions of a workspace in one graph."""

from pathlib import Path

import pytest

from buildrules.engine.events import Stream
from buildrules.engine.plan import Plan
from buildrules.graph.model import ACTION, LAYER, TARGET, Laid
from buildrules.net.session import Session
from buildrules.prepared import prepare
from buildrules.store.store import Store
from buildrules.workspace.labels import Label
from tests.support.space import Space


@pytest.fixture
def plan_of(tmp_path: Path, workspace: Space, monkeypatch: pytest.MonkeyPatch) -> "object":
    for name, value in workspace.env.items():
        monkeypatch.setenv(name, value)

    def plan(space: Space) -> Plan:
        store = Store(str(tmp_path / "store"))
        return prepare(str(space.root), "", ["//..."], {}, store, Stream(), Session()).plan()

    return plan


def test_one_graph_leads_from_a_package_to_its_files(workspace: Space, plan_of) -> None:  # type: ignore[no-untyped-def]
    graph = plan_of(workspace).graph
    app, code = Label("", "app"), Label("", "code")
    assert graph.needs[app][code] == "code"
    (image,) = [node for node in graph.needs[app] if graph.kinds[node] == ACTION and node.endswith("image")]
    roles = {role: node for node, role in graph.needs[image].items()}
    assert {"base", "model", "scoring code"} <= roles.keys()
    laid = roles["scoring code"]
    assert graph.kinds[laid] == LAYER and isinstance(laid, Laid)
    assert graph.needs[code] == {laid.action: "step"}
    order = graph.order([app])
    assert order.index(laid.action) < order.index(laid) < order.index(image) < order.index(app)
    assert {graph.kinds[node] for node in order} == {TARGET, LAYER, ACTION}
