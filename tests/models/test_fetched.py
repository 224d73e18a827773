"""Models fetched at build: the same layers as from the workspace, resumed, and what the server makes of them."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from buildrules.oci.recipe import LARGE_FILE
from tests.models.conftest import APP, START, download, from_uri
from tests.models.test_http import archive
from tests.support.space import Space
from tests.support.web import Web

DOWNLOAD = "    mode: download\n"
LARGE = os.urandom(1 << 20) * (LARGE_FILE // (1 << 20)) + b"and more"
FILES = {"model/weights.bin": LARGE, "model/config.json": b"{}", "model/deep/vocabulary.txt": b"a b c\n"}


def model_layers(space: Space) -> list[str]:
    layers = space.build().targets[APP]["layers"]
    return [layer["digest"] for layer in layers if str(layer["origin"]).startswith("model")]


def test_a_fetched_folder_has_the_layers_of_the_same_folder_here(workspace: Space, web: Web) -> None:
    web.files["/m.tar.gz"] = archive(FILES)
    from_uri(workspace, f"{web.url}/m.tar.gz", ", unpack: true")
    fetched = model_layers(workspace)
    assert len(fetched) == 2
    label = workspace.config(workspace.build().digest)["Labels"]["buildrules.models"]
    for path, data in FILES.items():
        workspace.write(path, data)
    workspace.edit("BUILD.yaml", f'uri: "{web.url}/m.tar.gz", unpack: true', "path: model")
    assert model_layers(workspace) == fetched
    assert workspace.config(workspace.build().digest)["Labels"]["buildrules.models"] == label


def test_exclude_leaves_files_of_a_store_out(workspace: Space, web: Web) -> None:
    web.files["/m.tar.gz"] = archive({**FILES, "model/log.txt": b"x"})
    from_uri(workspace, f"{web.url}/m.tar.gz", ', unpack: true, exclude: ["**/*.bin", "model/log.txt"]')
    report = workspace.build()
    assert report.layer("model m: small files")
    assert len(model_layers(workspace)) == 1


def test_mode_download_needs_the_lock_only(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = LARGE
    from_uri(workspace, f"{web.url}/m.bin", package=DOWNLOAD)
    report = workspace.build()
    web.close()
    assert workspace.clean_build().digest == report.digest
    start = json.loads(download(workspace, report).text)
    (entry,) = start["downloads"]
    assert entry["files"] == [{"path": "m.bin", "size": len(LARGE), "sha256": hashlib.sha256(LARGE).hexdigest()}]


def test_another_uri_is_locked_anew(workspace: Space, web: Web) -> None:
    web.files |= {"/1.bin": b"1", "/2.bin": b"2"}
    from_uri(workspace, f"{web.url}/1.bin")
    workspace.build()
    workspace.edit("BUILD.yaml", "/1.bin", "/2.bin")
    workspace.run("build", APP, "--locked", code=1).said("what the target says has changed")
    workspace.run("build", APP).said("what the target says has changed", "- 1.bin", "+ 2.bin")


@pytest.mark.parametrize("head", [True, False], ids=["HEAD", "no HEAD"])
def test_a_digest_of_another_file_that_is_here_is_no_proof(workspace: Space, web: Web, head: bool) -> None:
    web.files |= {"/1.bin": LARGE, "/2.bin": LARGE[::-1], "/3.bin": b"3", "/4.bin": LARGE}
    web.head = head
    digest = hashlib.sha256(LARGE).hexdigest()
    from_uri(workspace, f"{web.url}/1.bin", f', digest: "sha256:{digest}"')
    workspace.build()
    for wrong in ("/3.bin", "/gone.bin") if head else ("/2.bin", "/3.bin", "/gone.bin"):
        workspace.edit("BUILD.yaml", "/1.bin", wrong)
        assert workspace.run("build", APP, code=None).code in (1, 4)
        workspace.edit("BUILD.yaml", wrong, "/1.bin")
    workspace.edit("BUILD.yaml", "/1.bin", "/4.bin")
    asked = len(web.seen)
    workspace.build()
    assert "/4.bin" in web.heads
    assert [path for path, _ in web.seen[asked:]] == ([] if head else ["/4.bin"])


def test_a_model_is_locked_by_its_own_name(workspace: Space, web: Web) -> None:
    web.files["/1.bin"] = b"1"
    from_uri(workspace, f"{web.url}/1.bin")
    workspace.path("pylock.env-linux-amd64.toml").unlink()
    workspace.run("lock", "//:m").said("wrote model.m.lock")
    assert not workspace.path("pylock.env-linux-amd64.toml").exists()  # nothing else was asked for
    web.files["/1.bin"] = b"2"
    workspace.run("lock", ":m").said("1.bin sha256:", " -> sha256:")
    workspace.run("build", "//:m", code=2).said("only built as part of a package")


def test_a_killed_build_goes_on_where_it_was(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = LARGE
    from_uri(workspace, f"{web.url}/m.bin")
    workspace.run("lock")
    workspace.env["BUILDRULES_CACHE_DIR"] = str(workspace.folder / "other")
    web.pause = 0.02
    process = workspace.start("build", APP)
    name = hashlib.sha256(LARGE).hexdigest()
    partial = workspace.folder / "other/tmp/partial" / name
    end = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 2_000_000):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    web.pause = 0.0
    web.seen.clear()
    workspace.run("build", APP)
    (asked,) = web.asked("/m.bin")
    assert asked is not None and int(asked.removeprefix("bytes=").rstrip("-")) > 2_000_000


def test_a_blob_that_is_gone_is_fetched_again(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = LARGE
    from_uri(workspace, f"{web.url}/m.bin")
    digest = workspace.build().digest
    workspace.blobs()[f"sha256:{hashlib.sha256(LARGE).hexdigest()}"].unlink()
    workspace.run("export", APP, "-o", str(workspace.folder / "image.tar"))
    assert f"sha256:{hashlib.sha256(LARGE).hexdigest()}" in workspace.blobs()
    assert workspace.build().digest == digest


@pytest.mark.parametrize("status", ["503", "429"])
def test_a_server_that_fails_now_and_then_is_asked_again(workspace: Space, web: Web, status: str) -> None:
    web.files["/m.bin"] = LARGE
    web.faults["/m.bin"] = [status, "drop 3000000"]
    from_uri(workspace, f"{web.url}/m.bin")
    workspace.build()


def connect(space: Space, target: str, credentials: str) -> None:
    """Declare the connection `store`."""
    store = f'{{type: http, target: "{target}", credentials: {credentials}}}'
    space.edit("BUILD.yaml", "  platforms:", f"  connections: {{store: {store}}}\n  platforms:")


def test_an_expired_token_names_its_connection(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = b"1"
    web.wanted = "Bearer canary-good"
    connect(workspace, web.url, "{type: api_key, key: {env: KEY}}")
    from_uri(workspace, f"{web.url}/m.bin")
    told = workspace.run("build", APP, code=1, env={"KEY": "canary-bad"})
    told.said("401", "connection 'store'", "expired", "'KEY'", "BUILD.yaml:")
    assert "canary" not in told.out + told.err
    workspace.run("build", APP, code=None).said("'KEY' is not set")
    workspace.run("build", APP, env={"KEY": "canary-good"})


def test_a_connection_for_another_place_is_refused(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = b"1"
    connect(workspace, "https://other.example", "{type: pat, pat: {env: KEY}}")
    from_uri(workspace, f"{web.url}/m.bin", ", connection: store")
    workspace.run("build", APP, code=2, env={"KEY": "x"}).said("is for https://other.example", "BUILD.yaml:")
    workspace.edit("BUILD.yaml", "connection: store}", "connection: nobody}")
    workspace.run("build", APP, code=2, env={"KEY": "x"}).said("no connection 'nobody'", "there are: store")


AZUREML = """
  az: {rule: model_package, model: ":m", base_env: ":env", server: azureml_online}
"""


def test_an_mlflow_model_of_a_store_is_known_by_its_files(workspace: Space, web: Web) -> None:
    web.files["/m.tar.gz"] = archive({"model/MLmodel": b"flavors: {}\n", "model/w.bin": b"1"})
    from_uri(workspace, f"{web.url}/m.tar.gz", ", unpack: true")
    workspace.append("BUILD.yaml", AZUREML)
    report = workspace.build("//:az")
    variables = workspace.config(report.targets["//:az"]["digest"])["Env"]
    assert "AZUREML_ENTRY_SCRIPT=mlflow_score_script.py" in variables


def test_a_custom_model_of_a_store_needs_code(workspace: Space, web: Web) -> None:
    web.files["/w.bin"] = b"1"
    from_uri(workspace, f"{web.url}/w.bin")
    workspace.append("BUILD.yaml", AZUREML)
    workspace.run("build", "//:az", code=2).said("needs code", "this one is 'custom'")


def test_a_broken_lock_is_named_and_made_anew_by_lock(workspace: Space, web: Web) -> None:
    web.files["/w.bin"] = b"1"
    from_uri(workspace, f"{web.url}/w.bin")
    workspace.run("lock")
    good = workspace.path("model.m.lock").read_text()
    named = '[source]\ncredentials = {token = "HOME"}'
    for old, new in (
        ("w.bin", "../w.bin"),
        ("version = 1", "version = 9"),
        ("[source]", "[source"),
        ("[source]", named),
    ):
        workspace.write("model.m.lock", good.replace(old, new))
        workspace.run("build", APP, code=1).said("model.m.lock", "cannot be read", "buildrules lock")
        workspace.run("lock")
        assert workspace.path("model.m.lock").read_text() == good


def test_too_little_space_is_said_before_anything_is_fetched(workspace: Space, web: Web) -> None:
    web.files["/w.bin"] = b"1"
    from_uri(workspace, f"{web.url}/w.bin", package=DOWNLOAD)
    start = download(workspace)
    web.seen.clear()
    place: Path = start.place / "start.json"
    place.write_text(place.read_text().replace('"size": 1', f'"size": {1 << 60}'))
    told = start.run(code=1)
    assert "of space, 1048576.0 TiB are needed" in told and "mount a larger volume" in told
    assert not web.seen
    assert workspace.build().layer(START)


def damage(space: Space, data: bytes) -> Path:
    """Change four bytes of a blob of the store and nothing else about it."""
    path = space.blobs()[f"sha256:{hashlib.sha256(data).hexdigest()}"]
    path.chmod(0o644)
    path.write_bytes(data[:-4] + b"evil")
    return path


@pytest.mark.parametrize("data", [LARGE, b"small enough for a layer of small files"], ids=["large", "small"])
def test_a_damaged_blob_is_fetched_again_before_it_is_packed(workspace: Space, web: Web, data: bytes) -> None:
    web.files["/m.bin"] = data
    from_uri(workspace, f"{web.url}/m.bin")
    workspace.build()
    workspace.append("BUILD.yaml", "    mount_path: /elsewhere\n")
    text = workspace.path("BUILD.yaml").read_text()
    first = text.index("    mount_path: /")
    workspace.write("BUILD.yaml", text[:first] + text[text.index("\n", first) + 1 :])
    expected = workspace.clean_build().digest
    damaged = damage(workspace, data)
    web.seen.clear()
    assert workspace.build().digest == expected
    assert len(web.asked("/m.bin")) == 1
    assert damaged.read_bytes() == data
    workspace.run("cache", "verify")


def test_what_is_in_a_damaged_archive_is_not_locked(workspace: Space, web: Web) -> None:
    data = archive(FILES)
    web.files["/m.tar.gz"] = data
    digest = hashlib.sha256(data).hexdigest()
    from_uri(workspace, f"{web.url}/m.tar.gz", f', unpack: true, digest: "sha256:{digest}"')
    workspace.run("lock")
    lock = workspace.path("model.m.lock").read_text()
    damage(workspace, data)
    workspace.run("lock")
    assert workspace.path("model.m.lock").read_text() == lock
    assert len(web.asked("/m.tar.gz")) == 2


def test_an_export_of_a_damaged_blob_fetches_it_again(workspace: Space, web: Web) -> None:
    web.files["/m.bin"] = LARGE
    from_uri(workspace, f"{web.url}/m.bin")
    digest = workspace.build().digest
    damage(workspace, LARGE)
    result = workspace.run("export", APP, "-o", str(workspace.folder / "image.tar"))
    result.said(digest, "damaged content was removed")
    assert len(web.asked("/m.bin")) >= 2


@pytest.mark.parametrize("data", [LARGE, b"small enough for a layer of small files"], ids=["large", "small"])
def test_verify_forgets_what_was_made_from_a_damaged_blob(workspace: Space, web: Web, data: bytes) -> None:
    web.files["/m.bin"] = data
    from_uri(workspace, f"{web.url}/m.bin")
    expected = workspace.build().digest
    workspace.build()
    assert not workspace.build().built
    damage(workspace, data)
    workspace.run("cache", "verify", code=1).said("corrupt, removed", hashlib.sha256(data).hexdigest())
    assert not workspace.states()
    report = workspace.build()
    assert report.digest == expected
    assert any(origin.startswith("model") for origin in report.built), report.built
