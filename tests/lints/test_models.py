"""Models against the locked versions: real pickles of three versions of scikit-learn and two of XGBoost."""

import io
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.layer_files import files_of
from buildrules.actions.python.modules import modules_of
from buildrules.engine.action import Outputs
from buildrules.lints.pickles import HEAD, read_pickle
from buildrules.lints.versions import Saved, missing_for_pickle, pickle_version
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import assemble_blob
from buildrules.oci.local import Local
from buildrules.oci.supply import Origin
from buildrules.store.blobs import Blobs

PICKLES = Path(__file__).parent / "pickles"


@pytest.mark.parametrize("path", sorted(PICKLES.glob("*-*.*")), ids=lambda path: path.name)
def test_the_version_a_model_was_saved_with(path: Path) -> None:
    library, version = path.stem.split("-")[:2]
    with open(path, "rb") as file:
        found = read_pickle(file, path.stat().st_size)
    assert found is not None
    assert found.versions == {{"sklearn": "scikit-learn"}.get(library, library): version}
    if path.suffix in (".pkl", ".joblib"):
        assert any(name.partition(".")[0] == library for name in found.modules)


def test_nothing_is_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> object:
            return (os.abort, ())

    data = pickle.dumps({"_sklearn_version": "1.2.3", "trap": Trap()})
    found = read_pickle(io.BytesIO(data), len(data))
    assert found is not None
    assert found.versions == {"scikit-learn": "1.2.3"}
    assert "posix" in found.modules


def test_of_a_large_file_only_the_ends_are_read() -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    state = {"weights": b"\0" * (3 * HEAD), "_sklearn_version": "1.5.0"}
    data = pickle.dumps(state, protocol=4)
    file = Counting(data)
    found = read_pickle(file, len(data))
    assert found is not None
    assert found.versions == {"scikit-learn": "1.5.0"}
    assert file.count < len(data) / 2


NONE = [b"", b"\x80", b"\x80\x04", b"hello", b"PK\x03\x04rest", bytes(range(256)), b"x\x9cbroken", b"BZhbroken"]


@pytest.mark.parametrize("data", NONE)
def test_what_is_no_pickle(data: bytes) -> None:
    found = read_pickle(io.BytesIO(data), len(data))
    assert found is None or not found.versions


@pytest.mark.parametrize(
    ("saved", "locked", "severity"),
    [
        ("1.7.0", "1.7.2", None),
        ("1.6.1", "1.7.0", "warning"),
        ("0.24.2", "1.7.0", "warning"),
        ("1.9.1", "1.7.0", "error"),
        ("1.9.1", None, "error"),
        ("unknown", "1.7.0", None),
    ],
)
def test_versions_compared(saved: str, locked: str | None, severity: str | None) -> None:
    packages = {"numpy": "2.3.1"} | ({"scikit-learn": locked} if locked else {})
    found = pickle_version([Saved("scikit-learn", saved, "m/model.pkl")], packages)
    assert [item.severity for item in found] == ([severity] if severity else [])
    for item in found:
        assert str(item.position) == "m/model.pkl:1:1"
        assert saved in item.message
        assert saved in item.hint


def test_modules_a_pickle_needs() -> None:
    found = missing_for_pickle("m.pkl", ["sklearn.svm", "xgboost.core", "mine.steps", "__main__"], {"sklearn", "numpy"})
    assert [item.message for item in found] == [
        "the model was pickled with classes or functions of the script or notebook it was made in",
        "the model needs the module 'xgboost', and nothing in the environment provides it",
    ]


def test_modules_of_wheels() -> None:
    names = [
        "numpy/__init__.py",
        "numpy/core/x.py",
        "six.py",
        "_cffi_backend.cpython-311-x86_64-linux-gnu.so",
        "google/cloud/storage/__init__.py",
        "google/cloud/storage/blob.py",
        "google/api/http_pb2.py",
        "pkg-1.0.data/purelib/late/__init__.py",
        "pkg-1.0.data/scripts/run.py",
        "six-1.16.dist-info/RECORD",
    ]
    assert modules_of(names) == ["_cffi_backend", "google.api.http_pb2", "google.cloud.storage", "late", "numpy", "six"]


def test_a_pickle_that_never_says_its_version_takes_no_time() -> None:
    """Each place where a version is said to stand elsewhere costs little, and there may be millions."""
    said = b"_sklearn_version\x94\x8c\x051.7.0"
    elsewhere = b"_sklearn_version" + b"\x94" * 16
    for count, versions in ((100, {"scikit-learn": "1.7.0"}), (2_000_000, {})):
        data = zlib.compress(b"\x80\x04" + said + elsewhere * count, 1)
        found = read_pickle(io.BytesIO(data), len(data))
        assert found is not None and found.versions == versions


def test_all_files_of_a_small_layer_are_looked_at(tmp_path: Path) -> None:
    local = Local(Blobs(str(tmp_path)))
    texts = {f"m/{name}": name * (1 << 20) for name in ("a", "b", "c")}
    parts = [recipes.inline(path, text) for path, text in texts.items()]
    outputs = Outputs(layers=[assemble_blob(recipes.gzip(parts, 6), local)])
    context: Any = local  # of it only the blobs are asked for
    found = {name: file.read() for name, _, file in files_of(outputs, "m", context, lambda _: Origin())}
    assert found == {path[2:]: text.encode() for path, text in texts.items()}
