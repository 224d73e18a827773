"""The registry of the cache: reached through nginx, read by all, written by writers, collected by its keeper."""

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import RegistryError
from buildrules.oci.auth import Credentials
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import MANIFEST
from buildrules.oci.image import Image, build_image
from buildrules.oci.layout import write_layout
from buildrules.oci.registry import Registry
from tests.oci.registry.servers import free_port
from tests.support.cache_server import LOGIN, PASSWORD, WRITER, CacheServer, cache_server
from tests.support.handmade import Shelf, sha256

pytestmark = pytest.mark.network  # nginx and docker-registry are installed

FILE = Path(__file__).parents[2] / "cache" / "registry" / "registry.yml"
CI = Credentials(WRITER, PASSWORD)


@dataclass
class Hall:
    """nginx with the registry behind it, whose settings are in `file`."""

    nginx: CacheServer
    file: Path


@contextlib.contextmanager
def docker_registry(file: Path, host: str) -> Iterator[None]:
    """A registry with the settings in `file`."""
    with file.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{host}/v2/").close()
                break
            assert process.poll() is None, file.with_suffix(".log").read_text()
            time.sleep(0.025)
        yield
    finally:
        process.terminate()
        assert process.wait() == 0  # it ends in order


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with opened(tmp_path_factory.mktemp("hall")) as found:
        yield found


@contextlib.contextmanager
def opened(folder: Path, **more: Any) -> Iterator[Hall]:
    """A new one."""
    host = f"127.0.0.1:{free_port()}"
    file = folder / "registry.yml"
    settings = FILE.read_text()
    for old, new in (("/home/nonroot/registry", f"{folder}/registry"), ("addr: :5000", f"addr: {host}")):
        assert old in settings
        settings = settings.replace(old, new)
    file.write_text(settings)
    with docker_registry(file, host), cache_server(folder / "nginx", registry=host, **more) as nginx:
        yield Hall(nginx, file)


def image() -> tuple[Image, Shelf]:
    shelf = Shelf()
    return build_image([shelf.layer({"a": b"layer" * 100_000}, "one")], ImageConfig(), "linux/amd64"), shelf


def skopeo(*arguments: str) -> None:
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", *arguments], check=True)


def push(registry: Registry, made: Image, shelf: Shelf, tag: str) -> None:
    for layer in made.layers:
        registry.upload(layer.digest, layer.size, partial(shelf.stream, layer))
    registry.upload(made.config_digest, len(made.config), lambda: [made.config])
    registry.put_manifest(made.manifest, MANIFEST, tag)


def test_writers_push_and_all_pull(hall: Hall, tmp_path: Path) -> None:
    made, shelf = image()
    push(Registry(hall.nginx.host, "layers", CI), made, shelf, "v1")
    reader = Registry(hall.nginx.host, "layers")
    assert reader.manifest("v1").data == made.manifest
    assert reader.blob_size(made.layers[0].digest) == made.layers[0].size
    writer = Registry(hall.nginx.host, "other", CI)
    assert writer.upload(made.layers[0].digest, made.layers[0].size, list, mount_from="layers") == "mounted"
    skopeo(
        "--src-no-creds", "--src-tls-verify=false", f"docker://{hall.nginx.host}/layers:v1", f"oci:{tmp_path}/out:v1"
    )


def test_where_nobody_reads_without_a_password_other_clients_push_as_well(tmp_path: Path) -> None:
    made, shelf = image()
    write_layout(str(tmp_path / "layout"), made, shelf.stream, names=["app:v1"])
    with opened(tmp_path, readers=False) as hall:
        where = f"docker://{hall.nginx.host}/layers:v1"
        skopeo(f"--dest-creds={WRITER}:{PASSWORD}", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:app:v1", where)
        assert Registry(hall.nginx.host, "layers", CI).manifest("v1").digest == made.digest
        with pytest.raises(RegistryError, match="401"):
            Registry(hall.nginx.host, "layers").manifest("v1")
        assert hall.nginx.ask("GET", "/healthz", headers={})[0] == 200


@pytest.mark.parametrize("login", [None, Credentials(WRITER, "guessed")])
def test_others_push_nothing(hall: Hall, login: Credentials | None) -> None:
    made, shelf = image()
    with pytest.raises(RegistryError, match="401"):
        push(Registry(hall.nginx.host, "planted", login or Credentials()), made, shelf, "v1")
    with pytest.raises(RegistryError, match="401"):
        Registry(hall.nginx.host, "planted", login or Credentials()).put_manifest(made.manifest, MANIFEST, "v1")
    assert hall.nginx.ask("GET", "/v2/planted/tags/list")[0] == 404


def test_nobody_deletes_through_nginx(hall: Hall) -> None:
    made, shelf = image()
    push(Registry(hall.nginx.host, "kept", CI), made, shelf, "v1")
    for what in (f"manifests/{made.digest}", f"blobs/{made.layers[0].digest}"):
        assert hall.nginx.ask("DELETE", f"/v2/kept/{what}", headers=LOGIN)[0] == 405
    assert Registry(hall.nginx.host, "kept").manifest("v1").digest == made.digest


def test_passwords_do_not_reach_the_registry(hall: Hall) -> None:
    assert hall.nginx.ask("GET", "/v2/", headers=LOGIN)[0] == 200
    assert "Basic" not in hall.file.with_suffix(".log").read_text()


def test_what_no_tag_needs_is_collected(hall: Hall) -> None:
    made, shelf = image()
    writer = Registry(hall.nginx.host, "collected", CI)
    push(writer, made, shelf, "v1")
    lost = b"in no manifest"
    writer.upload(sha256(lost), len(lost), lambda: [lost])
    command = ["docker-registry", "garbage-collect", "--delete-untagged", str(hall.file)]
    subprocess.run(command, check=True, capture_output=True)
    assert writer.blob_size(sha256(lost)) is None
    assert writer.blob_size(made.layers[0].digest) == made.layers[0].size
    assert writer.upload(sha256(lost), len(lost), lambda: [lost]) == "uploaded"
    assert writer.blob_size(sha256(lost)) == len(lost)
