"""A plan is a function of the loaded workspace and the locks: making one looks at nothing."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from buildrules.analysis.selection import select
from buildrules.engine.events import Stream
from buildrules.net.session import Session
from buildrules.plan.planner import make_plan
from buildrules.prepared import prepare
from buildrules.store.store import Store
from tests.support.purity import pure
from tests.support.space import Space

EXAMPLES = Path(__file__).parents[2] / "examples"

MORE = """\
  far: {rule: model, path: weights, download_uri: "https://models.example/weights"}
  data: {rule: input, path: data, mount_path: /srv/data, mode: copy}
  bare: {rule: model_package, model: ":m", base_env: ":base", server: ":server", code: ":code"}
  late:
    rule: model_package
    model: :far
    inputs: [":data"]
    base_env: :env
    server: :server
    code: :code
    mode: download
    files: {/etc/note.txt: note.txt, /srv/more: data}
    sample_request: request.json
  check: {rule: package_test, package: ":late", requests: [{route: scoring, file: request.json}]}
  local: {rule: python_env, base: ":base", requirements: [numlib==1.0, ./lib]}
  built: {rule: model_package, model: ":m", base_env: ":local", server: ":server", code: ":code"}
"""


def check(root: Path, store: Path, **options: object) -> int:
    """The actions of a plan, made a second time where whoever looks at the world fails."""
    prepared = prepare(str(root), "", ["//..."], dict(options), Store(str(store)), Stream(), Session())
    first = prepared.plan()
    with pure():
        selection = select(prepared.loaded, ["//..."], "", prepared.options)
        again = make_plan(prepared.loaded, prepared.locks, selection, prepared.options, str(root))
    assert (again.actions, again.goals, again.sides) == (first.actions, first.goals, first.sides)
    return len(again.actions)


@pytest.fixture
def rich(workspace: Space) -> Space:
    workspace.append("BUILD.yaml", MORE)
    workspace.write("data/rows.csv", "1,2\n")
    workspace.write("note.txt", "note\n")
    workspace.write("request.json", "{}\n")
    workspace.write("lib/pyproject.toml", '[project]\nname = "lib"\nversion = "1"\n')
    workspace.run("lock")
    return workspace


@pytest.mark.parametrize("options", [{}, {"test": True}], ids=str)
def test_a_plan_of_everything_there_is(
    rich: Space, tmp_path: Path, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rich.env.items():
        monkeypatch.setenv(name, value)
    assert check(rich.root, tmp_path / "store", locked=True, **options) > 12


@pytest.mark.parametrize("options", [{}, {"test": True}], ids=str)
def test_plans_of_the_examples(tmp_path: Path, options: dict[str, object]) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns(".cache"))
    assert check(tmp_path / "examples", tmp_path / "store", locked=True, **options) > 12


def test_the_guard_guards() -> None:
    attempts = [
        lambda: open(__file__),  # noqa: SIM115
        lambda: os.path.isfile(__file__),
        lambda: os.listdir("."),
        lambda: socket.create_connection(("127.0.0.1", 1)),
        lambda: subprocess.run(["true"], check=True),
        lambda: os.environ.get("HOME"),
    ]
    for attempt in attempts:
        with pytest.raises(AssertionError, match="what is pure looks at"), pure():
            attempt()
