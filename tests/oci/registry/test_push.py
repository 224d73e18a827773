"""Pushes of many images at once, through a relay that counts and gets in the way."""

import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from buildrules.errors import IntegrityError, RegistryError
from buildrules.net import client
from buildrules.net.session import Session
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import Layer
from buildrules.oci.image import Image, annotated, build_image, build_index
from buildrules.oci.push.plan import beside, make_plan
from buildrules.oci.push.pushing import push
from buildrules.oci.push.report import MOUNTED, SENT, SHARED, THERE, PushReport
from buildrules.oci.push.shipment import Shipment, shipment
from buildrules.oci.registries import Registries
from buildrules.oci.registry import Registry
from buildrules.oci.transport import AnswerError
from buildrules.store.blobs import Blobs
from tests.oci.registry.conftest import Gallery, Run
from tests.support.handmade import Shelf
from tests.support.relay import Asked, Relay, Reset, relay, sharing_by_manifest, without_mounts


class Fleet:
    """Images that share `shared` layers; each has one of its own, too."""

    def __init__(self, count: int, shared: int, size: int = 100_000) -> None:
        self.shelf = Shelf()
        self.shared = [self.layer(f"shared-{number}", size) for number in range(shared)]
        self.images = [self.image(f"own-{number}") for number in range(count)]

    def layer(self, name: str, size: int = 20_000) -> Layer:
        return self.shelf.layer({f"srv/{name}": name.encode() * (size // len(name))}, name)

    def image(self, name: str) -> Image:
        return build_image([*self.shared, self.layer(name)], ImageConfig(environment={"NAME": name}), "linux/amd64")

    def shipments(self, host: str, prefix: str, tags: Sequence[str] = ("1",)) -> list[Shipment]:
        return [
            shipment(Registry(host, f"{prefix}/{number}", sleep=lambda _: None), image, self.shelf.stream, tags)
            for number, image in enumerate(self.images)
        ]


@pytest.fixture
def prefix(tmp_path: pathlib.Path) -> str:
    """A folder of repositories that this test has for itself."""
    return "".join(letter if letter.isalnum() else "-" for letter in tmp_path.name.lower()).strip("-")


@pytest.fixture
def between(hub: str) -> Iterator[Relay]:
    with relay(hub) as running:
        yield running


def bring(shipments: Sequence[Shipment], told: Callable[[str], None] = lambda _: None) -> PushReport:
    context = Run("", Blobs(""))
    return push(make_plan(shipments, context), context, told)


def digest_at(host: str, repository: str, tag: str = "1") -> str | None:
    return Registry(host, repository).manifest_digest(tag)


def whole(host: str, item: Shipment) -> None:
    """Fail unless the repository has everything."""
    registry = Registry(host, item.registry.repository)
    assert registry.manifest(item.root.digest).data == item.root.data
    for blob in item.blobs:
        assert registry.blob_size(blob.digest) == blob.size


def test_a_shared_layer_is_sent_once_and_mounted_elsewhere(hub: str, between: Relay, prefix: str) -> None:
    fleet = Fleet(12, 3)
    shipments = fleet.shipments(between.host, prefix)
    report = bring(shipments)
    assert set(between.sent().values()) == {1}
    assert len(between.sent()) == 3 + 12 * 2
    assert len(report.of(MOUNTED)) == 11 * 3
    assert report.of(SHARED) == report.of(THERE) == []
    for item in shipments:
        whole(hub, item)
        assert digest_at(hub, item.registry.repository) == item.root.digest


def test_without_mounts_a_manifest_makes_layers_common(hub: str, between: Relay, prefix: str) -> None:
    between.interfere = sharing_by_manifest(between)
    fleet, told = Fleet(12, 3), list[str]()
    shipments = fleet.shipments(between.host, prefix)
    report = bring(shipments, told.append)
    assert set(between.sent().values()) == {1}
    assert len(report.of(SHARED)) == 11 * 3
    assert (report.resent, told) == (0, [])
    for item in shipments:
        whole(hub, item)


def test_without_mounts_and_sharing_it_is_said_and_sent(hub: str, between: Relay, prefix: str) -> None:
    between.interfere = without_mounts
    fleet, told = Fleet(5, 2), list[str]()
    shipments = fleet.shipments(between.host, prefix)
    report = bring(shipments, told.append)
    assert sorted(set(between.sent().values())) == [1, 5]
    assert report.resent == 4 * sum(layer.size for layer in fleet.shared)
    (said,) = told
    assert said.startswith(f"registry {between.host} mounts nothing from one repository in another")
    assert len(between.of("POST", "mount=")) <= 3 + 8  # it is not asked again and again
    for item in shipments:
        whole(hub, item)


def test_all_there_is_two_requests(between: Relay, prefix: str) -> None:
    fleet = Fleet(1, 69, size=2000)
    bring(fleet.shipments(between.host, prefix))
    between.asked.clear()
    report = bring(fleet.shipments(between.host, prefix))
    assert [one.method for one in between.asked] == ["GET"]
    assert len(report.of(THERE)) == 71
    between.asked.clear()
    bring(fleet.shipments(between.host, prefix, tags=("1", "2")))
    assert [one.method for one in between.asked] == ["GET", "HEAD", "PUT"]


def test_an_edit_takes_six_requests(hub: str, between: Relay, prefix: str) -> None:
    fleet = Fleet(1, 20)
    bring(fleet.shipments(between.host, prefix))
    fleet.images = [fleet.image("edited")]
    between.asked.clear()
    (item,) = fleet.shipments(between.host, prefix)
    report = bring([item])
    assert sorted(one.method for one in between.asked) == ["GET", "POST", "POST", "PUT", "PUT", "PUT"]
    assert sum(one.size for one in between.asked) < 40_000
    assert report.sent_by_kind.keys() == {"layers", "config"}
    whole(hub, item)


def test_a_base_is_mounted_from_its_own_repository(between: Relay, prefix: str) -> None:
    fleet = Fleet(2, 2)
    base = fleet.shipments(between.host, f"{prefix}/base")[:1]
    bring(base)
    between.asked.clear()
    shared = {layer.digest for layer in fleet.shared}

    def sources(digest: str) -> list[str]:
        return [f"{between.host}/{prefix}/base/0"] if digest in shared else []

    registry = Registry(between.host, f"{prefix}/app")
    report = bring([shipment(registry, fleet.images[1], fleet.shelf.stream, ["1"], sources=sources)])
    assert {row.digest for row in report.of(MOUNTED)} == shared
    assert not shared & between.sent().keys()


def test_an_index_of_platforms(hub: str, between: Relay, gallery: Gallery, prefix: str) -> None:
    registry = Registry(between.host, f"{prefix}/both")
    item = shipment(registry, gallery.index, gallery.shelf.stream, ["1", "2"])
    report = bring([item])
    assert len(between.of("PUT", "/manifests/")) == 4  # two images, and the index twice
    assert len(report.moved) == 2
    whole(hub, item)
    small = gallery.shelf.layer({"etc/edited": b"edited"}, "small")
    images = [build_image([gallery.big, small], ImageConfig(), "linux/arm64"), gallery.images["linux/amd64"]]
    index = build_index([(name, one.descriptor()) for name, one in zip(["a/b", "c/d"], images, strict=True)], images)
    between.asked.clear()
    edited = shipment(registry, index, gallery.shelf.stream, ["1"])
    assert {row.digest for row in bring([edited]).of(SENT)} == {small.digest, images[0].config_digest}
    whole(hub, edited)


def test_of_an_image_that_an_index_had_the_tag_for_nothing_is_sent(hub: str, between: Relay, prefix: str) -> None:
    """An image was pushed with annotations, and is pushed without them: as it is, and edited."""
    fleet, registry = Fleet(1, 2, size=2000), Registry(between.host, f"{prefix}/noted")
    noted = annotated(fleet.images[0], {"org.example.day": "1"})
    bring([shipment(registry, noted, fleet.shelf.stream, ["1"])])
    same = shipment(registry, fleet.images[0], fleet.shelf.stream, ["1"])
    assert bring([same]).of(SENT) == []
    assert digest_at(hub, f"{prefix}/noted") == same.root.digest
    bring([shipment(registry, noted, fleet.shelf.stream, ["1"])])
    image = fleet.image("edited")
    edited = shipment(registry, image, fleet.shelf.stream, ["1"])
    assert {row.digest for row in bring([edited]).of(SENT)} == {image.layers[-1].digest, image.config_digest}
    whole(hub, edited)


def test_what_the_registry_lost_is_sent_again(hub: str, between: Relay, prefix: str) -> None:
    """A tag whose image has lost a layer: that is found out when the new image is refused."""
    fleet = Fleet(1, 3)
    (item,) = fleet.shipments(between.host, prefix)
    bring([item])
    lost = fleet.shared[1].digest
    status = between.ask("DELETE", f"/v2/{item.registry.repository}/blobs/{lost}")
    assert status == 202
    fleet.images = [fleet.image("edited")]
    (edited,) = fleet.shipments(between.host, prefix)
    report = bring([edited])
    assert lost in {row.digest for row in report.of(SENT)}
    whole(hub, edited)


def test_tags_move_all_or_none(hub: str, between: Relay, prefix: str) -> None:
    fleet = Fleet(1, 1)
    (old,) = fleet.shipments(between.host, prefix, tags=["a", "b"])
    bring([old])
    fleet.images = [fleet.image("edited")]
    (new,) = fleet.shipments(between.host, prefix, tags=["a", "b"])

    def immutable(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        if asked.method == "PUT" and asked.path.endswith("/manifests/b"):
            return 409, {}, b'{"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]}'
        return None

    between.interfere = immutable
    with pytest.raises(AnswerError, match="the tag is immutable"):
        bring([new])
    assert [digest_at(hub, f"{prefix}/0", tag) for tag in "ab"] == [old.root.digest] * 2
    between.interfere = lambda _: None
    bring([new])
    assert [digest_at(hub, f"{prefix}/0", tag) for tag in "ab"] == [new.root.digest] * 2


@pytest.mark.parametrize("came", [True, False])
def test_a_tag_that_moved_without_saying_so_is_put_back(hub: str, between: Relay, prefix: str, came: bool) -> None:
    """The registry's answer is lost on its way: nobody knows whether the tag moved."""
    fleet, told = Fleet(1, 1), list[str]()
    (old,) = fleet.shipments(between.host, prefix, tags=["a", "b"])
    bring([old])
    fleet.images = [fleet.image("edited")]
    (new,) = fleet.shipments(between.host, prefix, tags=["a", "b"])
    said: list[Asked] = []

    def lost(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        if asked.method != "PUT" or not asked.path.endswith("/manifests/b") or said:
            return None
        said.append(asked)
        if came:
            Registry(hub, f"{prefix}/0").put_manifest(new.root.data, new.root.media_type, "b")
        return 400, {}, b""

    between.interfere = lost
    with pytest.raises(AnswerError):
        bring([new], told.append)
    assert [digest_at(hub, f"{prefix}/0", tag) for tag in "ab"] == [old.root.digest] * 2
    assert told == []
    assert len(between.of("PUT", "/manifests/b")) == (3 if came else 2)


def test_repositories_of_docker_hub_are_known_by_each_of_its_names() -> None:
    registry = Session().own(Registries).of("docker.io", "acme/app")
    sources = ["docker.io/python", "index.docker.io/acme/base", "docker.io/acme/app", "example.com/acme/other"]
    assert beside(registry, sources) == ["library/python", "acme/base"]


@pytest.mark.parametrize("fault", ["reset", "429", "503", "flipped"])
def test_faults_of_a_moment_change_nothing(hub: str, between: Relay, prefix: str, fault: str, quick: None) -> None:
    fleet = Fleet(2, 2)
    hit: set[str] = set()

    def interfere(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        about = f"{asked.method} {asked.path.partition('/uploads/')[0]} {asked.query.get('digest')}"
        if about in hit or (fault in ("reset", "flipped") and asked.method != "PUT"):
            return None
        hit.add(about)
        if fault == "reset":
            raise Reset(asked.size // 2)
        if fault == "flipped":
            code = "DIGEST_INVALID" if "/blobs/" in asked.path else "TOOMANYREQUESTS"
            return 400 if "/blobs/" in asked.path else 429, {}, b'{"errors": [{"code": "%s"}]}' % code.encode()
        return int(fault), {"Retry-After": "0"}, b""

    between.interfere = interfere
    shipments = fleet.shipments(between.host, prefix)
    bring(shipments)
    assert hit
    for item in shipments:
        whole(hub, item)


def test_a_layer_that_changed_is_told_and_nothing_is_tagged(hub: str, prefix: str) -> None:
    fleet = Fleet(1, 1)
    (item,) = fleet.shipments(hub, prefix)
    blobs = [blob._replace(open=lambda blob=blob: [b"x" * blob.size]) for blob in item.blobs]
    with pytest.raises(IntegrityError, match="changed since the build"):
        bring([item._replace(blobs=blobs)])
    assert digest_at(hub, f"{prefix}/0") is None


def test_an_upload_that_is_sent_elsewhere_gets_no_credentials_and_no_plain_text(between: Relay, prefix: str) -> None:
    fleet = Fleet(1, 1)

    def elsewhere(asked: Asked, headers: dict[str, str]) -> dict[str, str]:
        if asked.method == "POST":
            return {**headers, "Location": "http://elsewhere.example/v2/x/blobs/uploads/1"}
        return headers

    between.answered = elsewhere
    with pytest.raises(RegistryError, match=r"sends us to http://elsewhere\.example, which is not encrypted"):
        bring(fleet.shipments(between.host, prefix))


def test_a_registry_that_refuses_stops_before_any_tag(hub: str, between: Relay, prefix: str) -> None:
    fleet = Fleet(4, 1)

    def full(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        if asked.method == "PUT" and "/blobs/" in asked.path and between.sent():
            return 403, {}, b'{"errors": [{"code": "DENIED", "message": "quota"}]}'
        return None

    between.interfere = full
    with pytest.raises(AnswerError, match="quota"):
        bring(fleet.shipments(between.host, prefix))
    assert [digest_at(hub, f"{prefix}/{number}") for number in range(4)] == [None] * 4


def test_a_registry_that_falls_silent_is_asked_again(
    hub: str, between: Relay, prefix: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IDLE_TIMEOUT", 2.0)
    fleet, silent = Fleet(1, 1), threading.Event()
    stalled: list[str] = []

    def stall(asked: Asked) -> None:
        if asked.method == "PUT" and not stalled:
            stalled.append(asked.path)
            silent.wait(60)
            raise Reset

    between.interfere = stall
    (item,) = fleet.shipments(between.host, prefix)
    bring([item])
    silent.set()
    assert stalled
    whole(hub, item)


def test_small_layers_of_a_source_are_mounted_without_a_question(between: Relay, prefix: str) -> None:
    """After an edit that the source has, too: nothing is sent but the configuration."""
    fleet = Fleet(1, 2)
    bring(fleet.shipments(between.host, f"{prefix}/app"))
    fleet.images = [fleet.image("edited")]
    bring(fleet.shipments(between.host, f"{prefix}/cache"))
    between.asked.clear()
    layers = {layer.digest for layer in fleet.images[0].layers}

    def sources(digest: str) -> list[str]:
        return [f"{between.host}/{prefix}/cache/0"]

    registry = Registry(between.host, f"{prefix}/app/0")
    report = bring([shipment(registry, fleet.images[0], fleet.shelf.stream, ["1"], sources=sources)])
    assert not layers & between.sent().keys()
    assert [one.method for one in between.asked].count("HEAD") == 0
    assert len(report.of(MOUNTED)) == 1
