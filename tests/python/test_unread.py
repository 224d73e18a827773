"""Nothing of a file that is read goes unread in silence: tables of keys against the lists of the formats themselves."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging import pylock

from buildrules.actions.models.mlflow_files import DISTRIBUTIONS, read_model_files
from buildrules.actions.python.uvtool import uv_binary
from buildrules.errors import LockError, Position
from buildrules.locking.python import formats
from buildrules.locking.python.lock import lock_text, read_lock
from buildrules.locking.python.mlflow import collect_model
from buildrules.locking.python.requirements import collect

from .test_lock import lock_of, wheel
from .test_other_locks import LOCKS
from .test_projects import lay, static

MLFLOW = json.loads((Path(__file__).parents[1] / "mlflow/published.json").read_text())


def fields(of: type) -> set[str]:
    """The keys of a table of PEP 751."""
    return {field.name.replace("_", "-") for field in dataclasses.fields(of)}  # type: ignore[arg-type]


def test_keys_of_a_conda_file(root: Path) -> None:
    valid = {"name", "dependencies", "prefix", "channels", "variables"}  # docs.conda.io, conda_env.env.VALID_KEYS
    assert set(formats.CONDA) == valid | {"platforms"}
    (root / "e.yml").write_text("name: e\nchanels: [x]\nvariables: {A: b}\ndependencies: [numpy]\n")
    assert collect(str(root), "", conda_file="e.yml").notes == [
        "e.yml:2:1: 'chanels' is not a key of a conda file, and not read",
        "variables of a conda file are no part of an environment: packages set them, by `environment` (e.yml:3:1)",
    ]


def test_keys_of_a_pyproject(root: Path) -> None:
    """PEP 621, 639, 735 and 794, by the specification's page on pypa.io."""
    text = '[project]\nname = "a"\nversion = "1"\ndependancies = ["six"]\n[dependency-group]\nx = []\n'
    (root / "pyproject.toml").write_text(text)
    assert collect(str(root), "", pyproject="pyproject.toml").notes == [
        "pyproject.toml:5:2: dependency-group is not known, and not read",
        "pyproject.toml:4:1: project.dependancies is not known, and not read",
        "'pyproject.toml' asks for no packages",
    ]


def test_keys_of_mlmodel() -> None:
    assert set(formats.MLMODEL) == set(MLFLOW["model"])
    assert set(formats.SIGNATURE) == set(MLFLOW["signature"])
    assert set(MLFLOW["versions"]) <= set(DISTRIBUTIONS)


def test_what_of_a_models_files_is_not_known(root: Path) -> None:
    files = {
        "MLmodel": "flavours: {}\nflavors:\n  new: {new_version: 1.0, python_version: 3.11.2}\nmlflow_version: 3.1.0\n"
        "signature: {inputs: '[]', input: x}\n",
        "requirements.txt": "mlflow==3.1.0\n",
        "python_env.yaml": "python: 3.11.2\ndependancies: []\n",
    }
    found = collect_model(str(root), read_model_files("m", lambda name: _bytes(files.get(name))), asker="")
    assert [str(one) for one in found.disagreements] == [
        "m/MLmodel:1:1: 'flavours' is not known here, and not read",
        "m/MLmodel:5:27: 'input' is not known here, and not read",
        "m/python_env.yaml:2:1: 'dependancies' is not known here, and not read",
        "m/MLmodel:3:9: 'new_version': its library is not known here, and not compared",
    ]


@pytest.mark.parametrize("env", ["{virtualenv: envs/python.yaml, conda: conda.yaml}", "../conda.yaml", "other.yaml"])
def test_c3_an_environment_that_is_not_beside_the_model(root: Path, env: str) -> None:
    mark = f"flavors:\n  python_function:\n    env: {env}\n    python_version: 3.11.2\n"
    files = {
        "MLmodel": mark,
        "requirements.txt": "mlflow==3.1.0\n",
        "conda.yaml": "dependencies: [pip: [mlflow==3.1.0]]\n",
    }
    found = collect_model(str(root), read_model_files("m", lambda name: _bytes(files.get(name))), asker="")
    name = env.removeprefix("{virtualenv: ").partition(",")[0]
    assert [str(one) for one in found.disagreements] == [
        f"m/MLmodel:3:{10 + env.index(name)}: there is no {name!r} in the model's own folder: it is not read"
    ]


def _bytes(text: str | None) -> bytes | None:
    return text.encode() if text is not None else None


def test_keys_of_pep_751() -> None:
    for top, package in (formats.LOCKS["pylock.toml"], formats.LOCK[:2]):
        assert set(top) == fields(pylock.Pylock)
        assert set(package) == fields(pylock.Package)


def test_keys_of_uvs_lock(root: Path) -> None:
    lay(
        root / "lib", static("lib", "", '[dependency-groups]\ndev = []\n[project.optional-dependencies]\nx = ["lib"]\n')
    )
    more = '[tool.uv]\nexclude-newer = "2026-01-01T00:00:00Z"\nenvironments = ["sys_platform == \'linux\'"]\n'
    lay(root, static("app", '"lib"', more + '[tool.uv.sources]\nlib = {path = "lib"}\n'))
    command = [uv_binary(), "lock", "--offline", "--no-cache", "--directory", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    assert "supported-markers" in (root / "uv.lock").read_text()
    assert collect(str(root), "", pyproject="pyproject.toml").notes == []


@pytest.mark.parametrize(("name", "text"), [one for one in LOCKS if one[0] != "pdm.lock"])
def test_what_of_another_lock_is_not_known(root: Path, name: str, text: str) -> None:
    lay(root, static("app", '"b"'))
    (root / name).write_text(text)
    assert collect(str(root), "", pyproject="pyproject.toml").notes == []
    text = text.replace('version = "1.0"\n[[', 'version = "9.0"\n[[').replace("version = 1\n", "version = 9\n")
    text = text.replace('lock-version = "2.0"', 'lock-version = "9.0"').replace("VERSION", "1.0")
    (root / name).write_text(
        text.replace('name = "a-a"', 'name = "a-a"\nnew = 1').replace('name = "A.a"', 'name = "a"\nnew = 1')
    )
    notes = collect(str(root), "", pyproject="pyproject.toml").notes
    assert [note.partition(",")[0] for note in notes] == [f"{name}: its version", f"{name}: 'new' is not known"]
    assert "9" in notes[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('created-by = "buildrules"', 'created-by = "buildrules"\nnew = 1'),
        ("[tool.buildrules]", "[tool.buildrules]\nnew = 1"),
        ("[[packages]]", "[[packages]]\nnew = 1"),
    ],
)
def test_our_own_locks_hold_nothing_else(root: Path, old: str, new: str) -> None:
    text = lock_text(lock_of(wheel("numpy")))
    assert old in text
    (root / "pylock.x.toml").write_text(text)
    read_lock(str(root), "pylock.x.toml")
    (root / "pylock.x.toml").write_text(text.replace(old, new))
    with pytest.raises(LockError, match="it has 'new', which is not known here"):
        read_lock(str(root), "pylock.x.toml")


@pytest.mark.parametrize(
    ("attribute", "name", "text"),
    [
        ("requirements_file", "r.txt", ""),
        ("requirements_file", "r.txt", "# numpy\n\n   # scipy\n"),
        ("requirements_file", "r.txt", "-c limits.txt\n--pre\n"),
        ("requirements_file", "r.txt", "-r limits.txt\n"),
        ("conda_file", "c.yaml", "dependencies: [python=3.11]\n"),
        ("pyproject", "pyproject.toml", '[project]\nname = "c"\nversion = "1"\ndependencies = []\n'),
    ],
)
def test_a17_a_file_that_asks_for_nothing_is_said(root: Path, attribute: str, name: str, text: str) -> None:
    (root / "limits.txt").write_text("# none\n")
    (root / name).write_text(text)
    at = Position("BUILD.yaml", 4, 9)
    given: dict[str, Any] = {attribute: name}
    found = collect(str(root), "", requirements=["b"], place=lambda *_: at, **given)
    assert found.notes == [f"'{name}' asks for no packages (BUILD.yaml:4:9)"]
