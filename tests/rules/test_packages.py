"""From BUILD.yaml to what a package adds to its image."""

from collections.abc import Callable
from typing import Any

import pytest

from buildrules.rules.chain import below
from buildrules.workspace.disk import CONTENT, SHAPE
from buildrules.workspace.labels import Label

PACKAGE = "  p: {rule: model_package, model: ':m', base_env: ':env', server: SERVER, code: ':c'}\n"
SERVER_RULE = """
rule: my_server
provides: server
summary: Ours.
attributes:
  port: {type: integer, default: 9000, minimum: 1024}
  args: {type: string_list, default: [--quiet]}
  extra: {type: requirements, default: [httptools>=0.6]}
  health: {type: string, doc: Path of the probe.}
  settings: {type: string_map, default: {A: b}}
requires: {code: optional}
python: {requirements: ["my-server>=1", "{extra}"]}
layout: {model: "/srv/{model.name}", keep_folder: false, code: /srv/code}
image:
  environment: {MODEL: "{layout.model_path}", PORT: "{port}", CODE: "{layout.code}", BRACES: "{{x}}"}
  entrypoint: [my-server, "{args}", "--port={port}"]
  ports: ["{port}"]
routes: {readiness: "{port}{health}", scoring: {port: "{port}", path: "/{model.name}/score"}}
"""


def package(loaded: Any, name: str = "p") -> Any:
    assert loaded.lines() == []
    return loaded.packages[Label("", name)]


def test_the_rule_of_what_nobody_wrote_is_read_once(load: Callable[..., Any]) -> None:
    loaded = load(
        '  one: {rule: python_standalone, version: "3.12"}\n  two: {rule: python_standalone, version: "3.13"}\n'
    )
    found = [below(loaded.resolution.of(Label("", name)), loaded.resolution) for name in ("one", "two")]
    assert {id(target.rule) for target in found if target} == {id(loaded.catalogue.find("debian_base"))}
    assert [target.label.name for target in found if target] == ["one", "two"]


def test_azureml(load: Callable[..., Any]) -> None:
    parts = package(load(PACKAGE.replace("SERVER", "azureml_online"), {"model/x.pkl": "x"}))
    server = parts.server_part
    assert server.requirements == ["azureml-inference-server-http>=0.7,<2"]
    (place,) = server.model_places
    assert place.directory == "/var/azureml-app/azureml-models/m/1"
    assert server.keep_folder is True  # so that $AZUREML_MODEL_DIR/model/x.pkl is the model
    assert server.entrypoint == [
        *["azmlinfsrv", "--entry_script", "/var/azureml-app/c/score.py", "--port", "5001"],
    ]
    assert server.ports == [5001]
    assert server.routes == {
        "liveness": {"port": 5001, "path": "/"},
        "readiness": {"port": 5001, "path": "/"},
        "scoring": {"port": 5001, "path": "/score"},
    }
    environment = parts.environment()
    assert environment["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/m/1"
    assert environment["AML_APP_ROOT"] == "/var/azureml-app/c"
    assert environment["AZUREML_ENTRY_SCRIPT"] == "score.py"
    assert environment["WORKER_COUNT"] == "1"
    assert "AML_CORS_ORIGINS" not in environment  # not set, so left out
    assert parts.user == "65532:65532"
    assert (parts.flavour, parts.generated_code) == ("custom", False)


def test_words_without_a_value_are_left_out(load: Callable[..., Any]) -> None:
    rule = SERVER_RULE.replace("entrypoint: [", 'entrypoint: [["--health", "{health}"], ')
    assert rule != SERVER_RULE
    text = PACKAGE.replace("SERVER", "//rules:my_server")
    files = {"rules/my_server.yaml": rule, "model/x.pkl": "x"}
    bare = package(load(text, files)).server_part.entrypoint
    assert "--health" not in bare
    text = PACKAGE.replace("SERVER", "':s'") + "  s: {rule: //rules:my_server, health: /up}\n"
    assert package(load(text, files)).server_part.entrypoint == ["--health", "/up", *bare]


def test_limits_of_a_rule(load: Callable[..., Any]) -> None:
    parts = package(load(PACKAGE.replace("SERVER", "azureml_online"), {"model/x.pkl": "x"}))
    assert parts.server_part.constraints == ["setuptools<81"]


def test_azureml_without_a_model(load: Callable[..., Any]) -> None:
    text = PACKAGE.replace("SERVER", "azureml_online").replace("model: ':m', ", "")
    assert "model:" not in text.partition("  p:")[2]
    parts = package(load(text, {"model/x.pkl": "x"}))
    assert parts.server_part.model_places == []
    assert "AZUREML_MODEL_DIR" not in parts.environment()


def test_the_environment_is_first_on_the_path_of_the_base(load: Callable[..., Any]) -> None:
    parts = package(load(PACKAGE.replace("SERVER", "azureml_online")))
    assert parts.environment()["PATH"].split(":")[:2] == ["/opt/venv/bin", "/usr/local/sbin"]
    image = "  img: {rule: oci_base, layout: img, python: '3.11'}\n  e2: {rule: python_env, base: ':img'}\n"
    target = "  q: {rule: model_package, model: ':m', base_env: ':e2', server: azureml_online, code: ':c'}\n"
    parts = package(load(image + target), "q")
    assert parts.environment({"PATH": "/cuda/bin:/bin", "X": "1"})["PATH"] == "/opt/venv/bin:/cuda/bin:/bin"
    assert parts.environment({"X": "1"})["X"] == "1"


def test_a_server_on_a_base_alone_has_an_environment_of_its_own(load: Callable[..., Any]) -> None:
    parts = package(load(PACKAGE.replace("SERVER", "azureml_online").replace(":env", ":os"), {"model/x.pkl": "x"}))
    environment = parts.environment()
    assert environment["PATH"].split(":")[:2] == ["/opt/venv/bin", "/usr/local/sbin"]
    assert environment["VIRTUAL_ENV"] == "/opt/venv"


def test_a_server_target_sets_attributes(load: Callable[..., Any]) -> None:
    server = "  srv: {rule: azureml_online, workers: 4, port: 8080, scoring_timeout_ms: 1000}\n"
    parts = package(load(server + PACKAGE.replace("SERVER", "':srv'")))
    assert parts.server.label == Label("", "srv")
    assert parts.environment()["WORKER_COUNT"] == "4"
    assert parts.environment()["SCORING_TIMEOUT_MS"] == "1000"
    assert parts.ports == [8080]


def test_a_package_overrides(load: Callable[..., Any]) -> None:
    said = "code: ':c', environment: {WORKER_COUNT: 7, OWN: x}, ports: [1], user: root, labels: {k: v}}"
    parts = package(load(PACKAGE.replace("SERVER", "azureml_online").replace("code: ':c'}", said)))
    assert parts.environment()["WORKER_COUNT"] == "7"
    assert parts.environment()["OWN"] == "x"
    assert (parts.ports, parts.user, parts.labels) == ([1], "root", {"k": "v"})


def test_a_server_of_ones_own_is_one_file(load: Callable[..., Any]) -> None:
    loaded = load(PACKAGE.replace("SERVER", "//rules:my_server"), {"rules/my_server.yaml": SERVER_RULE})
    parts = package(loaded)
    server = parts.server_part
    assert server.requirements == ["my-server>=1", "httptools>=0.6"]
    assert server.entrypoint == ["my-server", "--quiet", "--port=9000"]
    assert server.environment == {"MODEL": "/srv/m", "PORT": "9000", "CODE": "/srv/code", "BRACES": "{x}"}
    assert server.routes == {"scoring": {"port": 9000, "path": "/m/score"}}  # no health path was given
    assert loaded.disk.times(CONTENT, "rules/my_server.yaml") == 1
    assert parts.server.implicit
    assert Label("@rules/rules", "my_server") not in loaded.resolution.labels()


def test_a_server_of_ones_own_as_a_target(load: Callable[..., Any]) -> None:
    server = "  s: {rule: '//rules:my_server', port: 9001, args: [], health: /up}\n"
    parts = package(load(server + PACKAGE.replace("SERVER", "':s'"), {"rules/my_server.yaml": SERVER_RULE}))
    assert parts.server_part.entrypoint == ["my-server", "--port=9001"]
    assert parts.server_part.routes["readiness"] == {"port": 9001, "path": "/up"}


def test_extends(load: Callable[..., Any]) -> None:
    rule = """
    rule: tuned
    extends: azureml_online
    attributes: {workers: {default: 3}}
    image: {environment: {EXTRA: "{workers}"}}
    """
    loaded = load(PACKAGE.replace("SERVER", "//rules:tuned"), {"rules/tuned.yaml": rule})
    parts = package(loaded)
    assert parts.environment()["EXTRA"] == parts.environment()["WORKER_COUNT"] == "3"
    assert parts.server_part.routes["scoring"]["path"] == "/score"
    assert parts.server.rule.implementation == "azureml_online"


def test_packages_share_the_server_used_by_name(load: Callable[..., Any]) -> None:
    one = PACKAGE.replace("SERVER", "azureml_online")
    loaded = load(one + one.replace("  p:", "  q:"))
    assert package(loaded).server is package(loaded, "q").server
    assert package(loaded).server.label == Label("@rules", "azureml_online")


@pytest.mark.parametrize("server", ["azureml_online", "fastapi"])
def test_missing_code(load: Callable[..., Any], server: str) -> None:
    loaded = load(f"  p: {{rule: model_package, model: ':m', base_env: ':env', server: {server}}}\n", {"model/x": "x"})
    assert [error.message for error in loaded.errors] == [f"server '{server}' needs code"]
    assert str(loaded.errors[0].position).startswith("BUILD.yaml:7:")


def test_an_mlflow_model_needs_no_code(load: Callable[..., Any]) -> None:
    target = "  p: {rule: model_package, model: ':m', base_env: ':env', server: azureml_online}\n"
    loaded = load(target, {"model/MLmodel": "flavors: {}"})
    parts = package(loaded)
    assert (parts.flavour, parts.generated_code) == ("mlflow", True)
    path = "/var/mlflow_resources/mlflow_score_script.py"
    assert list(parts.server_part.files) == [path, "/var/mlflow_resources/mlflow_signature.py"]
    assert parts.server_part.environment["AML_APP_ROOT"] == "/var/mlflow_resources"
    assert parts.server_part.environment["MLFLOW_MODEL_FOLDER"] == "model"
    assert path in parts.server_part.entrypoint
    compile(parts.server_part.files[path], path, "exec")
    assert "model/MLmodel" in loaded.disk.seen(SHAPE)


def test_a_model_that_is_not_there_is_no_load_error(load: Callable[..., Any]) -> None:
    target = "  p: {rule: model_package, model: ':m', base_env: ':env', server: azureml_online}\n"
    assert package(load(target)).flavour is None


def test_a_script_is_missed(load: Callable[..., Any]) -> None:
    code = "  c2: {rule: scoring_code, srcs: [a.py]}\n"
    loaded = load(code + PACKAGE.replace("SERVER", "azureml_online").replace("':c'", "':c2'"))
    assert [(error.message, error.hint) for error in loaded.errors] == [
        ("rule 'azureml_online' needs 'entry_script' of the code", "set `entry_script:` in the code target")
    ]


def test_a_custom_server(load: Callable[..., Any]) -> None:
    server = (
        "  s: {rule: custom_server, entrypoint: [tritonserver, --model-repository=/models], ports: [8000, 8001], "
        "routes: {readiness: 8000/v2/health/ready, scoring: {port: 8000, path: /v2/models/m/infer}}, "
        "environment: {N: 1}}\n"
    )
    target = "  p: {rule: model_package, model: ':m', base_env: ':os', server: ':s'}\n"
    parts = package(load(server + target))
    assert parts.env is None
    assert parts.server_part.entrypoint == ["tritonserver", "--model-repository=/models"]
    assert parts.server_part.routes == {
        "readiness": {"port": 8000, "path": "/v2/health/ready"},
        "scoring": {"port": 8000, "path": "/v2/models/m/infer"},
    }
    assert (parts.ports, parts.server_part.environment) == ([8000, 8001], {"N": "1"})
    assert (parts.server_part.user, parts.server_part.working_dir) == (None, None)


def test_a_fastapi_app_without_a_model(load: Callable[..., Any]) -> None:
    server = "  s: {rule: fastapi, app: 'service:app', workers: 2, scoring: /predict}\n"
    parts = package(load(server + "  p: {rule: model_package, base_env: ':env', server: ':s', code: ':c'}\n"))
    assert parts.server_part.environment == {"WEB_CONCURRENCY": "2"}  # what speaks of a model is left out
    assert parts.server_part.entrypoint[:2] == ["uvicorn", "service:app"]
    assert parts.server_part.routes["scoring"] == {"port": 8000, "path": "/predict"}


def test_the_model_path_of_a_single_file(load: Callable[..., Any]) -> None:
    target = PACKAGE.replace("SERVER", "//rules:my_server")
    parts = package(load(target, {"rules/my_server.yaml": SERVER_RULE, "model": "a file"}))
    assert parts.server_part.environment["MODEL"] == "/srv/m/model"


def test_defaults_name_the_target(load: Callable[..., Any]) -> None:
    resolution = load().resolution
    values = resolution.of(Label("", "m")).values
    assert {name: value for name, value in values.items() if value is not None} == {
        **{"path": "model", "exclude": [], "unpack": False},
        **{"name": "m", "version": "1", "flavour": "auto"},
    }


def test_paths_and_labels_count_from_the_package(load: Callable[..., Any]) -> None:
    sub = "targets:\n  m: {rule: model, path: ./w/}\n  e: {rule: python_env, base: '//:os'}\n"
    resolution = load(files={"a/b/BUILD.yaml": sub}).resolution
    assert resolution.of(Label("a/b", "m")).values["path"] == "a/b/w"
    assert resolution.of(Label("a/b", "e")).deps["base"] == [Label("", "os")]
