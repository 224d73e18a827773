"""Comparing descriptions of images, and listing layers: properties of both."""

import gzip
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.contents.described import Described, describe
from buildrules.contents.difference import SECTIONS, compare
from buildrules.contents.listing import GONE, from_tar
from buildrules.contents.weight import weigh
from buildrules.errors import IntegrityError
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import LAYER_TAR, Layer
from buildrules.oci.image import build_image
from buildrules.oci.recipe import LARGE_FILE
from tests.support.handmade import Shelf, tar_of

FILES = st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "e"]), st.binary(max_size=3), max_size=4)
VARIABLES = st.dictionaries(st.sampled_from(["X", "Y"]), st.sampled_from(["1", "2"]))
IMAGES = st.tuples(st.lists(FILES, max_size=3), VARIABLES)


def described(layers: list[dict[str, bytes]], variables: dict[str, str], *, packed: bool = False) -> Described:
    shelf = Shelf()
    made = list({layer.digest: layer for layer in (shelf.layer(files, packed=packed) for files in layers)}.values())
    history = [f"layer {number}" for number in range(len(made))]
    image = build_image(made, ImageConfig(environment=variables), "linux/amd64", history=history)
    return describe(
        "image", image.digest, image.manifest, image.config, made, lambda one: from_tar(one, [shelf.data[one.digest]])
    )


@given(IMAGES, IMAGES)
def test_the_other_way_round_new_is_gone(one: tuple, other: tuple) -> None:
    there, back = compare(described(*one), described(*other)), compare(described(*other), described(*one))
    for section in SECTIONS[1:]:
        turned = [change._replace(before=change.after, after=change.before) for change in back.changes[section]]
        assert sorted(turned) == sorted(there.changes[section])
    assert there.sizes.only_before == back.sizes.only_after
    assert there.same == back.same


@given(IMAGES)
def test_the_same_in_other_compression_is_the_same(one: tuple) -> None:
    found = compare(described(*one), described(*one, packed=True))
    assert found.same
    assert found.sizes.only_after == 0


@given(st.lists(FILES, min_size=1, max_size=3, unique_by=lambda files: tuple(sorted(files.items()))))
def test_files_are_those_that_can_be_seen(layers: list[dict[str, bytes]]) -> None:
    seen: dict[str, bytes] = {}
    for files in layers:
        seen.update(files)
    found = compare(described([], {}), described(layers, {})).changes["files"]
    digests = {change.name: change.after.content for change in found}
    assert digests == {path: f"sha256:{hashlib.sha256(data).hexdigest()}" for path, data in seen.items()}


def test_a_whiteout_hides_what_is_below() -> None:
    found = compare(described([{"d/x": b"1"}], {}), described([{"d/x": b"1"}, {"d/.wh.x": b""}], {}))
    (change,) = found.changes["files"]
    assert (change.name, change.after.content) == ("d/x", GONE)


def test_what_a_whiteout_hides_is_not_there_twice() -> None:
    large = bytes(range(256)) * 8192
    for hiding in ({".wh.b": b""}, {"b/.wh.big": b""}, {"b/.wh..wh..opq": b""}):
        shown = weigh(described([{"a/big": large, "b/big": large}, hiding], {}), {})
        assert not shown.suggestions, hiding
    (found,) = weigh(described([{"a/big": large, "b/big": large}, {"b/.wh.other": b""}], {}), {}).suggestions
    assert (found.what, found.size) == ("files that are there twice", len(large))


def layer_of(data: bytes, **more: object) -> Layer:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Layer(**{"digest": digest, "size": len(data), "diff_id": digest, "media_type": LAYER_TAR, **more})


def test_of_one_large_file_only_the_header_is_read() -> None:
    content = bytes(LARGE_FILE)
    data = tar_of({"m/weights.bin": content})
    data = data[: data.rindex(b"ustar") - 257 + 512 + LARGE_FILE] + bytes(1024)  # as we end tars
    read = 0

    def chunks():
        nonlocal read
        for start in range(0, len(data), 1 << 16):
            read += 1 << 16
            yield data[start : start + (1 << 16)]

    layer = layer_of(data)
    listing = from_tar(layer, chunks())
    assert listing.files["m/weights.bin"].content == f"layer {layer.diff_id}"
    assert read < LARGE_FILE // 2


@pytest.mark.parametrize(
    "data",
    [b"", b"no tar at all" * 100, gzip.compress(b"x", mtime=0), tar_of({"a": b"1"})[:700]],
    ids=["empty", "text", "packed", "cut"],
)
def test_what_is_no_layer_is_an_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        from_tar(layer_of(data), [data])


def test_labels_and_configs_of_others_may_be_anything() -> None:
    nested = '{"a":' * 500 + "1" + "}" * 500
    labels = {"deep": nested, "buildrules.models": "[1, 2]", "buildrules.cards": "{no json", "list": "[[1], {}]"}
    image = build_image([], ImageConfig(labels=labels), "linux/amd64")
    odd = describe("odd", image.digest, image.manifest, image.config, [], lambda _: from_tar(layer_of(b""), []))
    found = compare(described([], {}), odd)
    assert {change.mark for change in found.changes["settings"]} == {"+"}
    assert not weigh(odd, {}).suggestions
    for wrong in (b'{"config": 5, "history": 7}', b'{"config": {"Env": {"A": 1}}}', b'{"config": {"Labels": [1]}}'):
        with pytest.raises(IntegrityError):
            describe("wrong", "", b"{}", wrong, [], odd.read)
