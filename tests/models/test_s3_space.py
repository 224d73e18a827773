"""A workspace whose model lies in a real S3-compatible store: lock, copy, download, connections."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from tests.models.conftest import APP, download, from_uri
from tests.support.canary import Canary
from tests.support.space import Space
from tests.support.swift import ACCESS_KEY, SECRET_KEY, Swift

pytestmark = pytest.mark.network
LOCK = "model.m.lock"
DOWNLOAD = "    mode: download\n"
FILES = {"iris/7/MLmodel": b"flavors: {}\n", "iris/7/data/weights a+b.bin": bytes(range(256)) * 4000}


def connection(space: Space, target: str, secret: str = "STORE_SECRET") -> None:
    space.edit(
        "BUILD.yaml",
        "  platforms:",
        f"  connections:\n    store: {{type: s3, target: '{target}', credentials: {{type: access_key, "
        f"access_key_id: '{ACCESS_KEY}', secret_access_key: {{env: {secret}}}}}}}\n  platforms:",
    )


def locked(space: Space) -> dict[str, Any]:
    return tomllib.loads(space.path(LOCK).read_text())


def test_a_changed_object_changes_nothing_until_it_is_locked(
    workspace: Space, swift: Swift, new_bucket: Callable[..., str]
) -> None:
    bucket = new_bucket(FILES)
    from_uri(workspace, f"s3://{bucket}/iris/7")
    first = workspace.build(env=swift.environment)
    lock = locked(workspace)
    assert lock["source"]["endpoint"] == swift.endpoint and len(lock["files"]) == 2
    swift.put(bucket, "iris/7/MLmodel", b"flavors: {new: {}}\n")
    assert workspace.build(env=swift.environment).digest == first.digest
    assert workspace.build(options=["--locked"]).digest == first.digest, "the store has all it needs"
    told = workspace.run("lock", env=swift.environment).said(f"wrote {LOCK}", "MLmodel sha256:")
    assert "weights" not in told.out + told.err
    assert workspace.build(env=swift.environment).digest != first.digest
    assert locked(workspace)["files"][1] == lock["files"][1]


def test_an_older_version_of_an_object_is_built_again(
    workspace: Space, swift: Swift, new_bucket: Callable[..., str]
) -> None:
    bucket = new_bucket(FILES, versions=True)
    from_uri(workspace, f"s3://{bucket}/iris/7")
    first = workspace.build(env=swift.environment)
    assert all(file["version"] for file in locked(workspace)["files"])
    swift.put(bucket, "iris/7/MLmodel", b"flavors: {new: {}}\n")
    elsewhere = {**swift.environment, "BUILDRULES_CACHE_DIR": f"{workspace.store}2"}
    second = workspace.build(options=["--locked"], env=elsewhere)
    assert second.digest == first.digest


def test_download_from_the_store(workspace: Space, swift: Swift, new_bucket: Callable[..., str]) -> None:
    bucket = new_bucket(FILES)
    canary = Canary()
    connection(workspace, f"{swift.endpoint}/{bucket}")
    place = from_uri(workspace, f"s3://{bucket}/iris/7", package=DOWNLOAD)
    start = download(workspace, workspace.build(env={"STORE_SECRET": SECRET_KEY}))
    assert SECRET_KEY not in start.text and "etag" not in start.text
    assert "set STORE_SECRET" in start.run(code=1)
    told = start.run(code=1, env={"STORE_SECRET": canary.text})
    assert "answered 403 Forbidden: SignatureDoesNotMatch" in told and not canary.inside(told.encode())
    weights = place / "data/weights a+b.bin"
    weights.parent.mkdir(parents=True, exist_ok=True)
    row = next(file for file in locked(workspace)["files"] if file["path"].startswith("data/"))
    (weights.parent / f".{row['sha256']}.part").write_bytes(FILES["iris/7/data/weights a+b.bin"][:500_000])
    start.run(env={"STORE_SECRET": SECRET_KEY})
    assert weights.read_bytes() == FILES["iris/7/data/weights a+b.bin"]
    assert "already there" in start.run(), "nothing is asked for that is there"


def test_a_workspace_model_that_is_fetched_from_a_bucket(
    workspace: Space, swift: Swift, new_bucket: Callable[..., str]
) -> None:
    bucket = new_bucket({f"w/{path.name}": path.read_bytes() for path in workspace.path("weights").iterdir()})
    connection(workspace, swift.endpoint)
    directory = workspace.folder / "served"
    workspace.edit("BUILD.yaml", "path: weights}", f"path: weights, download_uri: 's3://{bucket}/w'}}")
    workspace.append("BUILD.yaml", f"    mount_path: {directory}\n{DOWNLOAD}")
    start = download(workspace)
    start.run(env={"STORE_SECRET": SECRET_KEY})
    found = {path.name: path.read_bytes() for path in directory.rglob("*.txt")}
    assert found == {path.name: path.read_bytes() for path in workspace.path("weights").iterdir()}


def test_a_secret_is_kept_nowhere(workspace: Space, swift: Swift, new_bucket: Callable[..., str]) -> None:
    """With the right secret the store has no choice but to take it; a wrong one is what could be quoted."""
    bucket = new_bucket(FILES)
    canary = Canary()
    connection(workspace, swift.endpoint)
    from_uri(workspace, f"s3://{bucket}/iris/7")
    refused = workspace.run("build", APP, "--json", code=None, env={"STORE_SECRET": canary.text})
    assert refused.code and "SignatureDoesNotMatch" in refused.out
    report = workspace.build(env={"STORE_SECRET": SECRET_KEY, "AWS_SESSION_TOKEN": canary.text})
    for text in (refused.out + refused.err, json.dumps(report.data)):
        assert not canary.inside(text.encode())
    assert canary.found(workspace.folder) == []
    assert not any(SECRET_KEY in path.read_text() for path in (workspace.path(LOCK), workspace.path("BUILD.yaml")))
