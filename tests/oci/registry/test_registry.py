"""The client against a real docker-registry, and skopeo on the other side."""

import json
import os
import pathlib
import threading
from collections.abc import Iterator

import pytest

from buildrules.errors import IntegrityError, RegistryError
from buildrules.oci.auth import Credentials
from buildrules.oci.descriptor import INDEX, MANIFEST
from buildrules.oci.image import Image
from buildrules.oci.push.report import MOUNTED, SENT, THERE
from buildrules.oci.push.shipment import PushBlob
from buildrules.oci.registry import Registry
from buildrules.oci.transport import AnswerError
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Gallery, Run, pulled, push, skopeo
from tests.oci.registry.servers import PASSWORD, USER, TokenServer, cutting_proxy, free_port, registry
from tests.support.handmade import sha256
from tests.support.relay import relay

MISSING = "sha256:" + "0" * 64


def push_blobs(gallery: Gallery, image: Image) -> list[PushBlob]:
    layers = [
        PushBlob(layer.digest, layer.size, lambda layer=layer: gallery.shelf.stream(layer)) for layer in image.layers
    ]
    return [*layers, PushBlob(image.config_digest, len(image.config), lambda: [image.config])]


def upload(registry: Registry, data: bytes, mount_from: str | None = None) -> str:
    return registry.upload(sha256(data), len(data), lambda: [data], mount_from=mount_from)


def test_reads_what_skopeo_pushed(published: str, gallery: Gallery) -> None:
    registry = Registry(*published.split("/"))
    registry.transport.request("GET", "/v2/").close()
    by_tag = registry.manifest("both")
    assert (by_tag.digest, by_tag.media_type) == (gallery.index.digest, INDEX)
    assert by_tag.data == gallery.index.data
    by_digest = registry.manifest(gallery.image.digest)
    assert (by_digest.data, by_digest.media_type) == (gallery.image.manifest, MANIFEST)
    assert registry.manifest("amd64").digest == gallery.image.digest
    assert registry.blob_size(gallery.big.digest) == gallery.big.size
    assert registry.blob_size(MISSING) is None
    assert pulled(registry, gallery.big.digest, gallery.big.size) == gallery.shelf.data[gallery.big.digest]


def test_skopeo_reads_what_is_pushed(hub: str, gallery: Gallery, tmp_path: pathlib.Path) -> None:
    registry = Registry(hub, "pushed/image")
    run = Run("", Blobs(str(tmp_path)))
    report = push(
        registry,
        push_blobs(gallery, gallery.image),
        gallery.image.manifest,
        MANIFEST,
        ["v1", "v2"],
        run=run,
    )
    assert report.moved == [f"{hub}/pushed/image:{tag}" for tag in ("v1", "v2")]
    sizes = {blob.digest: blob.size for blob in push_blobs(gallery, gallery.image)}
    assert {row.digest: row.size for row in report.of(SENT)} == sizes
    assert report.sent == sum(sizes.values()) == run.reports[-1][1] == run.reports[-1][2]
    for tag in ("v1", "v2"):
        arguments = ["--preserve-digests", "--src-tls-verify=false"]
        skopeo("copy", *arguments, f"docker://{hub}/pushed/image:{tag}", f"oci:{tmp_path}/out:{tag}")
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert {entry["digest"] for entry in index["manifests"]} == {gallery.image.digest}
    layer = tmp_path / "out" / "blobs" / "sha256" / gallery.big.digest.removeprefix("sha256:")
    assert layer.read_bytes() == gallery.shelf.data[gallery.big.digest]


def test_a_second_push_moves_nothing_and_another_repository_is_mounted_from(hub: str, gallery: Gallery) -> None:
    blobs, image = push_blobs(gallery, gallery.image), gallery.image
    push(Registry(hub, "first"), blobs, image.manifest, MANIFEST, ["v1"])
    gallery.shelf.asked.clear()
    with relay(hub) as between:
        again = push(Registry(between.host, "first"), blobs, image.manifest, MANIFEST, ["v1"])
        assert between.of("PUT") == between.of("POST") == again.moved == []
    assert sorted(row.digest for row in again.of(THERE)) == sorted(blob.digest for blob in blobs)
    beside = [blob._replace(sources=[f"{hub}/first"]) for blob in blobs]
    other = push(Registry(hub, "second"), beside, image.manifest, MANIFEST, ["v1"])
    assert sorted(row.digest for row in other.of(MOUNTED)) == sorted(blob.digest for blob in blobs)
    assert gallery.shelf.asked == []
    lost = [blob._replace(sources=[f"{hub}/no/such/repository", "elsewhere.example/first"]) for blob in blobs]
    nowhere = push(Registry(hub, "third"), lost, image.manifest, MANIFEST, ["v1"])
    assert len(nowhere.of(SENT)) == len(blobs)


def test_an_index_is_pushed_by_tag_after_its_images(hub: str, gallery: Gallery) -> None:
    registry = Registry(hub, "indexed")
    for image in gallery.images.values():
        push(registry, push_blobs(gallery, image), image.manifest, MANIFEST, [])
    assert registry.put_manifest(gallery.index.data, INDEX, "v1") == gallery.index.digest
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{hub}/indexed:v1")
    assert raw.encode() == gallery.index.data


def test_a_manifest_over_missing_blobs_is_refused_in_the_registrys_words(hub: str, gallery: Gallery) -> None:
    with pytest.raises(
        AnswerError, match=r"answered 400 to PUT /v2/empty/manifests/v1: MANIFEST_BLOB_UNKNOWN"
    ) as caught:
        Registry(hub, "empty").put_manifest(gallery.image.manifest, MANIFEST, "v1")
    assert (caught.value.status, caught.value.code) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_wrong_bytes_are_refused_and_leave_nothing(hub: str) -> None:
    registry = Registry(hub, "wrong")
    with pytest.raises(AnswerError, match="DIGEST_INVALID"):
        registry.upload(MISSING, 4, lambda: [b"data"])
    for body in (b"dat", b"data+"):
        with pytest.raises(IntegrityError, match="should have 4 bytes"):
            registry.upload(sha256(b"data"), 4, lambda body=body: [body])
    assert registry.blob_size(MISSING) is None
    assert registry.blob_size(sha256(b"data")) is None


def test_a_failing_layer_stops_the_push_before_the_manifest(hub: str, gallery: Gallery) -> None:
    registry = Registry(hub, "failing")

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise IntegrityError("the file was edited")

    blobs = [*push_blobs(gallery, gallery.image), PushBlob(sha256(b"gone"), 4, broken)]
    with pytest.raises(IntegrityError, match="edited"):
        push(registry, blobs, gallery.image.manifest, MANIFEST, ["v1"])
    with pytest.raises(AnswerError, match="404"):
        registry.manifest("v1")


def test_missing_things_are_404_with_their_code(hub: str, published: str) -> None:
    with pytest.raises(AnswerError, match="answered 404") as caught:
        Registry(hub, "base").manifest("no-such-tag")
    assert caught.value.code == "MANIFEST_UNKNOWN"
    with pytest.raises(AnswerError, match="answered 404"):
        pulled(Registry(hub, "base"), MISSING)


def test_a_download_resumes_where_the_connection_broke(published: str, gallery: Gallery, quick: None) -> None:
    host, repository = published.split("/")
    with cutting_proxy(host, down=[1 << 20, 1 << 20]) as proxy:
        registry = Registry(proxy, repository, sleep=lambda _: None)
        data = pulled(registry, gallery.big.digest, gallery.big.size)
    assert data == gallery.shelf.data[gallery.big.digest]


def test_a_download_that_never_gets_anywhere_ends(published: str, gallery: Gallery, quick: None) -> None:
    host, repository = published.split("/")
    with (
        cutting_proxy(host, down=[1] * 100) as proxy,
        pytest.raises(RegistryError, match=r"broke off .*\(after 3 tries\)|cannot be reached"),
    ):
        pulled(Registry(proxy, repository, sleep=lambda _: None), gallery.big.digest, gallery.big.size)


def test_an_upload_starts_over_when_the_connection_breaks(hub: str) -> None:
    data = os.urandom(3 << 20)
    opened = []

    def body() -> Iterator[bytes]:
        opened.append(1)
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]

    with cutting_proxy(hub, up=[1 << 20, 1 << 20]) as proxy:
        assert Registry(proxy, "cut", sleep=lambda _: None).upload(sha256(data), len(data), body) == "uploaded"
    assert len(opened) == 3
    assert pulled(Registry(hub, "cut"), sha256(data), len(data)) == data


def test_no_server_is_an_error_after_three_tries() -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError, match=r"registry 127\.0\.0\.1:\d+ cannot be reached") as caught:
        Registry(f"127.0.0.1:{free_port()}", "base", sleep=waits.append).transport.request("GET", "/v2/")
    assert "see that the address is right" in (caught.value.hint or "")
    assert len(waits) == 2
    assert 0.25 <= waits[0] <= 0.75
    assert 0.5 <= waits[1] <= 1.5


def test_basic_authentication(locked_hub: str, gallery: Gallery) -> None:
    registry = Registry(locked_hub, "secret", Credentials(USER, PASSWORD))
    registry.transport.request("GET", "/v2/").close()
    push(registry, push_blobs(gallery, gallery.image), gallery.image.manifest, MANIFEST, ["v1"])
    assert registry.manifest("v1").digest == gallery.image.digest
    for wrong in (Credentials(), Credentials(USER, "wrong-" + PASSWORD)):
        with pytest.raises(AnswerError, match="answered 401") as caught:
            Registry(locked_hub, "secret", wrong).manifest("v1")
        assert caught.value.hint == f"run 'docker login {locked_hub}'"
        assert PASSWORD not in str(caught.value)


def test_bearer_tokens_are_asked_for_once_per_scope(token_hub: str, tokens: TokenServer, gallery: Gallery) -> None:
    registry = Registry(token_hub, "team/image", Credentials(USER, PASSWORD))
    before = len(tokens.tokens)
    push(registry, push_blobs(gallery, gallery.image), gallery.image.manifest, MANIFEST, ["v1"])
    assert registry.manifest("v1").digest == gallery.image.digest
    assert len(tokens.tokens) - before == 2  # pull, and pull with push
    anonymous = Registry(token_hub, "team/image")
    assert anonymous.manifest("v1").digest == gallery.image.digest
    with pytest.raises(AnswerError, match=r"answered 401 to POST .*UNAUTHORIZED"):
        upload(anonymous, b"more")
    refreshed = Registry(token_hub, "team/image", Credentials(identity_token=tokens.refresh_token))
    assert upload(refreshed, b"more") == "uploaded"
    with pytest.raises(AnswerError, match="answered 401 to a token request"):
        Registry(token_hub, "team/image", Credentials(USER, "wrong")).manifest("v1")


def test_mounting_asks_for_both_repositories_and_does_without(token_hub: str, tokens: TokenServer) -> None:
    source = Registry(token_hub, "mount/source", Credentials(USER, PASSWORD))
    upload(source, b"shared bytes")
    target = Registry(token_hub, "mount/target", Credentials(USER, PASSWORD))
    assert upload(target, b"shared bytes", mount_from="mount/source") == "mounted"
    tokens.refuse_pull_of.add("mount/source")
    other = Registry(token_hub, "mount/other", Credentials(USER, PASSWORD))
    try:
        assert upload(other, b"shared bytes", mount_from="mount/source") == "uploaded"
    finally:
        tokens.refuse_pull_of.clear()


def test_an_expired_token_is_renewed(token_hub: str, tokens: TokenServer) -> None:
    registry = Registry(token_hub, "team/expiring", Credentials(USER, PASSWORD))
    tokens.lifetime = -120  # beyond the leeway the registry grants
    try:
        with pytest.raises(AnswerError, match="answered 401"):
            upload(registry, b"first")
    finally:
        tokens.lifetime = 300
    assert upload(registry, b"first") == "uploaded"


def test_a15_pushing_trusts_the_same_certificates(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry(tmp_path, tls=True) as host:
        waits: list[float] = []
        with pytest.raises(RegistryError, match="is not trusted: self-signed certificate"):
            Registry(host, "base", plain_http=False, sleep=waits.append).transport.request("GET", "/v2/")
        assert waits == []
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        client = Registry(host, "base", plain_http=False)
        client.transport.request("GET", "/v2/").close()
        assert upload(client, b"over TLS") == "uploaded"
        assert pulled(client, sha256(b"over TLS")) == b"over TLS"


def test_one_client_serves_many_threads(published: str, gallery: Gallery) -> None:
    registry = Registry(*published.split("/"))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(pulled(registry, gallery.big.digest, gallery.big.size)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [gallery.shelf.data[gallery.big.digest]] * 6
