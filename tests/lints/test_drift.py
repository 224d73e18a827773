"""Pickles that are known not to work with what is locked: real ones, and the table that knows. C5 and C9."""

import shutil
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from buildrules.lints.drift import KNOWN, known_drift
from buildrules.lints.pickles import read_pickle
from tests.python.conftest import BACKEND, make_sdist
from tests.support.space import Space, wheel

PICKLES = Path(__file__).parent / "pickles"


def drift(path: Path, **locked: str) -> list[str]:
    """What is said of a pickle where these versions are locked."""
    with open(path, "rb") as file:
        found = read_pickle(file, path.stat().st_size)
    assert found is not None
    packages = {name.replace("_", "-"): version for name, version in locked.items()}
    return [one.message for _, one in known_drift("m.pkl", found.words, found.versions, packages)]


@pytest.mark.parametrize(
    ("name", "breaks", "works", "said"),
    [
        ("drift/scikit-learn-1.1.3-tree.joblib", "1.7.0", "1.2.2", "node array from the pickle"),
        ("drift/scikit-learn-1.2.2-neighbours.pkl", "1.3.0", "1.2.0", "EuclideanDistance"),
        ("drift/scikit-learn-1.8.0-boosting.pkl", "1.9.1", "1.8.1", "No module named '_loss'"),
        ("sklearn-1.3.2.joblib", "1.7.0", "1.3.0", "monotonic_cst"),
        ("sklearn-1.3.2-zlib.joblib", "1.4.0", "1.9.1", "monotonic_cst"),
        ("sklearn-1.3.2-xz.joblib", "1.8.0", "1.3.2", "monotonic_cst"),
    ],
)
def test_c9_scikit_learn(name: str, breaks: str, works: str, said: str) -> None:
    (message,) = drift(PICKLES / name, scikit_learn=breaks, numpy="2.3.1")
    assert said in message and f"and does not work with {breaks}" in message
    assert drift(PICKLES / name, scikit_learn=works) == drift(PICKLES / name, numpy="2.3.1") == []


@pytest.mark.parametrize("name", ["sklearn-1.3.2-protocol2.pkl", "sklearn-1.6.1-protocol4.pkl", "sklearn-1.6.1.joblib"])
@pytest.mark.parametrize("locked", ["1.7.0", "1.9.1"])
def test_c9_what_still_works(name: str, locked: str) -> None:
    """A pipeline of a scaler and a logistic regression, and a forest that is new enough."""
    assert drift(PICKLES / name, scikit_learn=locked) == []


@pytest.mark.parametrize(
    ("name", "breaks", "works", "said"),
    [
        ("numpy-2.0.2-array.pkl", {"numpy": "1.26.4"}, {"numpy": "2.0.0"}, "saved with numpy>=2, and"),
        ("numpy-2.0.2-random.pkl", {"numpy": "1.26.4"}, {"numpy": "2.4.0"}, "BitGenerator"),
        ("numpy-1.26.4-random.pkl", {"numpy": "1.23.5"}, {"numpy": "2.4.0"}, "takes 1 argument"),
        ("pandas-1.5.3-series.pkl", {"pandas": "2.2.3"}, {"pandas": "1.5.3"}, "pandas.core.indexes.numeric"),
    ],
)
def test_c9_numpy_and_pandas(name: str, breaks: dict[str, str], works: dict[str, str], said: str) -> None:
    (message,) = drift(PICKLES / "drift" / name, **breaks)
    assert said in message
    assert drift(PICKLES / "drift" / name, **works) == []
    assert drift(PICKLES / "drift/numpy-1.26.4-array.pkl", numpy="1.23.5") == []


def test_c9_xgboost_binary(tmp_path: Path) -> None:
    path = tmp_path / "m.model"
    path.write_bytes(b"binf\0\0\0?\4" + bytes(100))
    assert drift(path, xgboost="3.0.5") == []
    assert drift(path, xgboost="3.2.0")[0].startswith("the model was saved with xgboost<3.1, and does not work")


@pytest.mark.parametrize(
    ("module", "name", "breaks", "works"),
    [
        ("scipy.sparse._csr", "csr_matrix", {"scipy": "1.7.3"}, {"scipy": "1.10.0"}),
        ("scipy.sparse._arrays", "csr_array", {"scipy": "1.11.0"}, {"scipy": "1.10.0"}),
        ("xgboost.compat", "XGBoostLabelEncoder", {"xgboost": "2.0.0"}, {"xgboost": "1.7.6"}),
    ],
)
@pytest.mark.parametrize("spelled", [b"\x80\x03c%s\n%s\n.", b"\x80\x04\x8c%s\x94\x8c%s\x94\x93."])
def test_c9_what_a_library_no_longer_has(
    tmp_path: Path, module: str, name: str, breaks: dict[str, str], works: dict[str, str], spelled: bytes
) -> None:
    words = [bytes([len(one)]) + one.encode() if spelled[1] == 4 else one.encode() for one in (module, name)]
    path = tmp_path / "m.pkl"
    path.write_bytes(spelled % tuple(words))
    assert len(drift(path, **breaks)) == 1
    assert drift(path, **works) == []


def test_every_known_pair_says_where_it_comes_from() -> None:
    for row in KNOWN:
        assert row.words and row.fails and row.source
        SpecifierSet(row.saved), SpecifierSet(row.locked)
    assert len({row.words + row.locked for row in KNOWN}) == len(KNOWN)


@pytest.fixture
def pickled(new_space, tmp_path: Path) -> Space:  # type: ignore[no-untyped-def]
    """A package with wheels that call themselves scikit-learn 1.7.0, and more that it needs."""
    space: Space = new_space(locked=False)
    links = shutil.copytree(space.wheels, tmp_path / "links")
    for name, version in (("scikit_learn", "1.7.0"), ("sklearn", "1.0"), ("joblib", "1.0"), ("numpy", "2.3.1")):
        filename, data = wheel(name, version)
        (links / filename).write_bytes(data)
    space.env["UV_FIND_LINKS"] = str(links)
    space.edit("BUILD.yaml", "numlib==1.0", "numlib==1.0, scikit-learn==1.7.0, sklearn, joblib, numpy")
    return space


def test_c9_known_drift_is_an_error_and_the_rest_a_warning(pickled: Space) -> None:
    pickled.write("weights/m.joblib", (PICKLES / "sklearn-1.6.1.joblib").read_bytes())
    said = pickled.run("lint").said("warning: weights/m.joblib:1:1: the model was saved with scikit-learn 1.6.1")
    assert "does not work" not in said.out
    pickled.write("weights/m.joblib", (PICKLES / "drift/scikit-learn-1.1.3-tree.joblib").read_bytes())
    mark = "flavors:\n  sklearn: {sklearn_version: 1.1.3}\n"
    pickled.write("weights/MLmodel", mark)
    said = pickled.run("lint", code=1)
    said.said(
        "error: weights/m.joblib:1:1: the model was saved with scikit-learn 1.1.3, and does not work with 1.7.0",
        "hint: ask for scikit-learn==1.1.3, or save the model again with 1.7.0",
    )
    assert said.out.count("[pickle_version]") == 1


def test_c5_nothing_is_built_to_look_into_it(pickled: Space) -> None:
    """An old pin without wheels: what the lock says is enough, and of its modules nothing is known."""
    broken = BACKEND + "    raise SystemExit('the compiler is missing')\n"
    for name in ("slowlib", "scikit_image"):
        filename, data = make_sdist(
            name, "1.0", backend=broken.replace("    info =", "    raise SystemExit(1)\n    info =")
        )
        (Path(pickled.env["UV_FIND_LINKS"]) / filename).write_bytes(data)
    pickled.edit("BUILD.yaml", "scikit-learn==1.7.0", "scikit-learn==1.7.0, slowlib, scikit-image")
    pickled.write("weights/m.joblib", (PICKLES / "drift/scikit-learn-1.1.3-tree.joblib").read_bytes())
    pickled.edit("src/score.py", "def run", "import slowlib\nimport skimage\nimport cv2\nimport imp\ndef run")
    said = pickled.run("lint", code=1)
    said.said(
        "does not work with 1.7.0",
        "warning: src/score.py:3:1: nothing in the environment provides the module 'cv2', unless it is in what is built"
        " from source: scikit-image, slowlib",
        "1 package: 1 error, 1 warning",
    )
    assert "slowlib'" not in said.out and "skimage" not in said.out
