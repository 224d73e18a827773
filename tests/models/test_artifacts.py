"""Models of a real docker-registry: artifacts as ORAS pushes them, packed folders, images with /models."""

import hashlib
import io
import json
import os
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.auth import Credentials
from buildrules.oci.registry import Registry
from tests.models.conftest import APP, download, from_uri
from tests.oci.registry.servers import PASSWORD, USER, TokenServer, htpasswd_auth, registry, web
from tests.support.space import Space

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
WEIGHTS = os.urandom(300_000)
DOWNLOAD = "    mode: download\n"


class Repository:
    """A repository models are pushed to, as a user would with ORAS."""

    def __init__(self, host: str, name: str = "team/model", credentials: Credentials | None = None) -> None:
        self.host, self.name = host, name
        self.client = Registry(host, name, credentials or Credentials())

    def uri(self, tag: str) -> str:
        return f"oci://{self.host}/{self.name}:{tag}"

    def blob(self, data: bytes, kind: str = "application/octet-stream", **notes: str) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.client.upload(digest, len(data), lambda: [data])
        row: dict[str, Any] = {"mediaType": kind, "digest": digest, "size": len(data)}
        return row | ({"annotations": notes} if notes else {})

    def push(self, tag: str, layers: list[dict[str, Any]], config: str = "application/vnd.oci.empty.v1+json") -> str:
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.acme.model",
            "config": self.blob(b"{}", config),
            "layers": layers,
        }
        return self.client.put_manifest(json.dumps(manifest).encode(), MANIFEST, tag)

    def push_files(self, tag: str, files: Mapping[str, bytes]) -> str:
        return self.push(tag, [self.blob(data, **{TITLE: path}) for path, data in files.items()])


def packed(members: Mapping[str, bytes | None], mode: str = "w:gz") -> bytes:
    """An archive; a member without content is a link to a place outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data or b""))
    return buffer.getvalue()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with registry(tmp_path / "registry") as address:
        yield address


def lock_of(space: Space) -> dict[str, Any]:
    return tomllib.loads(space.path("model.m.lock").read_text())


def test_an_artifact_is_locked_to_the_digest_of_its_manifest(workspace: Space, host: str) -> None:
    repository = Repository(host)
    digest = repository.push_files("v1", {"MLmodel": b"flavors: {}\n", "data/weights.bin": WEIGHTS})
    from_uri(workspace, repository.uri("v1"))
    report = workspace.build()
    lock = lock_of(workspace)
    assert lock["source"] == {"kind": "oci", "registry": host, "repository": "team/model", "digest": digest}
    assert [file["path"] for file in lock["files"]] == ["MLmodel", "data/weights.bin"]
    assert report.targets[APP]["digest"]


def test_a_moved_tag_is_taken_by_lock_only_and_shown(workspace: Space, host: str) -> None:
    repository = Repository(host)
    first = repository.push_files("v1", {"weights.bin": WEIGHTS, "old.txt": b"1"})
    from_uri(workspace, repository.uri("v1"))
    before = workspace.build().digest
    second = repository.push_files("v1", {"weights.bin": WEIGHTS[::-1], "new.txt": b"2"})
    assert workspace.build().digest == before
    assert workspace.clean_build().digest == before, "an empty store takes what is locked as well"
    told = workspace.run("lock").said(f"digest {first} -> {second}", "+ new.txt", "- old.txt", "weights.bin sha256:")
    assert "wrote model.m.lock" in told.err
    assert workspace.build().digest != before


def test_a_digest_needs_no_tag(workspace: Space, host: str) -> None:
    repository = Repository(host)
    digest = repository.push_files("v1", {"weights.bin": WEIGHTS})
    from_uri(workspace, f"oci://{host}/{repository.name}@{digest}")
    workspace.build()
    assert lock_of(workspace)["source"]["digest"] == digest


def test_a_packed_folder_is_unpacked(workspace: Space, host: str) -> None:
    repository = Repository(host)
    data = packed({"model/MLmodel": b"flavors: {}\n", "model/w.bin": WEIGHTS})
    notes = {TITLE: "model", "io.deis.oras.content.unpack": "true"}
    repository.push("v1", [repository.blob(data, "application/vnd.oci.image.layer.v1.tar+gzip", **notes)])
    directory = from_uri(workspace, repository.uri("v1"))
    workspace.build()
    assert [file["path"] for file in lock_of(workspace)["files"]] == ["model/MLmodel", "model/w.bin"]
    workspace.append("BUILD.yaml", DOWNLOAD)
    download(workspace).run()
    assert (directory / "model/w.bin").read_bytes() == WEIGHTS


def test_a_file_of_the_type_that_oras_gives_by_default_is_a_file(workspace: Space, host: str) -> None:
    repository = Repository(host)
    kind = "application/vnd.oci.image.layer.v1.tar"
    repository.push("v1", [repository.blob(WEIGHTS, kind, **{TITLE: "weights.bin"})])
    directory = from_uri(workspace, repository.uri("v1"))
    workspace.build()
    assert [file["path"] for file in lock_of(workspace)["files"]] == ["weights.bin"]
    workspace.append("BUILD.yaml", DOWNLOAD)
    download(workspace).run()
    assert (directory / "weights.bin").read_bytes() == WEIGHTS


def test_an_image_gives_what_it_has_below_models(workspace: Space, host: str) -> None:
    repository = Repository(host)
    layer = "application/vnd.oci.image.layer.v1.tar"
    layers = [
        repository.blob(packed({"bin/sh": None, "models/a.bin": b"old", "models/gone/x": b"x"}, "w"), layer),
        repository.blob(packed({"models/a.bin": WEIGHTS, "models/.wh.gone": b""}), layer + "+gzip"),
    ]
    repository.push("v1", layers, "application/vnd.oci.image.config.v1+json")
    directory = from_uri(workspace, repository.uri("v1"))
    workspace.build()
    (file,) = lock_of(workspace)["files"]
    assert (file["path"], file["sha256"]) == ("a.bin", hashlib.sha256(WEIGHTS).hexdigest())
    workspace.append("BUILD.yaml", DOWNLOAD)
    download(workspace).run()
    assert (directory / "a.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("title", ["../up", "/abs", "a//b", "x/../../y"])
def test_hostile_titles_are_refused(workspace: Space, host: str, title: str) -> None:
    repository = Repository(host)
    repository.push_files("v1", {title: b"x"})
    from_uri(workspace, repository.uri("v1"))
    workspace.run("build", APP, code=2).said("cannot be laid in an image", "BUILD.yaml:")


def test_links_in_packed_layers_are_refused(workspace: Space, host: str) -> None:
    repository = Repository(host)
    data = packed({"model/passwd": None})
    repository.push("v1", [repository.blob(data, "application/vnd.oci.image.layer.v1.tar+gzip")])
    from_uri(workspace, repository.uri("v1"))
    workspace.run("build", APP, code=1).said("model/passwd", "not a plain file", "--dereference")


def test_a_tag_that_is_not_there_is_named(workspace: Space, host: str) -> None:
    Repository(host).push_files("v1", {"a": b"1"})
    from_uri(workspace, f"oci://{host}/team/model:v2")
    workspace.run("build", APP, code=4).said("team/model/manifests/v2", "404", "BUILD.yaml:")


CONNECTION = f"""\
  connections:
    store: {{type: container_registry, target: HOST, credentials:
      {{type: username_password, username: {USER}, password: {{env: STORE_PASSWORD}}}}}}
"""


@pytest.mark.parametrize("way", ["basic", "bearer"])
def test_a_registry_that_wants_a_login(workspace: Space, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "auth"
    tokens = TokenServer(folder / "tokens")
    with web(tokens.answer) as server:
        auth = htpasswd_auth(folder) if way == "basic" else tokens.registry_auth(server.host)
        with registry(folder, auth) as host:
            repository = Repository(host, credentials=Credentials(USER, PASSWORD))
            repository.push_files("v1", {"weights.bin": WEIGHTS})
            workspace.edit("BUILD.yaml", "  platforms:", f"{CONNECTION.replace('HOST', host)}  platforms:")
            directory = from_uri(workspace, repository.uri("v1"), package=DOWNLOAD)
            report = workspace.build(env={"STORE_PASSWORD": PASSWORD})
            start = download(workspace, report)
            start.run(env={"STORE_PASSWORD": PASSWORD})
            assert (directory / "weights.bin").read_bytes() == WEIGHTS
            assert PASSWORD not in start.text + workspace.path("model.m.lock").read_text()
            (directory / "weights.bin").unlink()
            told = start.run(code=1, env={"STORE_PASSWORD": "expired-one"})
            assert "what STORE_PASSWORD holds is refused" in told and "expired-one" not in told
