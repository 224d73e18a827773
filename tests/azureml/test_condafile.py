"""A conda file in place means what the same file means beside it."""

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from buildrules.azureml.conda import requirements_of
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError
from buildrules.locking.python.collector import Collector
from buildrules.locking.python.conda_file import CondaFile, read_conda

SPECS = (
    "numpy[version='>=1.2']",
    "numpy[version='>=1.2,<2', build=py311_0]",
    "conda-forge::scikit-learn=1.7",
    "pytorch ==2.7.0",
    "joblib>=1, <2",
    "pip=25",
    "setuptools",
    "Wheel",
    "python_abi=3.11=2_cp311",
    "xgboost 2.0 py311h1",
)
BROKEN = ("numpy[version", "numpy[flavour=a]", "numpy=1|2", "!numpy", "numpy=1 2 3")


def in_place(*specs: str) -> Node:
    node = parse("conda.yaml", f"dependencies: {json.dumps(specs)}\n".encode(), Problems())
    assert node is not None
    return node


def from_file(root: Path, *specs: str) -> Collector:
    (root / "conda.yaml").write_text(f"dependencies: {json.dumps(specs)}\n")
    collector = Collector(str(root))
    read_conda(collector, "conda.yaml", None)
    return collector


@pytest.mark.parametrize("specs", [*((spec,) for spec in SPECS), ("pip", "numpy"), ("setuptools=70", "pip")])
def test_packages(specs: tuple[str, ...], tmp_path: Path) -> None:
    problems = Problems()
    requirements, comments = requirements_of(CondaFile(in_place(*specs)), problems)
    problems.raise_all()
    expected = [item.text for item in from_file(tmp_path, *specs).finish().items]
    assert [str(Requirement(text)) for text in requirements] == expected
    assert comments == []


@pytest.mark.parametrize("spec", BROKEN)
def test_what_is_none(spec: str, tmp_path: Path) -> None:
    problems = Problems()
    requirements_of(CondaFile(in_place(spec)), problems)
    with pytest.raises(LoadError) as here:
        problems.raise_all()
    with pytest.raises(LoadError) as there:
        from_file(tmp_path, spec).finish()
    assert here.value.message == there.value.message


@pytest.mark.parametrize("spec", ["python[version='3.11.*']", "python=3.11", "defaults::python 3.11.*"])
def test_the_python(spec: str, tmp_path: Path) -> None:
    pin, other = CondaFile(in_place(spec)).python, from_file(tmp_path, spec).finish().python
    assert pin is not None
    assert other is not None
    assert pin.specifier == other.specifier == "==3.11.*"
