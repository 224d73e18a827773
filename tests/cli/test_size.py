"""`buildrules size`: what makes an image large, and what could be left out."""

import json
import os
from typing import Any

from tests.support.space import APP, Space, wheel

LARGE = bytes(range(256)) * 8192  # 2 MiB


def size(space: Space, what: str = APP) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(space.run("size", what, "--json").out)
    return found


def suggested(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in found["suggestions"]}


def part(node: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in node["parts"] if one["name"] == name]
    return dict(found)


def test_a_tree_whose_parts_add_up(built: Space) -> None:
    found = size(built)
    assert found["stored"] == built.build().targets[APP]["size"]
    assert found["size"] == sum(layer["size"] for layer in found["layers"])
    for layer in found["layers"]:
        assert layer["size"] == sum(one["size"] for one in layer["parts"])
        for one in layer["parts"]:
            assert not one["parts"] or one["size"] == sum(below["size"] for below in one["parts"])
    names = [layer["name"] for layer in found["layers"]]
    code = found["layers"][names.index("scoring code")]
    code_size = sum(built.path(f"src/{name}").stat().st_size for name in ("score.py", "helper.py"))
    assert part(code, "/srv/app/")["size"] == code_size
    built.run("export", APP, "-o", str(built.folder / "out"))
    there = size(built, f"oci-layout:{built.folder}/out")
    assert there["layers"] == found["layers"], "a layout has no plan, and there is no Debian in it"


def test_weights_that_are_there_twice(built: Space) -> None:
    built.write("weights/one.bin", LARGE)
    built.write("weights/two.bin", LARGE)
    found = suggested(size(built))
    assert found["files that are there twice"]["size"] == len(LARGE)
    assert found["files that are there twice"]["files"] == 1
    assert found["models"]["size"] > 2 * len(LARGE)
    assert "mode: download" in found["models"]["how"]
    built.remove("weights/two.bin")
    os.symlink("one.bin", built.path("weights/two.bin"))
    assert "files that are there twice" not in suggested(size(built)), "the way out that is named leads out"


def test_what_wheels_bring_that_nobody_needs(built: Space) -> None:
    name, data = wheel("nvidia_cublas", "12.0", extra=LARGE)
    links = built.folder / "links"
    links.mkdir()
    for one in built.wheels.iterdir():
        (links / one.name).write_bytes(one.read_bytes())
    (links / name).write_bytes(data)
    built.env["UV_FIND_LINKS"] = str(links)
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==1.0, nvidia-cublas")
    found = suggested(size(built))["CUDA's wheels in a package for processors"]
    assert found["size"] > len(LARGE)
    assert built.run("size", APP).said("could be left out", 'exclude: ["nvidia-*"]', "nvidia-cublas 12.0")
    built.edit("BUILD.yaml", "nvidia-cublas]", 'nvidia-cublas]\n    exclude: ["nvidia-*"]')
    assert "CUDA's wheels in a package for processors" not in suggested(size(built)), "the way out leads out"
