"""What each way through the program may import, and that every module can be imported alone."""

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import buildrules
from tests.support.containerd_store import containerd_engine
from tests.support.space import APP, Space

REPOSITORY = Path(buildrules.__file__).parents[1]

HEAVY = {"pydantic", "networkx", "docker", "rich", "yaml", "urllib3", "requests", "packaging", "uv"}
ANSWER = {
    *HEAVY,
    "click",
    "diskcache",
    "sqlite3",
    "subprocess",
    "json",
    "typing",
    "dataclasses",
    "hashlib",
    "threading",
}
"""An unchanged build compares stats and prints; it needs none of these."""
EDIT = {*HEAVY, "click", "subprocess", "tomllib", "zipfile", "tarfile", "argparse", "asyncio", "dataclasses", "inspect"}
"""An edit runs actions from the kept plan; it need not parse, validate or resolve."""
CODE_EDIT = {*EDIT, "typing", "importlib", "diskcache", "pathlib", "logging", "tempfile", "traceback", "urllib", "http"}
CODE_EDIT |= {"hashlib", "sqlite3", "datetime", "math", "queue"}
"""One of a script in particular: its way is the one that people wait for all day."""
OWN, ALL = 99, 147
"""So many modules at most on that way: of ours, and in all."""


DRIVER = """
import os, sys
before = set(sys.modules)
from buildrules.__main__ import main
code = main()
with open(os.environ["MODULES"], "w") as file:
    file.writelines(name + "\\n" for name in sorted(set(sys.modules) - before))
sys.exit(code)
"""


def imported(space: Space, *args: str, cwd: str = ".") -> set[str]:
    """The names of all modules that a command loads, beyond those the interpreter starts with."""
    listed = space.folder / "modules.txt"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *args],
        cwd=space.root / cwd,
        env={**space.env, "PYTHONPATH": str(REPOSITORY), "MODULES": str(listed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = set(listed.read_text().split())
    assert "buildrules.__main__" in names
    return names


def _of(names: set[str], forbidden: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] in forbidden}


def test_an_unchanged_build_imports_next_to_nothing(settled: Space) -> None:
    names = imported(settled, "build", APP)
    assert not _of(names, ANSWER)
    assert {name for name in names if name.startswith("buildrules.")} <= {
        "buildrules.__main__",
        "buildrules.errors",
        "buildrules.state",
        "buildrules.state.journal",
        "buildrules.state.location",
        "buildrules.state.reader",
        "buildrules.state.rows",
        "buildrules.workspace",
        "buildrules.workspace.root",
    }


def test_a_code_edit_imports_nothing_heavy(settled: Space) -> None:
    settled.append("src/score.py", "# edited\n")
    names = imported(settled, "build", APP)
    assert "buildrules.engine.build" in names, "the edit was not settled"
    assert not _of(names, CODE_EDIT)
    assert sum(name.startswith("buildrules.") for name in names) <= OWN
    assert len(names) <= ALL
    analysis = ("buildrules.rules", "buildrules.analysis", "buildrules.plan", "buildrules.executors")
    assert not {name for name in names if name.startswith(analysis)}


def test_a_code_edit_is_loaded_without_what_takes_longer_than_that(settled: Space) -> None:
    with containerd_engine() as (engine, store):
        settled.env["DOCKER_HOST"] = engine.host
        settled.settle("load", APP)
        settled.append("src/score.py", "# edited\n")
        names = imported(settled, "load", APP)
    assert len(store.brought[0]) > len(store.brought[1]) == 1
    assert "buildrules.oci.docker_socket" in names
    assert not _of(names, {*EDIT, "http", "email", "ssl", "typing"})


def test_a_model_edit_imports_nothing_heavy(settled: Space) -> None:
    settled.append("weights/labels.txt", "bird\n")
    names = imported(settled, "build", APP)
    assert "buildrules.actions.models.layers" in names
    assert not _of(names, EDIT)


def test_a_new_model_in_one_file_imports_nothing_heavy(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "path: weights", "path: weights/model.txt")
    workspace.settle()
    workspace.append("weights/model.txt", "4 5 6\n")
    assert not _of(imported(workspace, "build", APP), EDIT)


def test_a_workspace_is_listed_without_what_takes_longer_than_that(workspace: Space) -> None:
    names = imported(workspace, "query", "//...")
    assert "buildrules.analysis.loaded" in names
    assert not _of(names, HEAVY - {"pydantic", "yaml"})
    assert not {
        name for name in names if name.startswith(("buildrules.plan", "buildrules.locking", "buildrules.actions"))
    }


def test_a_query_of_an_unchanged_workspace_imports_next_to_nothing(workspace: Space) -> None:
    workspace.settle("query")
    names = imported(workspace, "query", "rdeps(//..., :base)")
    assert not _of(names, ANSWER)
    assert len([name for name in names if name.startswith("buildrules.")]) <= 20


def test_a_plan_imports_nothing_of_tests(settled: Space) -> None:
    settled.edit("BUILD.yaml", "code: :code\n", "code: :code\n    labels: {a: b}\n")
    names = imported(settled, "build", APP)
    assert "buildrules.plan.planner" in names
    assert not _of(names, {"networkx", "docker", "rich", "urllib3", "requests", "http", "ssl"})
    assert not names.intersection({"buildrules.plan.testing", "buildrules.serving.trial"})


def test_help_is_shown_without_the_heavy_modules(workspace: Space) -> None:
    assert not _of(imported(workspace, "--help"), HEAVY)


def modules() -> Iterator[str]:
    for info in pkgutil.walk_packages(buildrules.__path__, "buildrules."):
        if not info.name.endswith("__main__"):
            yield info.name


ALONE = """
import os, sys
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException as error:
            print(name, type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
sys.exit(bool(failed))
"""


@pytest.mark.slow
def test_every_module_can_be_imported_alone() -> None:
    """In a fresh process each: a cycle shows only where the module is the first one imported."""
    names = list(modules())
    assert len(names) > 80
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["click", "diskcache", "yaml", "networkx", "pydantic", "rich", "docker", "packaging"])
def test_the_budget_knows_the_names(name: str) -> None:
    """A library that was renamed would pass the tests above unnoticed."""
    __import__(name)
