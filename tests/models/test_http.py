"""Models of web servers: locked, laid in layers, or fetched at start."""

import hashlib
import io
import tarfile
import tomllib

import pytest

from tests.models.conftest import APP, download, from_uri
from tests.support.space import Space
from tests.support.web import Web

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()
DOWNLOAD = "    mode: download\n"


@pytest.fixture
def model(web: Web) -> str:
    """The url of a model of one file."""
    web.files["/model.bin"] = DATA
    return f"{web.url}/model.bin"


def test_a_file_is_locked_and_laid_in_a_layer(workspace: Space, web: Web, model: str) -> None:
    from_uri(workspace, model)
    first = workspace.build()
    assert "wrote model.m.lock" in first.err
    lock = tomllib.loads(workspace.path("model.m.lock").read_text())
    assert lock["files"] == [{"path": "model.bin", "size": len(DATA), "sha256": SHA256}]
    assert lock["source"] == {"kind": "http", "url": model}
    seen = len(web.seen)
    web.close()  # the lock and the store are enough from now on
    assert workspace.build().digest == first.digest
    assert seen == 1, "the file was fetched more than once"


def test_layers_are_those_of_the_same_files_of_the_workspace(workspace: Space, web: Web, model: str) -> None:
    directory = from_uri(workspace, model)
    fetched = workspace.build().layer("model m: small files")
    workspace.edit("BUILD.yaml", f'uri: "{model}"', "path: model.bin")
    workspace.write("model.bin", DATA)
    assert workspace.build().layer("model m: small files")["digest"] == fetched["digest"], directory


def test_a_changed_file_is_found_by_the_lock_only(workspace: Space, web: Web, model: str) -> None:
    from_uri(workspace, model)
    before = workspace.build().digest
    web.files["/model.bin"] = DATA[::-1]
    assert workspace.build().digest == before, "a build takes what is locked"
    workspace.run("lock").said("model.bin sha256:", "wrote model.m.lock")
    assert workspace.build().digest != before


def test_other_bytes_than_locked_are_refused(workspace: Space, web: Web, model: str) -> None:
    from_uri(workspace, model)
    workspace.run("lock")
    web.files["/model.bin"] = DATA[::-1]
    told = workspace.run("build", APP, code=1, env={"BUILDRULES_CACHE_DIR": str(workspace.folder / "empty")})
    told.said("model.bin", SHA256, "other content")


def test_a_digest_is_held_against_the_file(workspace: Space, web: Web, model: str) -> None:
    from_uri(workspace, model, f', digest: "sha256:{"0" * 64}"')
    workspace.run("build", APP, code=1).said("other content", "0" * 64, SHA256, "BUILD.yaml:")


def test_locked_refuses_a_missing_lock(workspace: Space, web: Web, model: str) -> None:
    from_uri(workspace, model)
    workspace.run("build", APP, "--locked", code=1).said("model.m.lock", "it is missing", "buildrules lock")


def test_what_is_no_uri_is_refused_with_those_that_are(workspace: Space) -> None:
    from_uri(workspace, "ftp://example/model")
    workspace.run("build", APP, code=2).said("ftp://example/model", "s3://BUCKET/PREFIX", "models:/NAME", "BUILD.yaml:")


@pytest.mark.parametrize("secret", ["https://user:canary-1@host/m", "https://host/m?sig=canary-1"])
def test_a_uri_with_a_secret_is_refused_without_showing_it(workspace: Space, secret: str) -> None:
    from_uri(workspace, secret)
    told = workspace.run("build", APP, code=2).said("connection")
    assert "canary-1" not in told.out + told.err.replace(secret, "")  # the excerpt of the user's own file has it


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_an_archive_is_unpacked_at_build_and_at_start(workspace: Space, web: Web) -> None:
    web.files["/m.tar.gz"] = archive({"model/MLmodel": b"flavors: {}\n", "model/data/w.bin": DATA})
    directory = from_uri(workspace, f"{web.url}/m.tar.gz", ", unpack: true")
    copied = workspace.build()
    lock = tomllib.loads(workspace.path("model.m.lock").read_text())
    assert [file["path"] for file in lock["files"]] == ["model/MLmodel", "model/data/w.bin"]
    assert copied.layer("model m: small files")
    workspace.append("BUILD.yaml", DOWNLOAD)
    start = download(workspace)
    assert "fetched 2 files" in start.run()
    assert (directory / "model/data/w.bin").read_bytes() == DATA
    assert (directory / "model/MLmodel").read_bytes() == b"flavors: {}\n"
    assert sorted(path.name for path in directory.rglob("*") if path.is_file()) == ["MLmodel", "w.bin"]


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b"])
def test_an_archive_that_leads_out_is_refused(workspace: Space, web: Web, name: str) -> None:
    web.files["/m.tar.gz"] = archive({name: b"x"})
    from_uri(workspace, f"{web.url}/m.tar.gz", ", unpack: true")
    workspace.run("build", APP, code=1).said(name, "leads out")
