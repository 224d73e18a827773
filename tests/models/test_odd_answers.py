"""What stores and tracking servers answer that no lock can hold, that never ends, or that holds a credential."""

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from buildrules.actions.models.lock import LARGEST, ModelLock, read_lock, write_lock
from buildrules.credentials.secret_names import secret_in_query
from buildrules.errors import FetchError, RegistryError, UsageError
from buildrules.locking.models import mlflow, origin, s3
from buildrules.start import secret
from tests.models.conftest import APP, from_uri
from tests.models.test_odd_servers import DOWNLOAD, FILES, LAYER, PLACE, READY, RUN, VERSION
from tests.support.fetching import access
from tests.support.raw import Request, raw, whole
from tests.support.space import Space
from tests.support.web import Web

SECRET = "canary-9f3ab7"


def put(web: Web, answers: dict[str, Any]) -> None:
    for path, answer in answers.items():
        web.files[path] = json.dumps(answer).encode()


LOCATIONS = [
    "{web}/art?sig=" + SECRET,
    "{web}/art?x=" + SECRET,
    "{web}/art#token=" + SECRET,
    "{web}/art#" + SECRET,
    "http://ali:" + SECRET + "@127.0.0.1:9/art",
    "mlflow-artifacts://ali:" + SECRET + "@127.0.0.1:9/art",
    "mlflow-artifacts:/art?sig=" + SECRET,
    "s3://bucket/art?sig=" + SECRET,
    "s3://AKIA:" + SECRET + "@bucket/art",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_place_of_artifacts_with_a_credential_is_refused(workspace: Space, web: Web, location: str) -> None:
    put(web, {**READY, DOWNLOAD: {"artifact_uri": location.replace("{web}", web.url)}})
    from_uri(workspace, "models:/iris/1", package="    mode: download\n")
    told = workspace.run("build", APP, code=1, env={"MLFLOW_TRACKING_URI": web.url})
    told.said("holds a credential, or has a query", "plain address")
    assert SECRET not in told.out + told.err
    assert not workspace.path("model.m.lock").exists()
    assert all("/art" not in path for path, _ in web.seen)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("code=abc", "code"),
        ("jwt=abc", "jwt"),
        ("id_jwt=abc", "id_jwt"),
        ("pwd=abc", "pwd"),
        ("x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc", "x"),
        ("encoding=utf-8&compass=n&version=7", None),
    ],
)
def test_what_a_query_may_hide(query: str, name: str | None) -> None:
    assert secret_in_query(f"https://host/model.bin?{query}") == name


def test_a_uri_with_a_code_is_refused(workspace: Space) -> None:
    from_uri(workspace, "https://host/m?code=canary-1")
    workspace.run("build", APP, code=2).said("a credential in its query, 'code'")


def test_what_repeats_a_credential_is_not_locked(web: Web, tmp_path: Path) -> None:
    secret.conceal([SECRET * 2])
    title = {"org.opencontainers.image.title": f"x-{SECRET * 2}.bin"}
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, "annotations": title}]}})
    with pytest.raises(FetchError, match="repeats a credential") as caught:
        origin.resolve(f"oci://{web.url.removeprefix('http://')}/team/model:v1", access(tmp_path))
    assert SECRET not in caught.value.message


def test_an_artifact_location_that_repeats_a_credential_is_refused(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        if "download-uri" in request.path:
            where = f"http://127.0.0.1:9/{quote(request.headers['authorization'])}"
            return whole(json.dumps({"artifact_uri": where}).encode())
        return whole(b'{"model_version": {"version": "1"}}')

    environ = {"MLFLOW_TRACKING_TOKEN": SECRET * 2}
    with raw(answer) as server, pytest.raises(FetchError, match="holds a credential") as caught:
        mlflow.resolve("models:/m/1", access(tmp_path, {**environ, "MLFLOW_TRACKING_URI": server.url}))
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("layer", [{"size": 10**30}, {"size": LARGEST}, {"size": -1}, {"size": True}], ids=str)
def test_sizes_that_no_lock_can_hold(web: Web, tmp_path: Path, layer: dict[str, Any]) -> None:
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, **layer}]}})
    with pytest.raises(RegistryError, match="no digest and size"):
        origin.resolve(f"oci://{web.url.removeprefix('http://')}/team/model:v1", access(tmp_path))


def test_the_largest_size_can_be_read_back(web: Web, tmp_path: Path) -> None:
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, "size": LARGEST - 1}]}})
    uri = f"oci://{web.url.removeprefix('http://')}/team/model:v1"
    found = origin.resolve(uri, access(tmp_path))
    write_lock(str(tmp_path / "lock"), ModelLock(uri, "x", found.source, found.files))
    read = read_lock(str(tmp_path / "lock"))
    assert read is not None and read.size == LARGEST - 1


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 256, "\u00e9" * 128, "a/" * 2048 + "a"], ids=lambda name: name[:3])
def test_names_that_are_longer_than_a_file_system_takes(web: Web, tmp_path: Path, name: str) -> None:
    title = {"org.opencontainers.image.title": name}
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, "annotations": title}]}})
    uri = f"oci://{web.url.removeprefix('http://')}/team/model:v1"
    with pytest.raises(UsageError, match="cannot be laid in an image"):
        origin.resolve(uri, access(tmp_path))
    title["org.opencontainers.image.title"] = f"{'a' * 255}/{'a' * 255}"
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, "annotations": title}]}})
    assert [file.path for file in origin.resolve(uri, access(tmp_path)).files] == [f"{'a' * 255}/{'a' * 255}"]


def test_names_that_are_half_a_character(web: Web, tmp_path: Path) -> None:
    title = {"org.opencontainers.image.title": "a\ud800"}
    put(web, {"/v2/team/model/manifests/v1": {"layers": [{**LAYER, "annotations": title}]}})
    with pytest.raises(UsageError, match="cannot be laid in an image"):
        origin.resolve(f"oci://{web.url.removeprefix('http://')}/team/model:v1", access(tmp_path))
    put(web, {FILES: {"files": [{"path": "a\ud800"}]}})
    with pytest.raises(UsageError, match="cannot become a file"):
        mlflow.resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


@pytest.mark.parametrize(
    ("uri", "answers"),
    [
        ("models:/iris/1", {VERSION: {"model_version": {"version": "1\u001b[31m"}}, DOWNLOAD: PLACE}),
        ("models:/iris/1", {VERSION: {"model_version": {"version": "1", "run_id": "a\ud800"}}, DOWNLOAD: PLACE}),
        ("models:/iris/1", {**READY, DOWNLOAD: {"artifact_uri": "mlflow-artifacts:/a\nb"}}),
        ("models:/iris/1", {**READY, DOWNLOAD: {"artifact_uri": "http://[::1/"}}),
        ("runs:/abc/m", {RUN: {"run": {"info": {"artifact_uri": "http://[::1/"}}}}),
    ],
    ids=str,
)
def test_texts_that_cannot_be_shown_or_gone_to(web: Web, tmp_path: Path, uri: str, answers: dict[str, Any]) -> None:
    put(web, answers)
    with pytest.raises(FetchError, match=r"gave no|not valid|not an http or https"):
        mlflow.resolve(uri, access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


def test_a_list_of_objects_that_never_ends(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        token = f"<NextContinuationToken>{len(server.seen)}</NextContinuationToken>"
        return whole(f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode())

    with raw(answer) as server, pytest.raises(FetchError, match="is cut short"):
        s3.resolve("s3://bucket/m", access(tmp_path, {"AWS_ENDPOINT_URL": server.url}))
    assert len(server.seen) <= 2 * s3.MOST_EMPTY


@pytest.mark.parametrize(
    "row", ["<Key>m/</Key><Size>0</Size>", "<Key>m/a</Key><Size>1</Size>"], ids=["folders", "files"]
)
def test_a_list_of_ever_more_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    monkeypatch.setattr(s3, "MOST_FILES", 500)

    def answer(request: Request) -> bytes:
        rows = f"<Contents>{row}</Contents>" * 100
        token = f"<NextContinuationToken>{len(server.seen)}</NextContinuationToken>"
        return whole(f"<ListBucketResult>{rows}<IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode())

    with raw(answer) as server, pytest.raises(UsageError, match="more than 500 objects"):
        s3.resolve("s3://bucket/m", access(tmp_path, {"AWS_ENDPOINT_URL": server.url}))


def test_a_list_that_goes_round_in_a_circle(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        token = f"<NextContinuationToken>{len(server.seen) % 3}</NextContinuationToken>"
        row = "<Contents><Key>m/a</Key><Size>1</Size></Contents>"
        return whole(f"<ListBucketResult>{row}<IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode())

    with raw(answer) as server, pytest.raises(FetchError, match="is cut short"):
        s3.resolve("s3://bucket/m", access(tmp_path, {"AWS_ENDPOINT_URL": server.url}))
    assert len(server.seen) < 6


def test_artifacts_in_ever_more_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "MOST_FILES", 500)
    rows = [{"path": f"d{number}", "is_dir": True} for number in range(100)]
    with raw(lambda _: whole(json.dumps({"files": rows}).encode())) as server:
        with pytest.raises(UsageError, match="more than 500 artifacts"):
            mlflow.resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": server.url}))
        assert len(server.seen) < 10


def test_a_lock_that_widens_where_credentials_go_is_refused(workspace: Space, web: Web) -> None:
    web.files["/w.bin"] = b"1"
    from_uri(workspace, f"{web.url}/w.bin")
    workspace.run("lock")
    lock = workspace.path("model.m.lock").read_text()
    assert "within" not in tomllib.loads(lock)["source"]
    workspace.write("model.m.lock", lock.replace('kind = "http"', f'kind = "http"\nwithin = "{web.url}"'))
    workspace.run("build", APP, code=1).said("names credentials")
