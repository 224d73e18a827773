"""Every attribute in both spellings, YAML's and that of the REST interface, gives the same targets."""

import json
import re
from typing import Any

import pytest

from buildrules.azureml.package import PackageKeys
from buildrules.azureml.table import camel
from tests.azureml.conftest import Folder

FILES = {
    "env.yml": "name: my-env\nversion: 1\nimage: registry.example/x:1\nconda_file: conda.yaml\n",
    "conda.yaml": "dependencies: [python=3.11, numpy]\n",
    "src/score.py": "def init():\n    pass\n\n\ndef run(data):\n    return data\n",
    "model/m.txt": "1\n",
    "labels.yml": "name: labels\nversion: 2\ntype: uri_file\npath: labels.txt\n",
    "labels.txt": "a\n",
}
ROUTE = {"path": "/x", "port": 8080}
PACKAGE: dict[str, Any] = {
    "target_environment": "made",
    "base_environment_source": {"type": "environment_asset", "resource_id": "azureml:my-env:1"},
    "inferencing_server": {
        "type": "azureml_online",
        "code_configuration": {"code": "src", "scoring_script": "score.py"},
    },
    "model_configuration": {"mode": "copy", "mount_path": "/models"},
    "inputs": [
        {
            "type": "uri_file",
            "mode": "download",
            "path": {"input_path_type": "path_id", "resource_id": "azureml:labels:2"},
            "mount_path": "/labels",
        },
        {"type": "uri_file", "path": {"input_path_type": "url", "url": "https://x.example/a"}, "mount_path": "/a"},
        {
            "type": "uri_file",
            "path": {"input_path_type": "path_version", "resource_name": "labels", "resource_version": "2"},
            "mount_path": "/b",
        },
    ],
    "tags": {"my_tag": "kept_as_it_is"},
    "environment_variables": {"MY_VARIABLE": "1"},
    "properties": {"a_b": "c"},
}
CUSTOM = {
    "type": "custom",
    "code_configuration": {"code": "src", "scoring_script": "score.py"},
    "inference_configuration": {
        "liveness_route": ROUTE,
        "readiness_route": ROUTE,
        "scoring_route": ROUTE,
        "entry_script": "score.py",
        "configuration": {"a": "b"},
    },
}
REST_NAMES = {"target_environment": "targetEnvironmentId", "code": "codeId", "configuration": "configurations"}
REST_VALUES = {
    "azureml_online": "AzureMLOnline", "azureml_batch": "AzureMLBatch", "triton": "Triton", "custom": "Custom",
    "copy": "Copy", "download": "Download", "uri_file": "UriFile", "environment_asset": "EnvironmentAsset",
    "path_id": "PathId", "url": "Url", "path_version": "PathVersion",
}  # fmt: skip
FREE = ("tags", "environment_variables", "properties", "configuration")


def rest(value: Any, section: str = "") -> Any:
    """A package as the REST interface writes it."""
    if isinstance(value, list):
        return [rest(item, section) for item in value]
    if not isinstance(value, dict):
        return value
    special = {
        "inferencing_server": "serverType",
        "inputs": "inputType",
        "base_environment_source": "baseEnvironmentSourceType",
    }
    found = {}
    for key, item in value.items():
        if key in ("type", "mode", "input_path_type"):
            item = REST_VALUES[item]  # noqa: PLW2901
        name = special.get(section, "type") if key == "type" else REST_NAMES.get(key, camel(key))
        found[name] = item if key in FREE else rest(item, key)
    return found


@pytest.mark.parametrize("server", [PACKAGE["inferencing_server"], CUSTOM], ids=["online", "custom"])
def test_both_spellings_give_the_same(folder: Folder, server: dict[str, Any]) -> None:
    package = {**PACKAGE, "inferencing_server": server}
    folder.write(FILES)
    texts = []
    for index, content in enumerate((package, rest(package))):
        folder.write({"package.json": json.dumps(content, indent=index + 1)})
        folder.run("import", "azureml", "package.json", *(["--base", "//:b"] if server is CUSTOM else []))
        texts.append(folder.build_file())
        (folder.root / "BUILD.yaml").unlink()
    assert texts[0] == texts[1]
    assert "my_tag: kept_as_it_is" in texts[0]
    assert 'MY_VARIABLE: "1"' in texts[0]


def test_the_test_above_has_every_attribute() -> None:
    told = {name for name, row in PackageKeys.rows.items() if row.suggested}
    said = told - {"$schema", "target_environment_version"}
    assert said == set(PACKAGE)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("made", "made"),
        ('"made:7"', '"made:7"'),
        ('"azureml:made:7"', '"made:7"'),
        ('"azureml:made@latest"', "made"),
        ("{name: made}", "made"),
        ("{name: made, version: 7}", '"made:7"'),
        ("azureml://locations/l/workspaces/0f/environments/made/versions/7", '"made:7"'),
        ("/subscriptions/0/resourceGroups/g/x/workspaces/w/environments/made/versions/7", '"made:7"'),
    ],
)
@pytest.mark.parametrize("key", ["target_environment", "targetEnvironmentId", "target_environment_name"])
def test_target_environments(folder: Folder, key: str, said: str, wanted: str) -> None:
    package = {**PACKAGE, "target_environment": "@@", "inputs": []}
    text = json.dumps(package).replace('"target_environment": "@@"', f"{key}: {said}")
    folder.write({**FILES, "package.yml": text})
    folder.run("import", "azureml", "package.yml")
    assert f"    target_environment: {wanted}\n" in folder.build_file()


def test_the_version_beside_the_name(folder: Folder) -> None:
    folder.write({**FILES, "package.yml": json.dumps({**PACKAGE, "target_environment_version": 3})})
    folder.run("import", "azureml", "package.yml")
    assert '    target_environment: "made:3"\n' in folder.build_file()


@pytest.mark.parametrize(
    "text", ["azureml_online", "AZUREML_ONLINE", "AzureMLOnline", "azureml-online", "azuremlonline"]
)
def test_servers_are_named_in_any_case(folder: Folder, text: str) -> None:
    package = json.dumps(PACKAGE).replace('"type": "azureml_online"', f'"type": "{text}"')
    folder.write({**FILES, "package.yml": package})
    folder.run("import", "azureml", "package.yml")
    assert "    server: azureml_online\n" in folder.build_file()


def test_every_route_is_kept(folder: Folder) -> None:
    """The original cannot load a YAML file with routes at all."""
    folder.write({**FILES, "package.yml": json.dumps({**PACKAGE, "inferencing_server": CUSTOM})})
    folder.run("import", "azureml", "package.yml", "--base", "//:b")
    text = folder.build_file()
    assert re.search(r"routes: \{liveness: 8080/x, readiness: 8080/x, scoring: 8080/x\}", text.replace('"', ""))
