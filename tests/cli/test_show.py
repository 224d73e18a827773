"""What is said of a built package: `show`, the build's id and log, the environment it makes."""

import json
from pathlib import Path

from tests.support.space import APP, Space

PACKAGE = "  app:\n    rule: model_package\n"


def _shown(space: Space) -> dict[str, object]:
    found: dict[str, object] = json.loads(space.run("show", APP, "--json").out)
    return found


def test_show_names_routes_variables_layers_locks_and_models(built: Space) -> None:
    text = built.run("show", APP).out
    for piece in ("8080/score", "MODEL_DIR", "/srv/model", "pylock.env-linux-amd64.toml", "//:m", "copy of weights"):
        assert piece in text
    layers = json.loads(built.run("build", APP, "--json").out)["targets"][0]["layers"]
    assert all(layer["digest"][7:19] in text for layer in layers)


def test_show_says_which_target_and_key_made_each_layer(built: Space) -> None:
    layers = _shown(built)["layers"]
    assert isinstance(layers, list)
    made = {layer["target"] for layer in layers}
    assert {"//:base", "//:env", "//:server", "//:m", "//:code"} <= made
    assert all(len(layer["key"]) == 64 for layer in layers)


def test_a_build_has_an_id_a_state_and_a_full_log(workspace: Space) -> None:
    build = json.loads(workspace.run("build", APP, "--json").out)["build"]
    log = Path(build["log"]).read_text()
    assert build["state"] == "Succeeded"
    assert build["id"] in log
    assert "first build here" in log
    assert "image of //:app: built" in log


def test_a_failed_build_has_a_log_with_its_error(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "path: weights", "path: wieghts")
    failed = workspace.run("build", APP, "--json", code=2)
    build = json.loads(failed.out)["build"]
    assert build["state"] == "Failed"
    assert "there is no 'wieghts'" in Path(build["log"]).read_text()


def test_an_unchanged_build_names_the_build_that_made_it(built: Space) -> None:
    built.settle("build", APP, "--json")
    first = json.loads(built.run("build", APP, "--json").out)["build"]
    assert json.loads(built.run("build", APP, "--json").out)["build"] == first


def test_the_environment_made_has_the_name_and_version_asked_for(workspace: Space) -> None:
    text = workspace.path("BUILD.yaml").read_text()
    assert _shown(workspace)["target_environment"]["name"] == "app"  # type: ignore[index]
    workspace.write("BUILD.yaml", text.replace(PACKAGE, PACKAGE + "    target_environment: scoring:7\n"))
    assert _shown(workspace)["target_environment"] == {"name": "scoring", "version": "7"}
    assert "environment scoring:7" in workspace.run("build", APP, "--verbose").out
    as_map = "    target_environment: {name: scoring, version: 7}\n"
    workspace.write("BUILD.yaml", text.replace(PACKAGE, PACKAGE + as_map))
    assert _shown(workspace)["target_environment"] == {"name": "scoring", "version": "7"}
    workspace.write("BUILD.yaml", text.replace(PACKAGE, PACKAGE + "    target_environment: scoring\n"))
    shown = _shown(workspace)
    assert shown["target_environment"] == {"name": "scoring", "version": str(shown["digest"])[7:19]}


def test_a_malformed_environment_name_is_refused_where_it_stands(workspace: Space) -> None:
    text = workspace.path("BUILD.yaml").read_text()
    for wrong, message in (
        ("'a b'", "'a b' is not a name"),
        ("'a:'", "ends without a version"),
        ("{nmae: a}", "unknown key 'nmae'"),
        ("{version: 1}", "there is no name"),
    ):
        workspace.write("BUILD.yaml", text.replace(PACKAGE, PACKAGE + f"    target_environment: {wrong}\n"))
        workspace.run("build", APP, code=2).said("BUILD.yaml:15:", message)
