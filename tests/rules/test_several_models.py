"""Packages with several models: where each goes, what a server hears of it, which servers refuse."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from buildrules.workspace.labels import Label

MODELS = """
  n: {rule: model, path: other, name: night, version: "3"}
  k: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
"""
PACKAGE = "  p: {rule: model_package, models: [':m', ':n'], base_env: ':env', server: SERVER, code: ':c'MORE}\n"
FILES = {"model/a": "a", "other/b": "b"}
REPOSITORY = """
rule: hub
provides: server
attributes: {port: {type: integer, default: 80}}
requires: {code: optional, models: several}
layout: {model: "/mnt/{model.name}", keep_folder: false, mount_path: root}
image:
  entrypoint: [hub, "{layout.model_root}", "{models.names}"]
  environment: {ONE: "{model.name}", DIRECTORY: "{layout.model_dir}"}
files:
  /etc/hub.conf: {each_model: "{model.name}={layout.model_path};"}
model_files:
  "{layout.model}/settings.json": {json: {name: "{model.name}", version: "{model.version}"}}
routes: {scoring: "{port}/{model.name}"}
"""


def package(server: str, more: str = "") -> str:
    return MODELS + PACKAGE.replace("SERVER", server).replace("MORE", more)


def parts(loaded: Any) -> Any:
    assert loaded.lines() == []
    return loaded.packages[Label("", "p")]


def test_each_model_has_its_place(load: Callable[..., Any]) -> None:
    found = parts(load(package("azureml_online"), FILES))
    root = "/var/azureml-app/azureml-models"
    assert [(placed.target.label.name, placed.directory) for placed in found.placed] == [
        ("m", f"{root}/m/1"),
        ("n", f"{root}/night/3"),
    ]
    assert found.environment()["AZUREML_MODEL_DIR"] == root


def test_a_list_of_one_is_one_model(load: Callable[..., Any]) -> None:
    found = parts(load(package("azureml_online").replace("[':m', ':n']", "[':n']"), FILES))
    assert found.environment()["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/night/3"


@pytest.mark.parametrize("mount", ["", ", mount_path: /data"])
def test_a_server_hears_of_each_model(load: Callable[..., Any], mount: str) -> None:
    found = parts(load(package("//rules:hub", mount), {**FILES, "rules/hub.yaml": REPOSITORY})).server_part
    root = "/data" if mount else "/mnt"
    assert found.entrypoint == ["hub", root, "m", "night"]
    assert found.environment == {"DIRECTORY": root}
    assert found.files["/etc/hub.conf"] == f"m={root}/m;night={root}/night;"
    assert json.loads(found.files[f"{root}/night/settings.json"]) == {"name": "night", "version": "3"}
    assert f"{root}/m/settings.json" in found.files
    assert found.routes == {}  # a route of one model does not exist for two


@pytest.mark.parametrize(("rule", "place"), [("mount_path: root", "/data/m"), ("mount_path: model", "/data")])
def test_what_a_mount_path_stands_for(load: Callable[..., Any], rule: str, place: str) -> None:
    files = {**FILES, "rules/hub.yaml": REPOSITORY.replace("mount_path: root", rule)}
    one = package("//rules:hub", ", mount_path: /data").replace("models: [':m', ':n']", "model: ':m'")
    found = parts(load(one, files))
    assert [placed.directory for placed in found.placed] == [place]
    assert found.server_part.environment == {"ONE": "m", "DIRECTORY": place}
    assert found.server_part.entrypoint[1] == "/data"


def test_a_server_for_one_model_refuses_two(load: Callable[..., Any]) -> None:
    rule = REPOSITORY.replace(", models: several", "")
    (line,) = load(package("//rules:hub"), {**FILES, "rules/hub.yaml": rule}).lines()
    assert line.startswith("BUILD.yaml:10:43: server '//rules:hub' takes one model, and the package has 2 (make a pack")


def test_two_models_in_one_place(load: Callable[..., Any]) -> None:
    text = package("//rules:hub").replace("name: night", "name: m")
    (line,) = load(text, {**FILES, "rules/hub.yaml": REPOSITORY}).lines()
    assert line.startswith("BUILD.yaml:10:")
    assert line.endswith("two models would both be at '/mnt/m' (give them different names or versions)")


def test_a_rule_that_asks_for_one_of_several(load: Callable[..., Any]) -> None:
    rule = REPOSITORY.replace('"{models.names}"', '"{model.name}"')
    (line,) = load(package("//rules:hub"), {**FILES, "rules/hub.yaml": rule}).lines()
    assert "rule 'hub' asks for '{model.name}' of one model, and there are 2" in line


def test_several_mlflow_models_need_code(load: Callable[..., Any]) -> None:
    files = {"model/MLmodel": "flavors: {}", "other/MLmodel": "flavors: {}"}
    (line,) = load(package("azureml_online").replace(", code: ':c'", ""), files).lines()
    assert "server 'azureml_online' needs code" in line
    assert "only a model of the flavour 'mlflow' needs none, and there are several" in line
