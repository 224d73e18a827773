from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from buildrules.errors import LoadError, ResolutionError
from buildrules.locking.python.conda import check_python, conda_spec, python_specifier, wheel_name
from buildrules.locking.python.requirements import Requirements, collect

from .conftest import TOKEN

AZURE = """\
name: model-env
channels:
  - conda-forge
dependencies:
  - python=3.12
  - numpy=2.3.1
  - pip=25.1.1
  - scikit-learn=1.7.0
  - xgboost==3.0.2"""

MLFLOW = """\
channels:
- conda-forge
dependencies:
- python=3.11.5
- pip<=23.2.1
- pip:
  - mlflow==2.9.2
  - cloudpickle==3.0.0
  - -r more.txt
name: mlflow-env
"""


def read(root: Path, text: str, **more: object) -> Requirements:
    (root / "conda.yaml").write_text(text)
    return collect(str(root), "", conda_file="conda.yaml", **more)  # type: ignore[arg-type]


def test_azure_file(root: Path) -> None:
    found = read(root, AZURE)
    assert [item.text for item in found.items] == [
        "numpy==2.3.1.*",
        "pip==25.1.1.*",
        "scikit-learn==1.7.0.*",
        "xgboost==3.0.2",
        "setuptools<81",  # which conda's pip brings along
    ]
    assert found.python is not None and found.python.specifier == "==3.12.*"
    assert str(found.items[3].position) == "conda.yaml:9:5"
    assert found.items[3].position.excerpt.splitlines()[0] == "    9 |   - xgboost==3.0.2"  # type: ignore[union-attr]


def test_mlflow_file(root: Path) -> None:
    (root / "more.txt").write_text("psutil\n")
    found = read(root, MLFLOW)
    texts = [item.text for item in found.items]
    assert texts == ["pip<=23.2.1", "mlflow==2.9.2", "cloudpickle==3.0.0", "psutil", "setuptools<81"]
    assert found.files == ["conda.yaml", "more.txt"]


@pytest.mark.parametrize(
    ("packages", "exclude", "brings"),
    [
        ("numpy", [], False),  # no pip, no setuptools
        ("pip", [], True),
        ("pip, setuptools=70", [], False),
        ("pip, {pip: [setuptools==75.1.0]}", [], False),
        ("pip", ["setuptools"], False),
    ],
)
def test_what_condas_pip_brings_along(root: Path, packages: str, exclude: list[str], brings: bool) -> None:
    found = read(root, f"dependencies: [{packages}]\n", exclude=exclude)
    assert ("setuptools<81" in [item.text for item in found.items]) is brings


@pytest.mark.parametrize(
    ("rest", "specifier"),
    [
        ("", ""),
        ("=2.3.1", "==2.3.1.*"),
        ("= 2.3.1", "==2.3.1.*"),
        ("==2.3.1", "==2.3.1"),
        (" 2.3.1", "==2.3.1"),
        ("=2.3.*", "==2.3.*"),
        ("=2.3*", "==2.3.*"),
        ("==2.3.*", "==2.3.*"),
        (">=1,<2", ">=1,<2"),
        (" >=1, <2", ">=1,<2"),
        (">=1,!=1.5", ">=1,!=1.5"),
        ("~=1.4", "~=1.4"),
        ("=*", ""),
        ("=2.3.1=py311h1_0", "==2.3.1"),
        ("=2.3.1=*", "==2.3.1.*"),
        (" 2.3.1 py311h1_0", "==2.3.1"),
        ("=1.0rc1", "==1.0rc1"),
        ("=1.0+cu118", "==1.0+cu118"),
        ("=1.0.post1", "==1.0.post1"),
    ],
)
def test_specs(rest: str, specifier: str) -> None:
    assert python_specifier(rest) == specifier
    SpecifierSet(specifier)


@pytest.mark.parametrize(
    "rest", ["=1|=2", ">=1|<0.5", "=2024_07", "=", ">", "=a b c", "^1.2$", "~=3", ">=1,~=2", ">1.0+cu118"]
)
def test_specs_without_a_meaning_for_wheels(rest: str) -> None:
    with pytest.raises(ValueError, match=r"alternatives|no version|no wheel"):
        python_specifier(rest)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_fuzzy_means_prefix_and_double_equals_means_exact(numbers: list[int]) -> None:
    version = ".".join(map(str, numbers))
    fuzzy, exact = SpecifierSet(python_specifier(f"={version}")), SpecifierSet(python_specifier(f"=={version}"))
    assert fuzzy.contains(version) and fuzzy.contains(version + ".7")
    assert exact.contains(version) and not exact.contains(version + ".7")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("pytorch=2.3", "torch==2.3.*"),
        ("opencv", "opencv-python-headless"),
        ("conda-forge::lightgbm>=4", "lightgbm>=4"),
        ("conda-forge/linux-64::lightgbm=4", "lightgbm==4.*"),
        ("\"numpy[version='>=1.20,<2',channel=conda-forge]\"", "numpy<2,>=1.20"),
        ("PyYAML", "pyyaml"),
        ("msgpack-python", "msgpack"),
        ("ray-default=2.9", "ray[default]==2.9.*"),
        ("jinja2", "jinja2"),
    ],
)
def test_names(root: Path, line: str, text: str) -> None:
    (item,) = read(
        root, f"dependencies: [python=3.11, {line}]" if '"' not in line else f"dependencies:\n- {line}"
    ).items
    assert item.text == text


def test_what_is_no_python_package_is_named_with_its_line(root: Path) -> None:
    text = "dependencies:\n- numpy\n- cudatoolkit=11.8\n- _libgcc_mutex=0.1=main\n- openjdk\n"
    with pytest.raises(LoadError) as caught:
        read(root, text)
    found = [(error.message, str(error.position)) for error in caught.value.errors]
    assert [position for _, position in found] == ["conda.yaml:3:3", "conda.yaml:4:3", "conda.yaml:5:3"]
    assert "'cudatoolkit'" in found[0][0] and "exclude: [cudatoolkit]" in str(caught.value.errors[0].hint)
    kept = read(root, text, exclude=["cudatoolkit", "_libgcc_mutex", "openjdk"])
    assert [item.text for item in kept.items] == ["numpy"]
    assert len(kept.notes) == 3


@pytest.mark.parametrize(
    "name", ["gcc", "libgcc-ng", "r-base", "r-ggplot2", "cuda-nvcc", "xorg-libx11", "gxx_linux-64", "nodejs"]
)
def test_programs_and_libraries(name: str) -> None:
    assert wheel_name(name) is None


def test_aliases_and_merge_keys(root: Path) -> None:
    found = read(root, "x: &x [numpy]\ny: &y {dependencies: [scipy, {pip: *x}]}\n<<: *y\n")
    assert [item.text for item in found.items] == ["scipy", "numpy"]


def test_aliases_have_a_bound(root: Path) -> None:
    wide = ", ".join(["{pip: *x}"] * 101)
    with pytest.raises(LoadError, match="stand for more than 10000 values"):
        read(root, f"x: &x [{', '.join(['numpy'] * 100)}]\ndependencies: [{wide}]\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "is not a conda file"),
        ("", "is not a conda file"),
        ("name: x\n", "must be a list"),
        ("dependencies: {a: 1}\n", "must be a list"),
        ("dependencies:\n- [a]\n", "must be a package"),
        ("dependencies:\n- pip: {a: b}\n", "must hold a list"),
        ("dependencies:\n- npm: [x]\n", "must be a package"),
        ("dependencies: [\n", "did not find expected node content"),
        ("dependencies: []\ndependencies: []\n", "duplicate key 'dependencies'"),
        ("dependencies:\n- numpy=1|2\n", "alternatives"),
        ("dependencies:\n- python~=3\n", "has the version '~=3', which no wheel can have; write ~=3.0"),
        ("dependencies:\n- numpy\n{{ name }}: x\n", "a key must be a text"),
        ("dependencies: [numpy]\n? [a]\n: b\n", "a key must be a text, not a list"),
        ("dependencies:\n- ? [pip]\n  : [a]\n", "must be a package"),
        ("dependencies:\n- 'numpy[md5=abc]'\n", "'md5'"),
        ("dependencies:\n- pip:\n  - --index-url https://x.example\n", "says where from"),
    ],
)
def test_broken_files(root: Path, text: str, message: str) -> None:
    with pytest.raises(LoadError) as caught:
        read(root, text)
    assert any(message in error.message for error in caught.value.errors), caught.value.errors
    assert all(error.position is not None for error in caught.value.errors)


def test_a_feed_with_its_token_in_the_pip_list(root: Path) -> None:
    text = f"dependencies:\n- pip:\n  - --extra-index-url https://build:{TOKEN}@feed.example/simple\n  - numpy\n"
    with pytest.raises(LoadError) as caught:
        read(root, text)
    assert str(caught.value.position) == "conda.yaml:3:5"
    assert TOKEN not in caught.value.message + str(caught.value.hint) + caught.value.position.excerpt  # type: ignore[union-attr]


def test_python_pin_against_the_base(root: Path) -> None:
    pin = read(root, AZURE).python
    check_python(pin, "3.12.4")
    with pytest.raises(ResolutionError, match=r"asks for Python 3.12, and the base has Python 3.11.2") as caught:
        check_python(pin, "3.11.2")
    assert "python: '3.11' on the python_env" in str(caught.value.hint)
    assert str(caught.value.position) == "conda.yaml:5:5"
    check_python(pin, "3.11.2", override="3.11")
    check_python(None, "3.11.2")
    check_python(None, "3.11.2", override=">=3.10")
    with pytest.raises(ResolutionError, match=r"'3.10' is asked for"):
        check_python(pin, "3.11.2", override="3.10")
    with pytest.raises(LoadError, match="no version of Python"):
        check_python(pin, "3.11.2", override="three")


@pytest.mark.parametrize("text", ["a" + " " * 200_000 + "[", "a" * 200_000 + "[", "a" * 200_000 + ":["])
def test_a_long_line_is_no_package_at_once(text: str) -> None:
    """Where the time grew with the square this would not end."""
    assert conda_spec(text) is None
