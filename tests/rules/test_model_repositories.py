"""Servers that load models by name and version: where a model's folder goes, and what cannot go anywhere."""

from collections.abc import Callable
from typing import Any

import pytest

from buildrules.rules.model_content import Arrangement, arrangement
from buildrules.workspace.disk import SHAPE
from buildrules.workspace.labels import Label

PACKAGE = "  p: {rule: model_package, model: ':x', base_env: ':os', server: SERVER}\n"


@pytest.mark.parametrize(
    ("paths", "kind", "names"),
    [
        (["model.onnx"], "bare", ()),
        (["saved_model.pb", "variables/variables.index", "assets/1"], "bare", ()),
        (["1/model.onnx"], "versions", ("1",)),
        (["config.pbtxt", "10/model.plan", "9/model.plan", "labels.txt"], "versions", ("9", "10")),
        (["config.pbtxt"], "versions", ()),
        (["a/config.pbtxt", "b/1/model.onnx", "README.md"], "repository", ("a", "b")),
        (["b/1"], "repository", ("b",)),
    ],
)
def test_arrangements(paths: list[str], kind: str, names: tuple[str, ...]) -> None:
    assert arrangement(paths) == Arrangement(kind, names)


def triton(load: Callable[..., Any], model: str, *files: str, more: str = "") -> Any:
    return loaded_triton(load, model, *files, more=more).packages[Label("", "p")]


def loaded_triton(load: Callable[..., Any], model: str, *files: str, more: str = "") -> Any:
    package = PACKAGE.replace("SERVER", "triton").replace("}", more + "}")
    loaded = load(f"  x: {{rule: model, {model}}}\n{package}", dict.fromkeys(files, "x"))
    assert loaded.lines() == []
    return loaded


def test_triton(load: Callable[..., Any]) -> None:
    parts = triton(load, "path: net, version: '3'", "net/model.onnx")
    (place,) = parts.placed
    assert (place.directory, place.keep_folder) == ("/models/x/3", False)
    assert parts.server_part.entrypoint == [
        *["tritonserver", "--model-repository=/models"],
        *["--http-port=8000", "--grpc-port=8001", "--metrics-port=8002"],
    ]
    assert parts.server_part.routes["scoring"] == {"port": 8000, "path": "/v2/models/x/infer"}
    assert triton(load, "path: net.onnx", "net.onnx").placed[0].directory == "/models/x/1"


def test_triton_with_versions(load: Callable[..., Any]) -> None:
    loaded = loaded_triton(load, "path: net, version: v3", "net/config.pbtxt", "net/3/model.onnx")
    parts = loaded.packages[Label("", "p")]
    assert parts.placed[0].directory == "/models/x"
    assert parts.flavour == "triton"
    assert {"net/1", "net/3", "net/config.pbtxt"} <= set(loaded.disk.seen(SHAPE))


def test_triton_with_a_repository(load: Callable[..., Any]) -> None:
    parts = triton(load, "path: all", "all/iris/config.pbtxt", "all/iris/1/model.onnx")
    assert parts.placed[0].directory == "/models"
    assert parts.server_part.routes["scoring"]["path"] == "/v2/models/iris/infer"
    parts = triton(load, "path: all", "all/petals/1/model.onnx", more=", mount_path: /mnt/repository")
    assert parts.placed[0].directory == "/mnt/repository"
    assert "--model-repository=/mnt/repository" in parts.server_part.entrypoint
    assert "scoring" not in parts.server_part.routes  # there are two now, and neither is the one


def test_tfserving(load: Callable[..., Any]) -> None:
    two = "  y: {rule: model, path: y}\n" + PACKAGE.replace("SERVER", "tfserving").replace(
        "model: ':x'", "models: [':x', ':y']"
    )
    files = ["x/saved_model.pb", "x/variables/variables.index", "y/7/saved_model.pb", "y/8/saved_model.pb"]
    loaded = load("  x: {rule: model, path: x, version: '12'}\n" + two, dict.fromkeys(files, "x"))
    assert loaded.lines() == []
    parts = loaded.packages[Label("", "p")]
    assert [place.directory for place in parts.placed] == ["/models/x/12", "/models/y"]
    assert parts.server_part.entrypoint == [
        *["tensorflow_model_server", "--port=8500", "--rest_api_port=8501"],
        "--model_config_file=/etc/tfserving/models.config",
    ]
    config = parts.server_part.files["/etc/tfserving/models.config"]
    assert config.startswith('model_config_list {\n  config {\n    name: "x"\n    base_path: "/models/x"\n')
    assert '    name: "y"\n    base_path: "/models/y"\n    model_platform: "tensorflow"\n  }\n}\n' in config
    assert parts.ports == [8500, 8501]


def test_tfserving_lists_a_model_of_two_versions_once(load: Callable[..., Any]) -> None:
    """The server refuses to start where a name is listed twice."""
    package = PACKAGE.replace("SERVER", "tfserving").replace("model: ':x'", "models: [':x', ':y']")
    models = "  x: {rule: model, path: x, name: a}\n  y: {rule: model, path: y, name: a, version: '2'}\n"
    loaded = load(models + package, {"x/saved_model.pb": "x", "y/saved_model.pb": "y"})
    assert loaded.lines() == []
    assert loaded.packages[Label("", "p")].server_part.files["/etc/tfserving/models.config"].count('name: "a"') == 1


def test_tfserving_with_one_model(load: Callable[..., Any]) -> None:
    package = PACKAGE.replace("SERVER", "tfserving")
    loaded = load("  x: {rule: model, path: x, name: iris}\n" + package, {"x/saved_model.pb": "x"})
    assert loaded.lines() == []
    assert loaded.packages[Label("", "p")].server_part.routes == {
        "readiness": {"port": 8501, "path": "/v1/models/iris"},
        "scoring": {"port": 8501, "path": "/v1/models/iris:predict"},
    }


@pytest.mark.parametrize(
    ("server", "model", "files", "message"),
    [
        (
            "tfserving",
            "path: x, version: v1",
            ["x/saved_model.pb"],
            "version 'v1' of //:x is not a number",
        ),
        ("triton", "path: x, version: '0'", ["x/model.onnx"], "version '0' of //:x is not a number"),
        ("triton", f"path: x, version: '{'9' * 5000}'", ["x/config.pbtxt", "x/m.onnx"], "no folder of a version"),
        ("triton", "path: x", ["x/config.pbtxt", "x/model.onnx"], "the model's folder has no folder of a version"),
        ("tfserving", "path: x", ["x/a/1/saved_model.pb", "x/b/1/y"], "the model's folder holds models, 'a' and 'b'"),
    ],
)
def test_what_has_no_place(load: Callable[..., Any], server: str, model: str, files: list[str], message: str) -> None:
    loaded = load(f"  x: {{rule: model, {model}}}\n" + PACKAGE.replace("SERVER", server), dict.fromkeys(files, "x"))
    assert message in "\n".join(loaded.lines())
    assert ":" in loaded.lines()[0]


def test_torchserve(load: Callable[..., Any]) -> None:
    package = PACKAGE.replace("SERVER", "torchserve").replace("':os'", "':env'")
    loaded = load("  x: {rule: model, path: nets/iris.mar, name: flowers}\n" + package, {"nets/iris.mar": "x"})
    assert loaded.lines() == []
    part = loaded.packages[Label("", "p")].server_part
    assert part.requirements == ["torchserve~=0.12.0"]
    assert (part.model_places[0].path, part.ports) == ("/models/iris.mar", [8080, 8081, 8082])
    settings = part.files["/etc/torchserve/config.properties"].splitlines()
    assert settings[0] == "inference_address=http://0.0.0.0:8080"
    assert {"model_store=/models", "load_models=flowers=iris.mar,", "default_workers_per_model=1"} <= set(settings)
    assert part.entrypoint[:5] == ["torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth"]
    assert part.routes["readiness"] == {"port": 8081, "path": "/models/flowers"}
