"""Files with something odd in one place: an error of ours, or a BUILD.yaml that loads; never a crash."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildrules.analysis.loaded import Loaded
from buildrules.authoring.build_file import add_to, home_of
from buildrules.authoring.text import render_workspace
from buildrules.azureml.conversion import Options
from buildrules.azureml.convert import convert
from buildrules.errors import BuildrulesError
from buildrules.workspace.disk import Disk
from tests.support.quick import first_quick

CASES = Path(__file__).parent / "cases"
FULL = [
    "connections",
    "deployment_batch",
    "deployment_custom_container",
    "deployment_in_place",
    "deployment_rest",
    "environment_in_place",
    "every_attribute",
    "printed_by_az",
    "rest_batch",
    "rest_json",
]
ODD: list[Any] = [
    None, "", [], {}, "a b", "../x", "/abs", "azureml:x:1", 3, -1, 1.5, True, [1], {"a": 1}, {"path": {}}, "\u0007",
    "x" * 3000, "*", "no", "azureml://", "runs:/", "file:", "@", ":", "//", "é", ["a", {"b": None}],
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", first_quick(FULL))
def test_something_odd_in_one_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(name)
    monkeypatch.chdir(tmp_path)
    files = CASES / name / "files"
    outcomes = set()
    for file in sorted(path for path in files.rglob("*") if path.suffix in (".yml", ".json")):
        document = yaml.safe_load(file.read_text().replace("\t", " "))
        root = tmp_path / str(file.relative_to(files)).replace("/", "-")
        shutil.copytree(files, root)
        changed = root / file.relative_to(files)
        for path in places(document):
            for odd in chance.sample(ODD, 2):
                (root / "BUILD.yaml").unlink(missing_ok=True)  # what the conversion before it made
                changed.write_text(json.dumps(put(document, path, odd)))
                try:
                    found = convert([str(changed)], Options(), None, Disk("/"))
                    targets = found.targets.all
                    home = home_of(targets, [str(changed.parent)], None, None)
                    text = add_to(home, targets, workspace=render_workspace("w", found.connections)).text
                except BuildrulesError as error:
                    outcomes.add(type(error).__name__)
                    continue
                (root / "BUILD.yaml").write_text(text)
                Loaded(Disk(str(root)))
                outcomes.add("loads")
    assert outcomes >= {"loads", "LoadError"}
