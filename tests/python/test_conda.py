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
    with pytest.raises(ValueError, match=r"alternatives|not a version|no wheel"):
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
    assert str(caught.value.position) == "conda.yaml:3:3"
    assert "2 conda packages" in caught.value.message and "'cudatoolkit' (line 3), 'openjdk' (line 5)" in str(
        caught.value
    )
    hint = str(caught.value.hint)
    exclude = hint[hint.index("exclude: [") + len("exclude: [") : -1].split(", ")
    kept = read(root, text, exclude=exclude)
    assert [item.text for item in kept.items] == ["numpy"]
    assert len(kept.notes) == 3
    with pytest.raises(LoadError, match=r"^conda package 'openjdk' is not a Python package") as caught:
        read(root, text, exclude=["cuda*"])
    assert str(caught.value.position) == "conda.yaml:5:3"


CONDA_FORGE = """
name: x
channels: [conda-forge]
dependencies:
  - _libgcc_mutex=0.1=conda_forge
  - _openmp_mutex=4.5=2_gnu
  - bzip2=1.0.8=h4bc722f_7
  - ca-certificates=2025.1.31=hbcca054_0
  - ld_impl_linux-64=2.43=h712a8e2_4
  - libblas=3.9.0=31_h59b9bed_openblas
  - libffi=3.4.6=h2dba641_0
  - libgcc=14.2.0=h77fa898_1
  - liblzma=5.6.4=hb9d3cd8_0
  - libopenblas=0.3.29=pthreads_h94d23a6_0
  - libsqlite=3.49.1=hee588c1_1
  - libxcrypt=4.4.36=hd590300_1
  - ncurses=6.5=h2d0b736_3
  - numpy=2.3.1=py311h1234567_0
  - openssl=3.4.1=h7b32b05_0
  - pip=25.0=pyh8b19718_0
  - python=3.11.2=h9e4cc4f_1_cpython
  - python_abi=3.11=5_cp311
  - readline=8.2=h8c095d6_2
  - setuptools=80.0=pyhff2d567_0
  - tk=8.6.13=noxft_h4845f30_101
  - tzdata=2025a=h78e105d_0
  - xz=5.6.4=h5888daf_0
  - pip:
    - idna==3.10
prefix: /home/me/miniconda3/envs/x
"""
DEFAULTS = """
dependencies:
- _libgcc_mutex=0.1=main
- _openmp_mutex=5.1=1_gnu
- blas=1.0=mkl
- bzip2=1.0.8=h5eee18b_6
- ca-certificates=2025.2.25=h06a4308_0
- expat=2.6.4=h6a678d5_0
- intel-openmp=2023.1.0=hdb19cb5_46306
- libffi=3.4.4=h6a678d5_1
- libgcc-ng=11.2.0=h1234567_1
- libgomp=11.2.0=h1234567_1
- libstdcxx-ng=11.2.0=h1234567_1
- libuuid=1.41.5=h5eee18b_0
- mkl=2023.1.0=h213fc3f_46344
- numpy-base=2.3.1=py311h06ae042_1
- openssl=3.0.16=h5eee18b_0
- pip=25.0=py311h06a4308_0
- setuptools=80.0=py311h06a4308_0
- sqlite=3.45.3=h5eee18b_0
- zlib=1.2.13=h5eee18b_1
- pip:
  - idna==3.10
"""


@pytest.mark.parametrize("text", [CONDA_FORGE, DEFAULTS])
def test_a17_what_conda_env_export_writes(root: Path, text: str) -> None:
    found = read(root, text)
    assert [item.text for item in found.items] == ["numpy==2.3.1", "pip==25.0", "setuptools==80.0", "idna==3.10"]
    (note,) = found.notes
    assert note.startswith("conda.yaml: left out, since wheels and the base's Python bring their own: _libgcc_mutex, ")
    assert ", openssl, " in note


@pytest.mark.parametrize(
    "name", ["gcc", "libgcc-ng", "openssl", "r-base", "r-ggplot2", "cuda-nvcc", "xorg-libx11", "gxx_linux-64", "nodejs"]
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
    with pytest.raises(LoadError, match="not a version of Python"):
        check_python(pin, "3.11.2", override="three")


@pytest.mark.parametrize(
    "spec",
    ["python=3.10=h123_0", "python=3.10=*_cpython", "python==3.10", "python 3.10 h12", '"python[version=3.10]"'],
)
def test_a_python_without_a_patch_stands_for_its_minor_version(root: Path, spec: str) -> None:
    pin = read(root, f"dependencies:\n- {spec}\n").python
    check_python(pin, "3.10.22")
    with pytest.raises(ResolutionError, match=r"asks for Python 3\.10, and the base has Python 3\.11\.2") as caught:
        check_python(pin, "3.11.2")
    assert '{rule: python_standalone, version: "3.10"}' in str(caught.value.hint)


@pytest.mark.parametrize("spec", ["python=3.13=*_cp313t", "python 3.13 h12_1_cp313t", "'python[build=\"*_cp313t\"]'"])
def test_a_build_of_a_free_threaded_python_asks_for_one(root: Path, spec: str) -> None:
    pin = read(root, f"dependencies:\n- {spec}\n").python
    check_python(pin, "3.13.5", free_threaded=True)
    check_python(pin, "3.13.5", override="3.13")
    check_python(pin, "3.13.5", override="3.13t", free_threaded=True)
    with pytest.raises(ResolutionError, match=r"python '3\.13t' is asked for, and the base has Python 3\.13\.5"):
        check_python(pin, "3.13.5", override="3.13t")
    with pytest.raises(ResolutionError, match=r"asks for Python 3\.13t, and the base has Python 3\.13\.5") as caught:
        check_python(pin, "3.13.5")
    assert '{rule: python_standalone, version: "3.13t"}' in str(caught.value.hint)


@pytest.mark.parametrize("text", ["a" + " " * 200_000 + "[", "a" * 200_000 + "[", "a" * 200_000 + ":["])
def test_a_long_line_is_no_package_at_once(text: str) -> None:
    """Where the time grew with the square this would not end."""
    assert conda_spec(text) is None
