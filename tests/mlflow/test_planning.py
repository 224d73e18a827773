"""Packages of MLflow models that name no environment, with small wheels in the place of the real ones."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import Space, wheel
from tests.support.web import Web

WHEELS = (
    ("mlflow", "3.17.2", ["pydanticlike"]),
    ("mlflow_skinny", "3.17.2", []),
    ("pandas", "3.1.1", []),
    ("numpy", "2.0", []),
    ("psutil", "7.2.2", []),
    ("scikit_learn", "1.9.1", ["numpy"]),
    ("scikit_learn", "1.9.0", ["numpy"]),
    ("skops", "0.16.0", []),
    ("pydanticlike", "2.12", []),
    ("pydanticlike", "2.14", []),
    ("azureml_inference_server_http", "1.5.1", ["pydanticlike~=2.12.0"]),
)

BUILD = """\
workspace:
  name: acme
  platforms: [linux/amd64]
targets:
  base: {rule: oci_base, layout: base}
  iris: {rule: model, path: iris}
  app: {rule: model_package, model: ":iris", base_env: ":base", server: azureml_online}
"""


@pytest.fixture
def space(tmp_path: Path, models: Path, new_space: Callable[..., Space]) -> Space:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, version, requires in WHEELS:
        filename, data = wheel(name, version, requires)
        (wheels / filename).write_bytes(data)
    made = new_space(locked=False)
    made.env["UV_FIND_LINKS"] = str(wheels)
    made.write("BUILD.yaml", BUILD)
    shutil.copytree(models / "sklearn_3", made.path("iris"))
    return made


LOCK = "pylock.iris-linux-amd64.toml"


def locked(space: Space, name: str = LOCK) -> dict[str, str]:
    import tomllib

    return {item["name"]: item["version"] for item in tomllib.loads(space.path(name).read_text())["packages"]}


def test_the_environment_comes_from_the_model(space: Space) -> None:
    report = space.build()
    assert locked(space)["scikit-learn"] == "1.9.1"
    config = space.config(report.digest)
    environment = dict(item.split("=", 1) for item in config["Env"])
    assert environment["VIRTUAL_ENV"] == "/opt/venv"
    assert environment["PATH"].startswith("/opt/venv/bin:")
    assert environment["MLFLOW_MODEL_FOLDER"] == "iris"
    assert environment["AML_APP_ROOT"] == "/var/mlflow_resources"
    assert environment["AZUREML_ENTRY_SCRIPT"] == "mlflow_score_script.py"
    assert environment["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/iris/1"
    assert "/var/mlflow_resources/mlflow_score_script.py" in config["Entrypoint"]
    assert space.build(options=["--locked"]).executed == 0


def test_a_file_that_comes_later_where_nobody_looks_is_seen(space: Space) -> None:
    """Also in a folder that holds no packages, which nobody lists."""
    space.edit("BUILD.yaml", "name: acme", "name: acme\n  ignore: [data]")
    space.edit("BUILD.yaml", "path: iris", "path: data/iris")
    space.edit("BUILD.yaml", 'base_env: ":base"', 'base_env: ":env"')
    space.append("BUILD.yaml", '  env: {rule: python_env, base: ":base", model: ":iris"}\n')
    aside = space.folder / "requirements.txt"
    space.path("data").mkdir()
    space.path("iris").rename(space.path("data/iris"))
    space.path("data/iris/requirements.txt").rename(aside)
    space.path("data/iris/MLmodel").read_text()
    command = ("build", "//:env")
    space.run(*command)  # writes the locks
    space.settle(*command)
    space.run(*command).said("0 built")
    aside.rename(space.path("data/iris/requirements.txt"))
    space.append("data/iris/requirements.txt", "skops==0.15\n")
    space.run(*command, code=None).said("skops")


def test_it_is_locked_with_the_server_in_view(space: Space) -> None:
    """Alone it would take pydanticlike 2.14, on which the server cannot stand."""
    space.build()
    assert locked(space)["pydanticlike"] == "2.12"
    assert "azureml-inference-server-http" not in locked(space)
    assert "azureml-inference-server-http" in locked(space, "pylock.iris+azureml_online-linux-amd64.toml")


def test_packages_of_one_model_share_it(space: Space) -> None:
    space.append("BUILD.yaml", BUILD.splitlines()[-1].replace("app:", "app2:") + "\n")
    report = space.build("//...")
    layers = [[layer["digest"] for layer in report.targets[f"//:{name}"]["layers"]] for name in ("app", "app2")]
    assert layers[0] == layers[1]
    assert len(list(space.root.glob("pylock.*"))) == 2


def test_a_changed_requirement_makes_the_lock_stale(space: Space) -> None:
    space.build()
    space.edit("iris/requirements.txt", "scikit-learn==1.9.1", "scikit-learn==1.9.0")
    space.run("build", "//:app", "--locked", code=1).said("pylock.iris-linux-amd64.toml", "requirements have changed")
    out = space.run("build", "//:app").said("scikit-learn 1.9.1 -> 1.9.0")
    out.said("warning: iris/conda.yaml:10:5: 'scikit-learn==1.9.1' is asked for here, and 'scikit-learn==1.9.0' in")
    out.said("warning: iris/MLmodel:14:22: the model was saved with scikit-learn 1.9.1")


def test_a_file_that_comes_later_is_seen(space: Space) -> None:
    space.path("iris/requirements.txt").rename(space.path("aside"))
    space.build()
    text = space.path("aside").read_text().replace("psutil==7.2.2\n", "")
    space.write("iris/requirements.txt", text)
    space.build()
    assert "psutil" not in locked(space)


def test_a_virtualenv_file_of_another_name_is_watched(space: Space) -> None:
    for name in ("requirements.txt", "conda.yaml"):
        space.remove(f"iris/{name}")
    space.path("iris/python_env.yaml").unlink()
    space.edit("iris/MLmodel", "virtualenv: python_env.yaml", "virtualenv: venv.yaml")
    space.write("iris/venv.yaml", "python: 3.11.7\ndependencies: [scikit-learn==1.9.1]\n")
    space.build()
    space.settle("build", "//:app")
    space.edit("iris/venv.yaml", "1.9.1", "1.9.0")
    space.run("build", "//:app").said("scikit-learn 1.9.1 -> 1.9.0")


def test_another_python_than_the_base_has(space: Space) -> None:
    for name in ("python_env.yaml", "conda.yaml"):
        space.edit(f"iris/{name}", "3.11.7", "3.12.3")
    out = space.run("build", "//:app", code=1)
    out.said("iris/python_env.yaml:1:9: the model asks for Python 3.12.3, and the base has Python 3.11.2")
    hint = out.err.partition("base_env: ")[2].splitlines()[0]
    assert hint == '{rule: python_env, base: "//:base", model: "//:iris", python: "3.11"}'
    space.edit("BUILD.yaml", 'base_env: ":base"', 'base_env: ":env"')
    space.append("BUILD.yaml", f"  env: {hint}\n")
    space.build()
    assert "scikit-learn" in locked(space, "pylock.env-linux-amd64.toml")


def test_an_explicit_environment_may_say_otherwise(space: Space) -> None:
    space.edit("BUILD.yaml", 'base_env: ":base"', 'base_env: ":env"')
    space.append(
        "BUILD.yaml",
        '  env: {rule: python_env, base: ":base", model: ":iris", requirements: [scikit-learn==1.9.0],'
        " exclude: [psutil, skops]}\n",
    )
    space.build()
    versions = locked(space, "pylock.env-linux-amd64.toml")
    assert versions["scikit-learn"] == "1.9.0"
    assert not {"psutil", "skops"} & set(versions)


def test_a_conflict_says_which_file_of_the_model_asked(space: Space) -> None:
    space.edit("iris/requirements.txt", "skops==0.16.0", "numpy==9\n")
    out = space.run("build", "//:app", code=1)
    out.said("numpy==9: the model //:iris (iris/requirements.txt:5:1)")


def test_two_bases_of_different_python_need_environments_of_their_own(space: Space) -> None:
    from tests.support.space import make_base

    make_base(space.path("other"), "3.11.9")
    text = space.path("BUILD.yaml").read_text()
    again = BUILD.splitlines()[-1].replace("app:", "app2:").replace(":base", ":other")
    space.write("BUILD.yaml", f"{text}  other: {{rule: oci_base, layout: other}}\n{again}\n")
    out = space.run("build", "//...", code=2)
    out.said("the environment of //:iris is asked for on two bases", "make a python_env for each")


def test_an_image_that_brings_its_own_gets_no_environment(space: Space) -> None:
    """Nobody asks for a package: the server and all it needs are in the image already."""
    space.edit("BUILD.yaml", "server: azureml_online", 'server: ":own"')
    space.append(
        "BUILD.yaml",
        "  own: {rule: custom_server, entrypoint: [serve], ports: [80], routes: {readiness: 80/ping, scoring: 80/x}}\n",
    )
    space.build()
    assert not list(space.root.glob("pylock.*"))


def test_a_python_env_of_a_model_that_is_none(space: Space) -> None:
    space.path("iris/MLmodel").unlink()
    space.edit("BUILD.yaml", BUILD.splitlines()[-1], '  env: {rule: python_env, base: ":base", model: ":iris"}\n')
    space.run("build", "//:env", code=2).said(
        "BUILD.yaml:7:", "there is no 'iris/MLmodel', so this is not an MLflow model"
    )


def test_a_model_from_elsewhere(space: Space) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(space.path("iris"), "iris")
    shutil.rmtree(space.path("iris"))
    web = Web()
    try:
        web.files["/iris.tar.gz"] = buffer.getvalue()
        space.edit("BUILD.yaml", "path: iris", f'uri: "{web.url}/iris.tar.gz", unpack: true')
        report = space.build()
    finally:
        web.close()
    assert locked(space)["scikit-learn"] == "1.9.1"
    environment = dict(item.split("=", 1) for item in space.config(report.digest)["Env"])
    assert environment["MLFLOW_MODEL_FOLDER"] == "iris"
    assert space.build(options=["--locked"]).executed == 0
    assert space.run("lint", "//:app").out == "1 package: 0 errors, 0 warnings\n"


def test_a_model_that_is_the_workspace_itself(space: Space) -> None:
    for path in space.path("iris").iterdir():
        path.rename(space.path(path.name))
    space.edit(
        "BUILD.yaml", "path: iris", 'path: ".", exclude: [BUILD.yaml, "*.lock", "pylock.*", "base/**", "rules/**"]'
    )
    space.build()
    assert locked(space)["scikit-learn"] == "1.9.1"
