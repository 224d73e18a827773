"""`buildrules layers`: which layers packages share, and what a registry keeps of them."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from buildrules.cli.shared_layers import Held, SharedLayers
from tests.oci.registry.servers import registry
from tests.support.space import APP, Space

SECOND = """\
  second:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :other
  other: {rule: scoring_code, srcs: ["other/**"], strip_prefix: other, entry_script: score.py}
"""


def layers(space: Space, *patterns: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(space.run("layers", *patterns, "--json").out)
    return found


def test_layers_of_two_packages_with_the_images_that_have_them(built: Space) -> None:
    built.append("BUILD.yaml", SECOND)
    built.write("other/score.py", "def run(data):\n    return 2\n")
    built.run("lock")
    sizes = {}
    for label in (APP, "//:second"):
        shown = json.loads(built.run("show", label, "--json").out)
        sizes[label] = {layer["digest"]: layer["size"] for layer in shown["layers"]}
    found = layers(built, APP, "//:second")
    assert found["images"] == 2
    for layer in found["layers"]:
        labels = [name.partition(" ")[0] for name in layer["images"]]
        assert labels == [label for label in sizes if layer["digest"] in sizes[label]]
    assert {layer["digest"] for layer in found["layers"]} == set(sizes[APP]) | set(sizes["//:second"])
    assert found["bytes_stored"] == sum((sizes[APP] | sizes["//:second"]).values())
    assert found["bytes_unshared"] == sum(sum(one.values()) for one in sizes.values())
    code = [layer for layer in found["layers"] if len(layer["images"]) == 1]
    assert len(code) == 2, "only the code differs"
    assert built.run("layers", APP, "//:second").said(
        "2 images, ", "in 2  ", "each layer once", "if nothing were shared", "1.00 x the "
    )
    assert layers(built, APP, "//:second") == found, "also where nothing changed"


def test_wheels_that_share_a_layer_are_counted_apart(built: Space) -> None:
    found = layers(built, APP)
    together = [layer for layer in found["layers"] if layer["wheels"]]
    assert together
    assert found["bytes_with_a_layer_for_each_wheel"] == found["bytes_stored"], "of one package nothing is kept twice"
    assert found["ratio"] == 1.0


def test_targets_that_are_no_image_have_no_layers_to_show(built: Space) -> None:
    built.run("layers", "//:env", code=2).said("names no image", "model_package")


def held(name: str, size: int, **wheels: int) -> Held:
    return Held("sha256:" + name, size, name, wheels)


def test_a_small_wheel_kept_in_two_layers_is_what_makes_the_ratio() -> None:
    base = held("base", 1000)
    images = {
        "one": [base, held("both", 300, a=100, b=200)],
        "two": [base, held("other", 400, a=100, c=300)],
        "three": [base, held("alone", 200, b=200)],
    }
    found = SharedLayers(images)
    assert found.stored == 1000 + 300 + 400 + 200
    assert found.unshared == 3000 + 900
    assert found.apart == 1000 + 100 + 200 + 300
    assert [len(used.images) for used in found.rows] == [3, 1, 1, 1]


wheels = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)


@given(st.lists(st.lists(wheels, min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_layer_for_each_wheel_never_takes_more(images: list[list[dict[str, int]]]) -> None:
    sizes = {name: size for image in images for layer in image for name, size in layer.items()}

    def layer(names: dict[str, int]) -> Held:
        known = {name: sizes[name] for name in names}
        return held("+".join(sorted(known)), sum(known.values()), **known)

    found = SharedLayers({str(number): map(layer, image) for number, image in enumerate(images)})
    assert found.apart == sum(sizes.values()) <= found.stored <= found.unshared
    assert found.ratio >= 1


def test_what_a_push_would_send(built: Space, tmp_path: Path) -> None:
    assert layers(built, APP)["push"] is None, "no registry is known"
    with registry(tmp_path / "registry") as host:
        words = [APP, "--to", f"{host}/acme/app"]
        everything = sum(layer["size"] for layer in layers(built, APP)["layers"])
        asked = layers(built, *words)["push"]
        assert asked["asked"] and asked["bytes"] >= everything
        sent = json.loads(built.run("push", *words, "--dry-run", "--json").out)["bytes"]["sent"]
        assert asked["bytes"] == sent, "what push says itself"
        assert not json.loads(built.run("push", *words, "--json").out)["left_out"]
        assert layers(built, *words)["push"]["bytes"] == 0
        assert layers(built, APP)["push"] == {"registry": host, "bytes": 0, "asked": False}
        built.append("src/score.py", "# more\n")
        code = built.build().layer("code code")["size"]
        assert layers(built, APP)["push"]["bytes"] == code
        assert layers(built, *words)["push"]["bytes"] == code + config_size(built)
        built.run("layers", APP).said(f"to send to {host}, as far as is known")


def config_size(space: Space) -> int:
    manifest = json.loads(space.blobs()[space.build().digest].read_bytes())
    return int(manifest["config"]["size"])


def test_one_screen_and_who_shares(built: Space) -> None:
    built.append("BUILD.yaml", SECOND)
    built.write("other/score.py", "def run(data):\n    return 2\n")
    files = ", ".join(f"/many/{number}/labels.txt: weights/labels.txt" for number in range(25))
    built.edit("BUILD.yaml", "    code: :other\n", f"    code: :other\n    files: {{{files}}}\n")
    shown = built.run("layers", APP, "//:second").out.splitlines()
    assert len(shown) < 25
    assert any("more, " in line and "--verbose shows all" in line for line in shown)
    everything = built.run("layers", APP, "//:second", "--verbose").out
    assert everything.count("in 1, //:second") > 20
    assert "in 1, //:app" in everything
