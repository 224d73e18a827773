"""What an image is made of, as others say it."""

import json
from typing import Any

import pytest

from buildrules.errors import IntegrityError, UsageError
from buildrules.oci import descriptor as media
from buildrules.oci.copying.graph import read_graph
from tests.support.handmade import sha256

CONFIG = {"mediaType": media.CONFIG, "digest": "sha256:" + "c" * 64, "size": 2}
LAYER = {"mediaType": media.LAYER_TAR, "digest": "sha256:" + "d" * 64, "size": 3}


class Shelf:
    """Documents by digest."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def put(self, value: Any, **more: Any) -> dict[str, Any]:
        data = json.dumps(value).encode()
        self.data[sha256(data)] = data
        return {"mediaType": value["mediaType"], "digest": sha256(data), "size": len(data), **more}

    def image(self, *layers: dict[str, Any], **more: Any) -> dict[str, Any]:
        value = {"schemaVersion": 2, "mediaType": media.MANIFEST, "config": CONFIG, "layers": list(layers), **more}
        return self.put(value)

    def index(self, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.put({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": list(entries), **more})

    def read(self, name: str) -> tuple[str, bytes]:
        return "", self.data[name]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_what_is_named_comes_before_what_names_it(shelf: Shelf) -> None:
    one, two = shelf.image(LAYER), shelf.image(LAYER, annotations={"a": "b"})
    inner = shelf.index(one, two)
    root = shelf.index(one, inner)
    graph = read_graph(root["digest"], shelf.read, "it")
    assert [document.digest for document in graph.documents] == [
        one["digest"],
        two["digest"],
        inner["digest"],
        root["digest"],
    ]
    assert graph.blobs == {CONFIG["digest"]: 2, LAYER["digest"]: 3}
    assert graph.root.data == shelf.data[root["digest"]]
    assert sum(len(document.data) for document in graph.documents) == sum(map(len, shelf.data.values()))


def test_other_bytes_than_named_are_an_error(shelf: Shelf) -> None:
    one = shelf.image(LAYER)
    root = shelf.index(one)
    shelf.data[one["digest"]] = shelf.data[root["digest"]]
    with pytest.raises(IntegrityError, match="in the place of"):
        read_graph(root["digest"], shelf.read, "it")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({**LAYER, "digest": "sha256:../../x"}, "without a sha256 digest"),
        ({**LAYER, "digest": None}, "without a sha256 digest"),
        ({**LAYER, "size": -1}, "-1 bytes"),
        ({**LAYER, "size": True}, "True bytes"),
        ({**LAYER, "size": 1 << 60}, "bytes"),
        ({**LAYER, "digest": CONFIG["digest"]}, "2 and 3 bytes"),
        ({**LAYER, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"}, "may not be distributed"),
        ("layer", "without a sha256 digest"),
    ],
)
def test_layers_that_cannot_be(shelf: Shelf, layer: Any, words: str) -> None:
    root = shelf.image(layer)
    with pytest.raises(UsageError, match=words):
        read_graph(root["digest"], shelf.read, "it")


def test_what_is_too_deep_or_too_large_ends(shelf: Shelf) -> None:
    deep = shelf.image(LAYER)
    for _ in range(5):
        deep = shelf.index(deep)
    many = shelf.index(*(shelf.image(LAYER, annotations={"number": str(number)}) for number in range(1100)))
    large = shelf.index(*(shelf.image(LAYER, annotations={"x": f"{number:03}" * (1 << 20)}) for number in range(25)))
    for root, words in ((deep, "too many"), (many, "too many"), (large, "have more than")):
        with pytest.raises(UsageError, match=words):
            read_graph(root["digest"], shelf.read, "it")


def test_one_platform_of_an_index(shelf: Shelf) -> None:
    amd, arm = shelf.image(LAYER), shelf.image(LAYER, annotations={"for": "arm"})
    amd["platform"] = {"os": "linux", "architecture": "amd64"}
    arm["platform"] = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    root = shelf.index(amd, arm)
    graph = read_graph(root["digest"], shelf.read, "it", platform="linux/arm64")
    assert [document.digest for document in graph.documents] == [arm["digest"]]
    with pytest.raises(UsageError, match="linux/s390x"):
        read_graph(root["digest"], shelf.read, "it", platform="linux/s390x")
