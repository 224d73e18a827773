"""A registry as a cache: what is particular to it, with a real one, also while it collects its garbage."""

import base64
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import CredentialsError, UsageError
from buildrules.net.session import Session
from buildrules.oci.descriptor import CONFIG, LAYER_GZIP, LAYER_TAR, MANIFEST
from buildrules.oci.push.plan import make_plan
from buildrules.oci.push.shipment import PushBlob, PushManifest, Shipment
from buildrules.oci.registry import Registry
from buildrules.remote.backend import LARGEST_RECORD, Backend, Blob, RemoteError
from buildrules.remote.opening import open_backend
from buildrules.remote.registry import RECORD, TAG, mount_source
from buildrules.sha256 import digest_of
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Run, skopeo
from tests.oci.registry.servers import PASSWORD, USER, cutting_proxy, htpasswd_auth, registry
from tests.remote.places import blob_of

KEY, OTHER = "a" * 64, "b" * 64

needs_registry = pytest.mark.skipif(
    not shutil.which("docker-registry") and not os.environ.get("CI"), reason="docker-registry is not installed"
)


@pytest.fixture(autouse=True)
def _no_docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[str]:
    with registry(folder) as host:
        yield host


@pytest.fixture
def place(hub: str) -> Backend:
    return open_backend(f"oci://{hub}/cache/{os.urandom(6).hex()}", Session())


def keep(place: Backend, data: bytes) -> Blob:
    place.content.write(blob_of(data), lambda: [data])
    return blob_of(data)


def read(place: Backend, blob: Blob, offset: int = 0) -> bytes:
    return b"".join(place.content.read(blob, offset))


def manifest_of(place: Backend, key: str) -> dict[str, Any]:
    host, _, name = place.url.removeprefix("oci://").partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{TAG}{key}", headers={"Accept": MANIFEST})
    found: dict[str, Any] = json.load(urllib.request.urlopen(request))
    return found


def collect(folder: Path) -> None:
    """The registry's own collection of garbage, while it serves."""
    command = ["docker-registry", "garbage-collect", "--delete-untagged", str(folder / "registry.yml")]
    subprocess.run(command, check=True, capture_output=True)


def remove_blob(place: Backend, blob: Blob) -> None:
    host, _, name = place.url.removeprefix("oci://").partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{name}/blobs/{blob.digest}", method="DELETE")
    urllib.request.urlopen(request).close()


@needs_registry
class TestRegistry:
    def test_content_comes_back_also_from_the_middle(self, place: Backend) -> None:
        data = os.urandom(3 << 20)
        blob = keep(place, data)
        assert place.content.holds([blob]) == {blob.digest}
        assert place.content.holds([blob_of(b"no")]) == set()
        for offset in (0, 1, 2 << 20, 3 << 20):
            assert read(place, blob, offset) == data[offset:]
        with pytest.raises(FileNotFoundError):
            read(place, blob_of(b"no"))

    def test_a_read_that_breaks_off_can_go_on(self, hub: str, place: Backend) -> None:
        data = os.urandom(4 << 20)
        blob = keep(place, data)
        with cutting_proxy(hub, down=[3 << 20]) as through:
            torn = open_backend(place.url.replace(hub, through), Session())
            got = b""
            with pytest.raises(RemoteError) as caught:
                for chunk in torn.content.read(blob):
                    got += chunk
            assert caught.value.retry
            assert 0 < len(got) < len(data)
            assert got + read(torn, blob, len(got)) == data

    def test_a_record_is_a_plain_image_that_names_its_content(self, place: Backend) -> None:
        one, two, three = (keep(place, data) for data in (b"one", b"two", b"three"))
        layers = [{"digest": one.digest, "media_type": LAYER_GZIP}, {"digest": two.digest, "media_type": "text/evil"}]
        record = json.dumps({"body": {"outputs": {"layers": layers}}}).encode()
        place.records.put(KEY, record, [one, two, three, one])
        assert place.records.get(KEY) == record
        manifest = manifest_of(place, KEY)
        assert manifest["config"]["mediaType"] == CONFIG
        kinds = [(layer["digest"], layer["mediaType"]) for layer in manifest["layers"]]
        assert kinds == [(one.digest, LAYER_GZIP), (two.digest, LAYER_TAR), (three.digest, LAYER_TAR)]
        host_and_name = place.url.removeprefix("oci://")
        skopeo("inspect", "--tls-verify=false", f"docker://{host_and_name}:{TAG}{KEY}")

    def test_the_first_record_stays_unless_the_newest_is_wanted(self, place: Backend) -> None:
        assert place.records.get(KEY) is None
        place.records.put(KEY, b"first", [])
        place.records.put(KEY, b"second", [])
        assert place.records.get(KEY) == b"first"
        place.records.put(KEY, b"third", [], replace=True)
        assert place.records.get(KEY) == b"third"

    def test_a_record_that_names_what_is_not_there_is_refused(self, place: Backend) -> None:
        with pytest.raises(RemoteError) as caught:
            place.records.put(KEY, b"record", [blob_of(b"nowhere")])
        assert not caught.value.retry
        assert not caught.value.refused
        assert place.records.get(KEY) is None

    def test_garbage_is_collected_under_a_live_record(self, folder: Path, place: Backend) -> None:
        kept, orphan = keep(place, os.urandom(100)), keep(place, os.urandom(100))
        place.records.put(KEY, b"record", [kept])
        collect(folder)
        assert place.records.get(KEY) == b"record"
        assert read(place, kept)
        assert place.content.holds([orphan]) == set()
        with pytest.raises(FileNotFoundError):
            read(place, orphan)

    def test_a_configuration_that_was_collected_is_sent_again(self, folder: Path, place: Backend) -> None:
        place.records.put(KEY, b"first", [])
        place.records.put(KEY, b"second", [keep(place, os.urandom(10))], replace=True)
        assert place.shelf is not None
        for entry in list(place.shelf.entries()):
            if entry.kind == "record":
                place.shelf.remove(entry)
        collect(folder)
        place.records.put(KEY, b"third", [keep(place, os.urandom(10))])
        assert place.records.get(KEY) == b"third"

    def test_a_record_whose_content_is_lost_gives_way(self, place: Backend) -> None:
        lost = keep(place, os.urandom(10))
        place.records.put(KEY, b"lost", [lost])
        remove_blob(place, lost)
        assert place.content.holds([lost]) == set()
        place.records.put(KEY, b"new", [keep(place, os.urandom(10))])
        assert place.records.get(KEY) == b"new"

    def test_what_else_has_such_a_tag_is_no_record(self, hub: str, place: Backend) -> None:
        place.records.put(OTHER, b"record", [])
        config = manifest_of(place, OTHER)["config"]
        client = Registry(hub, place.url.split("/", 3)[3])
        for number, annotations in enumerate([{}, {RECORD: "!"}, None]):
            key = str(number) * 64
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
            client.put_manifest(json.dumps({**manifest, "annotations": annotations}).encode(), MANIFEST, TAG + key)
            assert place.records.get(key) is None
            place.records.put(key, b"record", [])
            assert place.records.get(key) == b"record"

    def test_content_that_images_may_be_made_of_is_not_listed(self, place: Backend) -> None:
        assert place.shelf is not None
        blob, config = keep(place, b"a layer"), keep(place, b"{}")
        place.records.put("2" * 64, b"record", [blob])
        assert {entry.kind for entry in place.shelf.entries()} == {"record", "content"}
        image = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": LAYER_TAR, "digest": blob.digest, "size": blob.size}],
        }
        host, _, name = place.url.removeprefix("oci://").partition("/")
        request = urllib.request.Request(
            f"http://{host}/v2/{name}/manifests/1.0",
            json.dumps(image).encode(),
            {"Content-Type": MANIFEST},
            method="PUT",
        )
        urllib.request.urlopen(request).close()
        assert {entry.kind for entry in place.shelf.entries()} == {"record"}

    def test_the_shelf_lists_records_with_their_times(self, place: Backend) -> None:
        assert place.shelf is not None
        for number in range(3):
            place.records.put(str(number) * 64, b"record", [])
        found = {entry.name: entry for entry in place.shelf.entries()}
        assert sorted(found) == [str(number) * 64 for number in range(3)]
        assert all(entry.size == 6 and entry.written > 1e9 for entry in found.values())
        place.shelf.remove(found["1" * 64])
        place.shelf.remove(found["1" * 64])
        assert place.records.get("1" * 64) is None
        assert place.records.get("2" * 64) == b"record"

    def test_a_wrong_record_changes_nothing_about_the_others(self, hub: str, place: Backend) -> None:
        blob = keep(place, os.urandom(1000))
        place.records.put(KEY, b"record", [blob])
        api = Registry(hub, place.url.removeprefix("oci://").partition("/")[2])
        document = manifest_of(place, KEY)
        layer = document["layers"][0]
        planted = [
            {"layers": [{**layer, "size": 999}]},
            {"layers": [layer], "annotations": {RECORD: base64.b64encode(b"x" * (LARGEST_RECORD + 1)).decode()}},
        ]
        for number, change in enumerate(planted):
            api.put_manifest(json.dumps({**document, **change}).encode(), MANIFEST, TAG + str(number) * 64)
        assert place.shelf is not None
        found = {entry.name: entry.size for entry in place.shelf.entries()}
        assert found == {KEY: 6, "0" * 64: 6, "1" * 64: LARGEST_RECORD + 1, blob.digest: 1000}
        with pytest.raises(RemoteError):
            place.records.get("1" * 64)
        place.records.put("1" * 64, b"record", [blob])
        assert place.records.get("1" * 64) == b"record", "it is no record that stays"

    def test_a_layer_is_mounted_from_the_cache_where_it_is_pushed(
        self, hub: str, place: Backend, tmp_path: Path
    ) -> None:
        layer = keep(place, os.urandom(100_000))
        source = mount_source(place.url)
        assert source == place.url.removeprefix("oci://")

        def unread() -> list[bytes]:
            raise AssertionError("a layer that is there was read")

        config = b"{}"
        entry = {"mediaType": LAYER_TAR, "digest": layer.digest, "size": layer.size}
        described = {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [entry]}
        data = json.dumps(document).encode()
        manifest = PushManifest(digest_of(data), MANIFEST, data)
        blobs = [
            PushBlob(layer.digest, layer.size, unread, sources=[source]),
            PushBlob(digest_of(config), len(config), lambda: [config], "config"),
        ]
        run = Run(str(tmp_path), Blobs(str(tmp_path / "store")))
        plan = make_plan([Shipment(Registry(hub, "models/one"), [manifest], blobs, ["latest"])], run)
        assert [mount.source for mount in plan.mounts] == [source.partition("/")[2]]
        assert [send.blob.kind for send in plan.sends] == ["config"]

    def test_logins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with registry(tmp_path, htpasswd_auth(tmp_path)) as host:
            with pytest.raises(RemoteError) as caught:
                open_backend(f"oci://{host}/cache", Session()).records.get(KEY)
            assert caught.value.refused
            monkeypatch.setenv("CACHE_PASSWORD", PASSWORD)
            session = Session()
            parts = {"username": USER, "password": {"env": "CACHE_PASSWORD"}}
            row = {"kind": "username_password", "parts": parts}
            session.connect([{"name": "cache", "type": "oci", "target": f"http://{host}", **row}], ".")
            for connection in (None, "cache"):
                place = open_backend(f"oci://{host}/cache", session, connection)
                assert PASSWORD not in place.url
                place.records.put(KEY, b"record", [])
                assert place.records.get(KEY) == b"record"


@pytest.mark.parametrize("url", ["oci://", "oci://host", "oci://host/UPPER", "oci://u:p@host/x", "oci://host/x?y=1"])
def test_addresses_that_are_no_repository(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(url, Session())
    assert "u:p" not in caught.value.message


@pytest.mark.parametrize("url", ["https://cache.example/main", "oci://host/UPPER", "oci://[host/x"])
def test_other_caches_are_nothing_to_mount_from(url: str) -> None:
    assert mount_source(url) is None


def test_a_secret_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    session = Session()
    parts = {"username": USER, "password": {"env": "NO_SUCH_PASSWORD"}}
    row = {"name": "cache", "type": "oci", "target": "cache.example", "kind": "username_password", "parts": parts}
    session.connect([row], ".")
    with pytest.raises(CredentialsError):
        open_backend("oci://cache.example/cache", session)
