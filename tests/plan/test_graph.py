"""Targets, layers and actions of a workspace in one graph, with digests that nothing was run for."""

import hashlib
from pathlib import Path

import pytest

from buildrules.actions.registry import Kinds
from buildrules.cli.prepared import prepare
from buildrules.engine.events import Stream
from buildrules.engine.plan import Plan
from buildrules.graph.model import ACTION, LAYER, TARGET, Laid
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.globs import expand
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


def digests(space: Space, plan: Plan) -> dict[object, str]:
    found = {}
    for source in (source for action in plan.actions.values() for source in action.sources):
        files, _ = expand(str(space.root), source.directory, list(source.include), list(source.exclude))
        content = hashlib.sha256()
        for path, name, _ in files:
            content.update(name.encode() + b"\0" + (space.root / path).read_bytes())
        found[source] = content.hexdigest()
    return plan.digests(found, Kinds(Session()).version)


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


def test_an_edit_changes_the_digests_above_it(workspace: Space, plan_of) -> None:  # type: ignore[no-untyped-def]
    plan = plan_of(workspace)
    before = digests(workspace, plan)
    assert len(before) == len(plan.graph)
    workspace.append("src/helper.py", "more = 1\n")
    after = digests(workspace, plan)
    changed = {str(node) for node in before if before[node] != after[node] and plan.graph.kinds[node] == TARGET}
    assert changed == {"//:code", "//:app"}


def test_a_target_of_another_name_has_the_same_digest(workspace: Space, plan_of) -> None:  # type: ignore[no-untyped-def]
    before = digests(workspace, plan_of(workspace))
    workspace.edit("BUILD.yaml", "  code: {rule", "  renamed: {rule")
    workspace.edit("BUILD.yaml", "code: :code", "code: :renamed")
    after = digests(workspace, plan_of(workspace))
    assert before[Label("", "code")] == after[Label("", "renamed")]
    assert before[Label("", "app")] == after[Label("", "app")]
