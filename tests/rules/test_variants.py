"""Choices that bring values along, and the rules that live on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.rules.catalogue import Catalogue
from buildrules.rules.schema import build_schema
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label

PACKAGE = "  p: {rule: model_package, model: ':m', base_env: ':env', server: ':s'}\n"


def server(load: Callable[..., Any], target: str) -> Any:
    loaded = load(f"  s: {{rule: {target}}}\n" + PACKAGE, {"model/MLmodel": "flavors: {}"})
    assert loaded.lines() == []
    return loaded.packages[Label("", "p")].server_part


@pytest.mark.parametrize(
    ("runtime", "implementation"),
    [
        ("sklearn", "mlserver_sklearn.SKLearnModel"),
        ("xgboost", "mlserver_xgboost.XGBoostModel"),
        ("lightgbm", "mlserver_lightgbm.LightGBMModel"),
        ("mlflow", "mlserver_mlflow.MLflowRuntime"),
        ("alibi_explain", "mlserver_alibi_explain.AlibiExplainRuntime"),
    ],
)
def test_the_runtime_says_package_and_class(load: Callable[..., Any], runtime: str, implementation: str) -> None:
    found = server(load, f"mlserver, runtime: {runtime}, version: '==1.7.1'")
    assert found.requirements[:2] == ["mlserver==1.7.1", f"mlserver-{runtime.replace('_', '-')}==1.7.1"]
    (settings,) = found.files.values()
    assert f'"implementation": "{implementation}"' in settings


def test_a_runtime_of_ones_own(load: Callable[..., Any]) -> None:
    found = server(load, "mlserver, runtime: custom, implementation: mine.Model, extra: {depth: 3}")
    assert {text for text in found.requirements if text.startswith("mlserver")} == {"mlserver~=1.7"}
    ((path, settings),) = found.files.items()
    assert path == "/mnt/models/m/1/model-settings.json"
    assert '"implementation": "mine.Model"' in settings
    assert '"depth": 3' in settings


def test_mlflow_brings_an_application_that_compiles(load: Callable[..., Any]) -> None:
    found = server(load, "mlflow, package: mlflow, version: '==2.14.3'")
    assert found.requirements[0] == "mlflow==2.14.3"
    ((path, text),) = found.files.items()
    assert path == "/opt/mlflow/mlflow_application.py"
    compile(text, path, "exec")


def test_a_choice_that_is_none(load: Callable[..., Any]) -> None:
    (line,) = load("  s: {rule: mlserver, runtime: sklern}\n").lines()
    assert "'sklern' is not one of the choices (did you mean 'sklearn'?)" in line
    schema = build_schema(Catalogue())
    assert "sklearn" in schema["$defs"]["rule_mlserver"]["properties"]["runtime"]["anyOf"][0]["enum"]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("{type: string, variants: {a: {k: '{x}'}}}", "unknown name '{x}'"),
        ("{type: string, variants: {a: {k: 1}, b: {k: [1]}}}", "'k': expected a text, not '1'"),
        ("{type: string, variants: {a: {k: x}, b: {k: [x]}}}", "'k' is a list for one choice and a text for another"),
        ("{type: string, choices: [b], variants: {a: {}}}", "the variant 'a' is not one of the choices"),
        ("{type: integer, variants: {a: {}}}", "'choices', 'variants' and 'refused' are for strings, not for the type"),
    ],
)
def test_mistakes(tmp_path: Path, attribute: str, message: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(f"rule: r\nprovides: server\nattributes:\n  v: {attribute}\n")
    catalogue = Catalogue(Disk(str(tmp_path)))
    assert catalogue.find("//rules:r") is None
    assert message in catalogue.problems.errors[0].message
    assert str(catalogue.problems.errors[0].position).startswith("rules/r.yaml:4:")


def test_a_server_of_one_flavour(load: Callable[..., Any]) -> None:
    target = "  s: {rule: mlflow}\n" + PACKAGE
    (line,) = load(target, {"model/weights": "1"}).lines()
    assert line.startswith(
        "BUILD.yaml:8:35: server 'mlflow' serves models of the flavour 'mlflow', and //:m is 'custom'"
    )
    elsewhere = target + "  u: {rule: model, uri: 'models:/iris@champion'}\n"
    loaded = load(elsewhere.replace("model: ':m'", "model: ':u'"))
    assert loaded.lines() == []  # nobody has looked there yet
