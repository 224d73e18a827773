"""Models of a real MLflow tracking server: versions, aliases, runs and logged models, with artifacts here and there."""

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import BuildrulesError, FetchError, GoneError, UsageError
from buildrules.locking.models.origin import Resolved, place, resolve
from tests.models.conftest import APP, download, from_uri
from tests.support.canary import Canary
from tests.support.fetching import access
from tests.support.mlflow_server import BUCKET, PASSWORD, USER, Tracking
from tests.support.space import Space
from tests.support.swift import Swift
from tests.support.web import Web

pytestmark = [pytest.mark.network, pytest.mark.slow]
LOCK = "model.m.lock"
DOWNLOAD = "    mode: download\n"
LOGGED = {"MLmodel", "conda.yaml", "data/data/deep/a b+c.txt", "python_env.yaml", "requirements.txt"}


@pytest.fixture
def ask(tracking: Tracking, swift: Swift, tmp_path: Path) -> Callable[..., Resolved]:
    """What a uri names; more variables may be given."""

    def ask(uri: str, environ: dict[str, str] | None = None, **options: Any) -> Resolved:
        variables = {**swift.environment, **tracking.environment, **(environ or {})}
        return resolve(uri, access(tmp_path, variables, **options))

    return ask


def paths(found: Resolved) -> set[str]:
    return {file.path for file in found.files}


def locked(space: Space) -> dict[str, Any]:
    return tomllib.loads(space.path(LOCK).read_text())


# what a uri names


def test_a_version(tracking: Tracking, ask: Callable[..., Resolved], tmp_path: Path) -> None:
    made, found = tracking.made["iris/1"], ask("models:/iris/1")
    assert found.source == {
        "kind": "mlflow",
        "tracking_uri": tracking.uri,
        "uri": "models:/iris/1",
        "model": "iris",
        "version": "1",
        "run_id": made["run"],
        "artifacts": f"mlflow-artifacts:/0/models/{made['model']}/artifacts",
    }
    assert paths(found) == LOGGED
    (weights,) = (file for file in found.files if file.path.startswith("data/"))
    blob = tmp_path / "store" / "blobs"
    (stored,) = (path for path in blob.rglob(weights.sha256))
    assert stored.read_text() == "weights iris 1\n" * 1000 and weights.size == 15_000


def test_the_latest_version(ask: Callable[..., Resolved]) -> None:
    assert ask("models:/iris/latest").source["version"] == "2"


def test_a_version_in_a_bucket(ask: Callable[..., Resolved], swift: Swift) -> None:
    found = ask("models:/stored/1", {"AWS_ENDPOINT_URL": "", "MLFLOW_S3_ENDPOINT_URL": swift.endpoint})
    source = found.source
    assert (source["kind"], source["bucket"], source["endpoint"]) == ("s3", BUCKET, swift.endpoint)
    assert (source["model"], source["version"]) == ("stored", "1") and paths(found) == LOGGED
    assert all(file.etag for file in found.files)


def test_a_logged_model_and_runs(tracking: Tracking, ask: Callable[..., Resolved]) -> None:
    made = tracking.made["iris/2"]
    by_id = ask(f"models:/{made['model']}")
    by_run = ask(f"runs:/{made['run']}/model")
    assert paths(by_id) == paths(by_run) == LOGGED and by_id.files == by_run.files
    assert by_run.source["run_id"] == by_id.source["run_id"] == made["run"]
    assert paths(ask(f"runs:/{made['run']}/model/data")) == {"data/deep/a b+c.txt"}


def test_artifacts_of_a_run(tracking: Tracking, ask: Callable[..., Resolved]) -> None:
    run = tracking.made["stored/1"]["run"]
    assert paths(ask(f"runs:/{run}")) == {"notes/a b.txt", "top.txt"}
    assert paths(ask(f"runs:/{run}/top.txt")) == {"top.txt"}
    run = tracking.made["iris/1"]["run"]
    assert paths(ask(f"runs:/{run}/notes")) == {"a b.txt"}
    assert paths(ask(f"runs:/{run}/notes/a%20b.txt")) == {"a b.txt"}
    found = ask(f"mlflow-artifacts:/0/{run}/artifacts/notes")
    assert paths(found) == {"a b.txt"}


def test_a_location_at_start(tracking: Tracking) -> None:
    host = tracking.uri.removeprefix("http://")
    found = place(f"mlflow-artifacts://{host}/0/x")
    assert found == {"kind": "mlflow", "tracking_uri": tracking.uri, "artifacts": f"mlflow-artifacts://{host}/0/x"}
    for uri in ("models:/iris/1", "runs:/0123/model", "mlflow-artifacts:/0/x"):
        with pytest.raises(UsageError, match="has to be looked up"):
            place(uri)


# what can go wrong


@pytest.mark.parametrize(
    ("uri", "message", "hint"),
    [
        ("models:/no-such/1", "there is no version 1 of model 'no-such'", "check its name"),
        ("models:/iris/99", "there is no version 99 of model 'iris'", "check its name"),
        ("models:/no-such/latest", "model 'no-such' has no versions", "check its name"),
        ("models:/no-such@champion", "there is no model 'no-such'", "check its name"),
        ("models:/m-0123456789", "there is no logged model 'm-0123456789'", "check its name"),
        ("runs:/0123456789/model", "there is no run '0123456789'", "check its name"),
        ("models:/iris/1/nothing", "has no artifacts", "check the path"),
    ],
)
def test_what_there_is_not(ask: Callable[..., Resolved], uri: str, message: str, hint: str) -> None:
    with pytest.raises(GoneError, match=message) as caught:
        ask(uri)
    assert hint in (caught.value.hint or "")


def test_an_alias_there_is_not(tracking: Tracking, ask: Callable[..., Resolved]) -> None:
    name = tracking.register("iris/1")
    with pytest.raises(GoneError, match="has no alias 'champion'") as caught:
        ask(f"models:/{name}@champion")
    assert "it has none" in (caught.value.hint or "")
    tracking.alias(name, "challenger", 1)
    with pytest.raises(GoneError) as caught:
        ask(f"models:/{name}@champion")
    assert "there are: challenger" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "canary-8a01"}, "MLFLOW_TRACKING_PASSWORD and MLFLOW_TRACKING_USERNAME holds"),
        ({"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_TOKEN": "canary-8a01"}, "MLFLOW_TRACKING_TOKEN holds"),
        ({"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}, "set MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_refusals(ask: Callable[..., Resolved], change: dict[str, str], hint: str) -> None:
    with pytest.raises(FetchError, match="answered 401") as caught:
        ask("models:/iris/1", change)
    assert hint in (caught.value.hint or "") and "canary" not in str(vars(caught.value))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("./mlruns", "is not an MLflow tracking server"),
        ("file:///data/mlruns", "is not an MLflow tracking server"),
        ("sqlite:///mlflow.db", "is not an MLflow tracking server"),
        ("databricks", "is not an MLflow tracking server"),
        ("", "no MLflow tracking server is named"),
        ("https://user:canary-8a01@mlflow.example", "holds credentials"),
    ],
)
def test_tracking_uris_that_cannot_be_asked(tmp_path: Path, uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        resolve("models:/iris/1", access(tmp_path, {"MLFLOW_TRACKING_URI": uri}))
    assert caught.value.hint and "canary" not in str(vars(caught.value))


@pytest.mark.parametrize(
    "uri",
    [
        "models:/iris",
        "models:/iris/Production",
        "models:iris/1",
        "models:/iris/../1",
        "models:/iris@",
        "runs:/",
        "runs:/-/x",
    ],
)
def test_uris_that_make_no_sense(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(uri, access(tmp_path, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}))
    assert caught.value.hint


def test_artifacts_that_no_server_hands_out(tracking: Tracking, ask: Callable[..., Resolved]) -> None:
    run = tracking.run({}, "gs://elsewhere/mlflow")
    with pytest.raises(FetchError, match="are kept in gs, which cannot be read here") as caught:
        ask(f"runs:/{run}/model")
    assert "--serve-artifacts" in (caught.value.hint or "")


def test_a_server_of_something_else(web: Web, tmp_path: Path) -> None:
    asked = access(tmp_path, {"MLFLOW_TRACKING_URI": web.url})
    with pytest.raises(FetchError, match="does not answer as an MLflow tracking server"):
        resolve("models:/iris/1", asked)
    web.files["/api/2.0/mlflow/model-versions/get"] = b"<html>welcome</html>"
    with pytest.raises(FetchError, match="does not answer as an MLflow tracking server"):
        resolve("models:/iris/1", asked)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a\0b", "", None, ".."])
def test_names_that_lead_elsewhere(web: Web, tmp_path: Path, path: str | None) -> None:
    """The list comes from a web server, since MLflow itself would not give such names."""
    listed = {"files": [{"path": path, "is_dir": False, "file_size": 1}]}
    web.files["/api/2.0/mlflow-artifacts/artifacts"] = json.dumps(listed).encode()
    with pytest.raises(UsageError, match="cannot become a file"):
        resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


def test_folders_without_an_end(web: Web, tmp_path: Path) -> None:
    listed = {"files": [{"path": "again", "is_dir": True}]}
    web.files["/api/2.0/mlflow-artifacts/artifacts"] = json.dumps(listed).encode()
    with pytest.raises(BuildrulesError, match="without an end"):
        resolve("mlflow-artifacts:/0/x", access(tmp_path, {"MLFLOW_TRACKING_URI": web.url}))


# in a workspace


def aliased(tracking: Tracking) -> str:
    """A registered model with two versions, the first of which is champion."""
    name = tracking.register("iris/1")
    tracking.register("iris/2", name)
    tracking.alias(name, "champion", 1)
    return name


def test_a_moved_alias_changes_nothing_until_it_is_locked(workspace: Space, tracking: Tracking) -> None:
    name = aliased(tracking)
    from_uri(workspace, f"models:/{name}@champion")
    env = tracking.environment
    first = workspace.build(env=env)
    lock = locked(workspace)
    assert lock["source"]["version"] == "1" and lock["source"]["alias"] == "champion"
    assert lock["source"]["run_id"] == tracking.made["iris/1"]["run"]
    tracking.alias(name, "champion", 2)
    assert workspace.build(env=env).digest == first.digest
    assert workspace.build(options=["--locked"], env=env).digest == first.digest
    assert locked(workspace) == lock
    workspace.run("lock", env=env).said(f"wrote {LOCK}", "champion: version 1 -> 2")
    assert locked(workspace)["source"]["version"] == "2"
    second = workspace.build(env=env)
    assert second.digest != first.digest
    workspace.run("show", APP, env=env).said(f"models:/{name}@champion, version 2, in ")
    workspace.run("lock", env=env)
    assert workspace.build(env=env).digest == second.digest


def test_the_locked_version_is_what_another_machine_gets(new_space: Callable[..., Space], tracking: Tracking) -> None:
    name = aliased(tracking)
    one, other = new_space("one"), new_space("other")
    for space in (one, other):
        from_uri(space, f"models:/{name}@champion")
    first = one.build(env=tracking.environment)
    other.write("BUILD.yaml", one.path("BUILD.yaml").read_bytes())
    other.write(LOCK, one.path(LOCK).read_bytes())
    tracking.alias(name, "champion", 2)
    assert other.build(options=["--locked"], env=tracking.environment).digest == first.digest


def test_download_from_the_tracking_server(workspace: Space, tracking: Tracking) -> None:
    place = from_uri(workspace, "models:/iris/1", f", tracking_uri: {tracking.uri}", package=DOWNLOAD)
    credentials = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    report = workspace.build(env=credentials)
    start = download(workspace, report)
    assert PASSWORD not in start.text
    assert "set MLFLOW_TRACKING_PASSWORD" in start.run(code=1)
    told = start.run(code=1, env={**credentials, "MLFLOW_TRACKING_PASSWORD": "canary-8a01"})
    assert "answered 401" in told and "MLFLOW_TRACKING_PASSWORD" in told and "canary" not in told
    start.run(env=credentials)
    assert (place / "data/data/deep/a b+c.txt").read_text() == "weights iris 1\n" * 1000
    for path in [*place.rglob("*")]:
        if path.is_file():
            path.unlink()
    (start.root / "password").write_text(PASSWORD + "\n")
    start.run(env={"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD_FILE": str(start.root / "password")})
    assert (place / "MLmodel").exists()


def test_download_of_what_was_changed_or_removed(workspace: Space, tracking: Tracking) -> None:
    run = tracking.run({"model/weights.bin": b"first", "model/other.bin": b"other"})
    from_uri(workspace, f"runs:/{run}/model", package=DOWNLOAD)
    start = download(workspace, workspace.build(env=tracking.environment))
    where = f"mlflow-artifacts/artifacts/{tracking.artifacts(run).removeprefix('mlflow-artifacts:/')}"
    tracking.call(f"{where}/model/weights.bin", b"later", "PUT")
    told = start.run(code=1, env=tracking.environment)
    assert "weights.bin" in told and "has other content than it must" in told
    tracking.call(f"{where}/model/weights.bin", method="DELETE")
    assert "answered 404" in start.run(code=1, env=tracking.environment)


def test_download_from_the_bucket_behind(workspace: Space, tracking: Tracking, swift: Swift) -> None:
    place = from_uri(workspace, "models:/stored/1", package=DOWNLOAD)
    start = download(workspace, workspace.build(env={**swift.environment, **tracking.environment}))
    keys = {name: value for name, value in swift.environment.items() if "KEY" in name}
    told = start.run(code=1, env={**keys, "AWS_SECRET_ACCESS_KEY": "canary-8a01"})
    assert "SignatureDoesNotMatch" in told and "canary" not in told
    start.run(env=keys)
    assert (place / "data/data/deep/a b+c.txt").read_text() == "weights stored 1\n" * 1000


def test_a_password_is_kept_nowhere(workspace: Space, tracking: Tracking) -> None:
    canary = Canary(plain=True)  # the server itself takes nothing but ASCII in a password for its artifacts
    user = f"user-{os.urandom(4).hex()}"
    tracking.call("mlflow/users/create", {"username": user, "password": canary.text})
    settings = (
        "  connections:\n"
        f"    tracking: {{type: mlflow, target: '{tracking.uri}', "
        f"credentials: {{type: username_password, username: {user}, password: {{env: TRACKING_PASSWORD}}}}}}\n"
    )
    workspace.edit("BUILD.yaml", "  platforms:", f"{settings}  platforms:")
    from_uri(workspace, "models:/iris/1", ", connection: tracking", package=DOWNLOAD)
    report = workspace.build(env={"TRACKING_PASSWORD": canary.text})
    assert locked(workspace)["source"]["version"] == "1"
    start = download(workspace, report)
    told = start.run(env={"TRACKING_PASSWORD": canary.text})
    refused = workspace.run("lock", code=None, env={"TRACKING_PASSWORD": canary.text + "x"})
    assert refused.code and "401" in refused.err
    workspace.edit("BUILD.yaml", DOWNLOAD, "")
    copied = workspace.build(env={"TRACKING_PASSWORD": canary.text})
    shown = workspace.run("show", APP, env={"TRACKING_PASSWORD": canary.text})
    assert canary.found(workspace.folder) == []
    for text in (told, refused.out + refused.err, json.dumps(report.data), json.dumps(copied.data), shown.out):
        assert not canary.inside(text.encode())
