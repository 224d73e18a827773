"""What an MLflow model's own files ask for, and where they disagree."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.actions.models.mlflow_files import read_model_files
from buildrules.errors import LoadError, ResolutionError
from buildrules.locking.python.mlflow import ModelEnvironment, check_python, collect_model


def reader(folder: Path) -> Callable[[str], bytes | None]:
    return lambda name: (folder / name).read_bytes() if (folder / name).is_file() else None


class Model:
    """A copy of a model to change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "m"

    def edit(self, name: str, old: str, new: str) -> "Model":
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new))
        return self

    def write(self, name: str, text: str) -> "Model":
        (self.folder / name).write_text(text)
        return self

    def remove(self, *names: str) -> "Model":
        for name in names:
            (self.folder / name).unlink()
        return self

    def collect(self, **more: object) -> ModelEnvironment:
        files = read_model_files("m", reader(self.folder))
        return collect_model(str(self.root), files, asker="the model //:m", **more)  # type: ignore[arg-type]


@pytest.fixture
def model(tmp_path: Path, models: Path) -> Model:
    shutil.copytree(models / "sklearn_3", tmp_path / "m")
    return Model(tmp_path)


def texts(found: ModelEnvironment) -> list[str]:
    return [item.text for item in found.requirements.items]


def said(found: ModelEnvironment) -> list[str]:
    return [f"{item.position}: {item.message}" for item in found.disagreements]


def test_where_mlmodel_names_one_file_that_is_first(model: Model) -> None:
    mark = model.folder / "MLmodel"
    mark.write_text(
        mark.read_text().replace(
            "    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n", "    env: conda.yaml\n"
        )
    )
    model.edit("conda.yaml", "scikit-learn==1.9.1", "scikit-learn==1.4.0")
    found = model.collect()
    assert found.source == "m/conda.yaml"
    assert "scikit-learn==1.4.0" in texts(found)
    assert any(
        text.startswith("m/requirements.txt:") and "in conda.yaml:10, which is used" in text for text in said(found)
    )


@pytest.mark.parametrize(
    ("name", "mlflow", "extra"),
    [
        ("sklearn_1", "mlflow", ["setuptools<81"]),
        ("sklearn_2", "mlflow==2.22.5", ["setuptools<81"]),
        ("sklearn_3", "mlflow==3.17.2", []),
    ],
)
def test_models_as_mlflow_saves_them(models: Path, name: str, mlflow: str, extra: list[str]) -> None:
    files = read_model_files(name, reader(models / name))
    found = collect_model(str(models), files, asker="the model //:m")
    listed = (models / name / "requirements.txt").read_text().split()
    assert texts(found) == listed + extra
    assert mlflow in listed
    first = "conda.yaml" if name == "sklearn_1" else "requirements.txt"  # MLflow 1 names conda.yaml alone
    assert found.source == f"{name}/{first}"
    assert found.python is not None
    assert (found.python.text, found.python.position.path) == ("3.11.7", f"{name}/python_env.yaml")
    assert said(found) == []


def test_requirements_win_over_conda_and_both_are_named(model: Model) -> None:
    model.edit("conda.yaml", "scikit-learn==1.9.1", "scikit-learn==1.4.0")
    found = model.collect()
    assert "scikit-learn==1.9.1" in texts(found)
    assert said(found) == [
        "m/conda.yaml:10:5: 'scikit-learn==1.4.0' is asked for here, and 'scikit-learn==1.9.1' in requirements.txt:4,"
        " which is used"
    ]


def test_without_requirements_the_conda_file_is_used(model: Model) -> None:
    model.remove("requirements.txt").edit("conda.yaml", "- pip:", "- xgboost=2.0\n- pip:")
    found = model.collect()
    assert found.source == "m/conda.yaml"
    assert texts(found)[:2] == ["xgboost==2.0.*", "mlflow==3.17.2"]
    assert said(found) == []


def test_the_list_in_python_env_comes_third(model: Model) -> None:
    model.remove("requirements.txt", "conda.yaml").edit(
        "python_env.yaml", "- -r requirements.txt", "- scikit-learn==1.9.1"
    )
    found = model.collect()
    assert found.source == "m/python_env.yaml"
    assert texts(found) == ["scikit-learn==1.9.1", "mlflow-skinny==3.17.2", "pandas", "numpy"]


def test_versions_in_mlmodel_come_last(model: Model) -> None:
    model.remove("requirements.txt", "conda.yaml", "python_env.yaml")
    found = model.collect()
    assert found.source == "m/MLmodel"
    assert texts(found) == ["scikit-learn==1.9.1", "mlflow-skinny==3.17.2", "pandas", "numpy"]
    assert found.python is not None
    assert str(found.python.position).startswith("m/MLmodel:9:")


def test_mlflow_is_added_in_the_version_of_the_model(model: Model) -> None:
    model.write("requirements.txt", "scikit-learn==1.9.1\npandas==3.1.1\n").remove("conda.yaml")
    assert texts(model.collect())[2:] == ["mlflow-skinny==3.17.2", "numpy"]
    model.edit("MLmodel", "mlflow_version: 3.17.2", "mlflow_version: 3.18.0.dev0")
    assert texts(model.collect())[2:] == ["mlflow-skinny>=3.18.0", "numpy"]
    added = model.collect().requirements.items[-1]
    assert str(added.position) == "m/MLmodel:17:17"


def test_a_library_in_another_version_than_it_was_saved_with(model: Model) -> None:
    model.edit("requirements.txt", "scikit-learn==1.9.1", "scikit-learn>=1,<1.5").remove("conda.yaml")
    assert said(model.collect()) == [
        "m/MLmodel:14:22: the model was saved with scikit-learn 1.9.1, and 'scikit-learn<1.5,>=1' in"
        " requirements.txt:4 is used"
    ]


def test_packages_that_one_file_lacks(model: Model) -> None:
    model.edit("requirements.txt", "scikit-learn==1.9.1\n", "")
    model.edit("conda.yaml", "  - psutil==7.2.2\n", "  - loguru\n")
    assert said(model.collect()) == [
        "m/MLmodel:14:22: the model was saved with scikit-learn 1.9.1, and requirements.txt, which is used, does not"
        " ask for it",
        "m/conda.yaml:9:5: 'loguru' is missing in requirements.txt, which is used",
        "m/conda.yaml:10:5: 'scikit-learn==1.9.1' is missing in requirements.txt, which is used",
        "m/conda.yaml:1:1: psutil is missing here, and asked for in requirements.txt, which is used",
    ]


def test_versions_of_python(model: Model) -> None:
    model.edit("conda.yaml", "python=3.11.7", "python=3.10")
    found = model.collect()
    assert said(found) == [
        "m/conda.yaml:4:3: Python 3.10 is asked for here, and 3.11.7 in python_env.yaml:1, which is used"
    ]
    check_python(found.python, "3.11.2", None, "")
    check_python(found.python, "3.12.1", "3.12", "")
    with pytest.raises(ResolutionError) as caught:
        check_python(found.python, "3.12.1", None, "do so")
    assert caught.value.message == "the model asks for Python 3.11.7, and the base has Python 3.12.1"
    assert caught.value.hint == "choose a base with Python 3.11, or do so"
    assert str(caught.value.position) == "m/python_env.yaml:1:9"


def test_an_unusable_file_that_is_not_used_is_no_error(model: Model) -> None:
    model.edit("conda.yaml", "- pip:", "- ffmpeg\n- pip:")
    found = model.collect()
    assert [line.partition(": ")[2] for line in said(found)] == [
        "conda package 'ffmpeg' is not a Python package, so there is no wheel of it; requirements.txt is used"
    ]
    model.remove("requirements.txt")
    with pytest.raises(LoadError, match="'ffmpeg' is not a Python package"):
        model.collect()
    assert "mlflow==3.17.2" in texts(model.collect(exclude=["ffmpeg"]))


def test_what_somebody_else_asks_for_is_left_to_him(model: Model) -> None:
    found = model.collect(without={"mlflow", "scikit-learn"})
    assert texts(found) == ["pandas==3.1.1", "psutil==7.2.2", "skops==0.16.0"]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("MLmodel", "flavors: [", "did not find expected node content"),
        ("MLmodel", "flavors: " + "[" * 3000, "this is nested too deeply"),
        ("requirements.txt", "scikit learn\n", "'scikit learn' is not a requirement"),
    ],
)
def test_files_that_cannot_be_read(model: Model, name: str, text: str, error: str) -> None:
    model.write(name, text if name == "MLmodel" else (model.folder / name).read_text() + "\n" + text)
    with pytest.raises(LoadError) as caught:
        model.collect()
    assert error in caught.value.message
    assert caught.value.position is not None
    assert caught.value.position.path == f"m/{name}"


def test_a_model_that_says_nothing(model: Model) -> None:
    model.remove("requirements.txt", "conda.yaml", "python_env.yaml").write("MLmodel", "flavors: {}\n")
    with pytest.raises(LoadError, match="does not say what it needs") as caught:
        model.collect()
    assert "python_env" in str(caught.value.hint)


def test_mlmodel_cannot_name_files_elsewhere(model: Model) -> None:
    (model.root / "other.yaml").write_text("dependencies: [evil]\n")
    model.remove("requirements.txt").edit("MLmodel", "conda: conda.yaml", "conda: ../other.yaml")
    assert model.collect().source == "m/conda.yaml"
