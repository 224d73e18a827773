"""Servers whose answers are JSON of another form than theirs, and that lead to what is no address."""

import json
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import BuildrulesError, FetchError, RegistryError
from buildrules.locking.models import mlflow, registry
from buildrules.start.failure import Failure
from buildrules.start.mlflow import artifacts
from tests.models.conftest import APP, from_uri
from tests.oci.registry.servers import Answer, Seen
from tests.oci.registry.servers import web as answering
from tests.support.fetching import access
from tests.support.space import Space
from tests.support.web import Web

DIGEST = "sha256:" + "0" * 64
LAYER = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": 1}
MANIFESTS: list[Any] = [
    [],
    "x",
    5,
    None,
    {},
    {"layers": 5},
    {"layers": ["x"]},
    {"config": "x", "layers": [LAYER]},
    {"config": [1], "layers": [LAYER]},
    {"layers": [{**LAYER, "annotations": ["x"]}]},
    {"layers": [{**LAYER, "annotations": "x"}]},
    {"layers": [{**LAYER, "digest": 5}]},
    {"layers": [{**LAYER, "size": "1"}]},
    {"layers": [{**LAYER, "size": True}]},
    {"layers": [{**LAYER, "size": -1}]},
    {"manifests": 5},
    {"manifests": ["x"]},
    {"manifests": []},
    {"manifests": [{"digest": 5}]},
    {"manifests": [{"digest": DIGEST, "platform": "x"}]},
]


@pytest.mark.parametrize("manifest", [*map(json.dumps, MANIFESTS), "[" * 100_000], ids=lambda text: text[:40])
def test_manifests_that_are_none(web: Web, tmp_path: Path, manifest: str) -> None:
    web.files["/v2/team/model/manifests/v1"] = manifest.encode()
    with pytest.raises(
        RegistryError, match=r"is not an artifact|did not answer with a manifest|no digest and size|index of ind"
    ):
        registry.resolve(f"oci://{web.url.removeprefix('http://')}/team/model:v1", access(tmp_path))


def test_a_manifest_that_is_none_is_an_error_with_its_place(workspace: Space, web: Web) -> None:
    web.files["/v2/team/model/manifests/v1"] = b"[]"
    from_uri(workspace, f"oci://{web.url.removeprefix('http://')}/team/model:v1")
    workspace.run("build", APP, code=1).said("BUILD.yaml:", "did not answer with a manifest")


MLFLOW = "/api/2.0/mlflow/"
RUN = f"{MLFLOW}runs/get"
MODEL = f"{MLFLOW}registered-models/get"
VERSION = f"{MLFLOW}model-versions/get"
DOWNLOAD = f"{MLFLOW}model-versions/get-download-uri"
SEARCH = f"{MLFLOW}model-versions/search"
LOGGED = f"{MLFLOW}logged-models/m-1"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
PLACE = {"artifact_uri": "mlflow-artifacts:/0/x"}
READY: dict[str, Any] = {VERSION: {"model_version": {"version": "1"}}, DOWNLOAD: PLACE}


@pytest.mark.parametrize(
    ("uri", "answers"),
    [
        ("mlflow-artifacts:/0/x", {FILES: {"files": ["x"]}}),
        ("mlflow-artifacts:/0/x", {FILES: {"files": 5}}),
        ("mlflow-artifacts:/0/x", {FILES: {"files": {"a": 1}}}),
        ("mlflow-artifacts:/0/x", {FILES: [1]}),
        ("mlflow-artifacts:/0/x", {FILES: "[" * 100_000}),
        ("runs:/abc/m", {RUN: {"run": [1]}}),
        ("runs:/abc/m", {RUN: {"run": {"info": "x"}}}),
        ("runs:/abc/m", {RUN: {"run": {"outputs": {"model_outputs": ["x"]}}}}),
        ("runs:/abc/m", {RUN: {"run": {"outputs": {"model_outputs": [{"model_id": ["x"]}]}}}}),
        ("models:/iris@champion", {MODEL: {"registered_model": [1]}}),
        ("models:/iris@champion", {MODEL: {"registered_model": {"aliases": ["x"]}}}),
        ("models:/iris@champion", {MODEL: {"registered_model": {"aliases": [{"alias": "champion", "version": []}]}}}),
        ("models:/iris/latest", {SEARCH: {"model_versions": "x"}}),
        ("models:/iris/latest", {SEARCH: {"model_versions": [5]}}),
        ("models:/iris/1", {VERSION: {"model_version": "x"}}),
        ("models:/iris/1", {VERSION: {"model_version": {"version": "1", "run_id": ["x"]}}, DOWNLOAD: PLACE}),
        ("models:/iris/1", {**READY, DOWNLOAD: {"artifact_uri": ["x"]}}),
        ("models:/iris/1", {**READY, DOWNLOAD: {"artifact_uri": "http://[bad"}}),
        ("models:/iris/1", {**READY, DOWNLOAD: {"artifact_uri": "mlflow-artifacts://[bad/x"}}),
        ("models:/m-1", {LOGGED: {"model": 5}}),
        ("models:/m-1", {LOGGED: {"model": {"info": [1]}}}),
        ("models:/m-1", {LOGGED: {"model": {"info": {**PLACE, "source_run_id": {"a": 1}}}}}),
    ],
    ids=str,
)
def test_answers_that_are_not_mlflows(web: Web, tmp_path: Path, uri: str, answers: dict[str, Any]) -> None:
    for path, answer in answers.items():
        web.files[path] = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
    with pytest.raises(FetchError):
        mlflow.resolve(uri, access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


@pytest.mark.parametrize("size", ["1" * 5000, [1], "x", -1])
def test_a_size_that_is_none_is_not_believed(web: Web, tmp_path: Path, size: Any) -> None:
    web.files[FILES] = json.dumps({"files": [{"path": "a.bin", "file_size": size}]}).encode()
    web.files[f"{FILES}/0/x/a.bin"] = b"weights"
    found = mlflow.resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))
    assert [(file.path, file.size) for file in found.files] == [("a.bin", 7)]


@pytest.mark.parametrize("location", ["http://[bad/", "//[bad", "http://127.0.0.1:port/x", "http://:80/"])
def test_redirects_to_what_is_no_address(web: Web, tmp_path: Path, location: str) -> None:
    web.faults[FILES] = [f"redirect {location}"] * 9
    with pytest.raises(
        BuildrulesError, match=r"not valid|not a valid address|not an http or https url|cannot be reached: ValueError"
    ):
        mlflow.resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


@pytest.mark.parametrize(
    ("realm", "token"),
    [
        ("http://[bad", {}),
        ("http://host:port/x", {}),
        ("/token", []),
        ("/token", {"token": {"a": 1}}),
        ("/token", {"token": "a\nb"}),
        ("/token", {"token": "\u00e9"}),
        ("/token", {"token": "a", "expires_in": "soon"}),
        ("/token", {"token": "a", "expires_in": 10**400}),
        ("/token", {"token": "a", "expires_in": [1]}),
    ],
)
def test_tokens_that_are_none(tmp_path: Path, realm: str, token: Any) -> None:
    def answer(request: Seen) -> Answer:
        if request.path.startswith("/token"):
            return 200, {}, json.dumps(token).encode()
        return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b""

    with answering(answer) as server, pytest.raises(FetchError, match=r"token|not a valid address"):
        registry.resolve(f"oci://{server.host}/team/model:v1", access(tmp_path))


@pytest.mark.parametrize("place", ["mlflow-artifacts://[bad/x", "http://[bad"])
def test_a_locked_place_that_is_no_address(place: str) -> None:
    with pytest.raises(Failure, match="is not an address of artifacts"):
        artifacts({"tracking_uri": "http://tracking.example", "artifacts": place})
