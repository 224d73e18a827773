"""Where each step ran, how long it waited and what it moved: by every way in which a build says what it did."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.folder_engine import FolderEngine
from tests.support.package_tests import TEST, answering, failures, results
from tests.support.space import APP, Space

AWAY = ("--executor", "grpc://127.0.0.1:1")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderEngine:
    """What commands of this process get for any address: each task is run by a process of its own, in a folder."""
    made = FolderEngine(tmp_path / "engine")
    monkeypatch.setattr("buildrules.cli.away.open_engine", lambda *_: made.open())
    return made


def ran(path: Path) -> dict[str, dict[str, Any]]:
    """The steps that ran, by what they are called in events."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["step"]: row for row in rows if row["event"] == "step_finished" and row["status"] == "executed"}


def explained(space: Space, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(space.run(*words, "--explain-executor", "--json").out)["executor"]
    return found


def test_where_steps_ran_is_said_everywhere(workspace: Space, engine: FolderEngine) -> None:
    events, profile, report = (workspace.folder / name for name in ("events.jsonl", "profile.json", "report.json"))
    files = ("--events", str(events), "--profile", str(profile))
    table = explained(workspace, "build", APP, *AWAY, *files)
    rows = ran(events)
    assert sorted(row["kind"] for row in rows.values() if "worker" in row["placed"]) == sorted(engine.ran)
    for row in rows.values():
        placed = row["placed"]
        assert ("stayed" in placed) == ("worker" not in placed)
        assert "stayed" in placed or (placed["worker"] == "a folder" and 0 < placed["seconds"] < row["seconds"])
        assert "queued" not in placed, "nobody said how long it waited"
    assert sum(row["placed"].get("sent", 0) for row in rows.values()) >= len(
        workspace.path("src/score.py").read_bytes()
    )
    for kind in table["steps"]:
        same = [
            row["placed"]
            for row in rows.values()
            if row["kind"] == kind["kind"] and row["placed"].get("stayed", "") == kind["why"]
        ]
        assert kind["steps"] == len(same)
        assert kind["sent"] == sum(one.get("sent", 0) for one in same)
        assert (kind["where"], kind["workers"]) == (("here", []) if kind["why"] else ("there", ["a folder"]))
    assert sum(kind["steps"] for kind in table["steps"]) == len(rows)
    bars = json.loads(profile.read_text())["traceEvents"]
    assert [bar["args"].get("placed") for bar in bars] == [row["placed"] for row in rows.values()]
    (log,) = (workspace.store / "logs").glob("*.log")
    assert log.read_text().count("ran on a folder, which took ") == len(engine.ran)
    workspace.run("report", "-o", str(report))
    build = json.loads(report.read_text())["build"]["steps"]
    at = build["columns"].index("placed")
    assert [row[at] for row in build["rows"]] == [row["placed"] for row in rows.values()]
    why = workspace.run("why", APP, "--verbose").out
    assert why.count("last ran on a folder, which took ") == len(engine.ran)
    assert why.count("last ran here: ") == len(rows) - len(engine.ran) - 2, "lints are no part of it"


def test_people_are_told_and_round_trips_are_remembered(workspace: Space, engine: FolderEngine) -> None:
    assert explained(workspace, "build", APP) == {}, "all is run here"
    workspace.write("src/score.py", "def run(data):\n    return [data]\n")
    first = explained(workspace, "build", APP, *AWAY)
    assert first["shortest"] == engine.overhead and first["round_trip"] > 0
    workspace.write("src/score.py", "def run(data):\n    return [data, 1]\n")
    result = workspace.run("build", APP, *AWAY, "--explain-executor", "--verbose", "--progress", "plain")
    known = f"steps of at least {first['round_trip']:.3f} s go to {engine.name}; a round trip takes "
    result.said(known, "it is shorter than a round trip")
    workspace.edit("BUILD.yaml", "  name: acme", "  name: acme\n  executor: {url: 'grpc://127.0.0.1:1', shortest: 0}")
    workspace.write("src/score.py", "def run(data):\n    return [data, 2]\n")
    out = workspace.run("build", APP, "--explain-executor", "--verbose", "--progress", "plain").said(
        "steps of at least 0.000 s go to", "(2 elsewhere)"
    )
    assert re.search(r"^done    code code  \d+\.\d s  on a folder, which took \d\.\d\d s; .* there", out.err, re.M)
    assert re.search(r"^  files_layer +1  a folder +0\.00 s +\d\.\d\d s +\? +\d+ B$", out.out, re.M)
    unchanged = workspace.run("build", APP, "--explain-executor")
    assert "steps of at least" not in unchanged.out + unchanged.err


def test_a_step_that_failed_there_was_not_built_elsewhere(workspace: Space, engine: FolderEngine) -> None:
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [nowhere]}")
    workspace.edit("BUILD.yaml", "  name: acme", "  name: acme\n  executor: {url: 'grpc://127.0.0.1:1', shortest: 0}")
    failed = workspace.run("build", APP, "-k", code=1)
    assert f"({len(engine.ran) - 1} elsewhere)" in failed.out + failed.err


def test_the_namespace_of_the_environment_is_that_of_tasks(workspace: Space, engine: FolderEngine) -> None:
    variable = "BUILDRULES_CACHE_NAMESPACE"
    workspace.run("build", APP, *AWAY, code=2, env={variable: "../main"}).said(
        "BUILDRULES_CACHE_NAMESPACE is '../main'"
    )
    workspace.run("build", APP, *AWAY, env={variable: "pull-request/7"})
    assert engine.namespaces == {"pull-request/7"}


@pytest.mark.parametrize(
    ("url", "foreign", "own"),
    [
        ("grpc://127.0.0.1:1", "tls: {authority: ca.pem}", "connection"),
        ("dask+tls://127.0.0.1:1", "connection: c", "tls"),
    ],
)
def test_settings_of_another_kind_of_engine_are_refused(workspace: Space, url: str, foreign: str, own: str) -> None:
    workspace.edit(
        "BUILD.yaml",
        "  name: acme",
        f"  name: acme\n  executor: {{url: '{url}', {foreign}}}\n  connections: {{c: {{type: http, target: 'https://a.b'}}}}",
    )
    name, scheme = foreign.partition(":")[0], url.partition(":")[0]
    refused = workspace.run("build", APP, code=2, env={"BUILDRULES_CACHE": f"file://{workspace.folder}/cache"})
    refused.said(f"workspace.executor.{name} means nothing to {scheme}://", f"{own} is for that")
    workspace.run("build", APP, "--executor", "local")


@pytest.mark.parametrize("url", ["grpc://h:99999", "grpc://h:abc", "grcp://h:1", "http://h:1"])
def test_what_is_no_address_is_refused_where_it_stands(workspace: Space, url: str) -> None:
    said = f"'{url}' is not the address of an executor"
    workspace.run("build", APP, "--executor", url, code=2).said(f"error: {said}")
    workspace.run("build", APP, code=2, env={"BUILDRULES_EXECUTOR": url}).said(f"BUILDRULES_EXECUTOR: {said}")
    workspace.run("why", APP, env={"BUILDRULES_EXECUTOR": url})
    workspace.edit("BUILD.yaml", "  name: acme", f"  name: acme\n  executor: '{url}'")
    workspace.run("query", APP, code=2).said(f"BUILD.yaml:3:13: 'executor': {said}")


def test_a_login_in_an_address_is_refused_and_not_shown(workspace: Space) -> None:
    refused = workspace.run("build", APP, "--executor", "grpc://me:hush-hush@h:1", code=2)
    refused.said("the address of the executor holds a user name or password")
    assert "hush" not in refused.err


def test_answers_that_nobody_can_sign_are_refused_before_anything_is_run(
    workspace: Space, engine: FolderEngine
) -> None:
    workspace.edit(
        "BUILD.yaml", "  name: acme", "  name: acme\n  cache: {signatures: require}\n  executor: {url: 'grpc://h:1'}"
    )
    workspace.run("build", APP, code=2).said("workers of grpc://h:1 hold no key", "trusted: true")
    assert not engine.ran
    workspace.run("why", APP)
    workspace.run("build", APP, "--executor", "local")
    workspace.edit("BUILD.yaml", "{url: 'grpc://h:1'}", "{url: 'grpc://h:1', trusted: true}")
    workspace.run("build", APP)


def test_a_setting_that_is_misspelt_is_one_error(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  name: acme", "  name: acme\n  executor: {url: 'grpc://h:1', shortst: 3}")
    refused = workspace.run("query", APP, code=2).said("unknown key 'shortst'", "did you mean 'shortest'?")
    assert refused.err.count("error:") == 1


def test_packages_are_tested_elsewhere(new_space: Callable[..., Space], busybox: bytes, engine: FolderEngine) -> None:
    space = answering(new_space(), busybox)
    space.append("BUILD.yaml", TEST + TEST.replace("app_test", "wrong").replace("greeting: hello", "greeting: hi"))
    classes = [{"memory": "1Gi", "properties": {"pool": "small"}}, {"memory": "4Gi", "properties": {"pool": "large"}}]
    settings = {"url": "grpc://127.0.0.1:1", "runners": ["rootfs"], "properties": {"os": "linux"}, "classes": classes}
    space.edit("BUILD.yaml", f"  name: {space.name}", f"  name: {space.name}\n  executor: {json.dumps(settings)}")
    here = failures(space, "//:wrong", "--executor", "local", "--runner", "rootfs")
    assert failures(space, "//:wrong") == here
    space.run("test", "//:app_test").said("(rootfs on a folder)", "1 passed")
    space.run("test", "//:app_test", "--executor", "local").said("cached      //:app_test  2 requests, unchanged")
    assert engine.asked[-1] == {"os": "linux", "pool": "small"}
    for memory, pool in (("2Gi", "large"), ("8Gi", None)):
        space.edit("BUILD.yaml", "    code: :code\n", f"    code: :code\n    resources: {{memory: {memory}}}\n")
        found = explained(space, "test", "//:app_test")
        (test,) = (row for row in found["steps"] if row["kind"] == "package_test")
        lacking = f"no class of workspace.executor.classes is large enough for memory {memory}"
        assert test["why"] == ("" if pool else lacking)
        assert (engine.asked[-1]["pool"] == pool) or pool is None
        space.edit("BUILD.yaml", f"    resources: {{memory: {memory}}}\n", "")
    engine.unfit = ("rootfs",)
    space.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    resources: {memory: 3Gi}\n")
    (test,) = (row for row in explained(space, "test", "//:app_test")["steps"] if row["kind"] == "package_test")
    assert test["why"] == "the runner 'rootfs' does not work with this kind of executor"
    assert results(space, "//:app_test", "--gpus", "device=0", code=1)["//:app_test"]["status"] == "failed"
