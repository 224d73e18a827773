"""A layer is listed alike from its recipe and from its bytes."""

from pathlib import Path

from buildrules.contents.listing import from_recipe, from_tar
from buildrules.oci import recipe
from buildrules.oci.assemble import assemble, stream
from buildrules.oci.local import Local
from buildrules.oci.recipe import LARGE_FILE
from buildrules.store.store import Store
from tests.support.space import wheel


def test_wheels_texts_links_and_a_large_file(tmp_path: Path) -> None:
    local = Local(Store(str(tmp_path / "store")).blobs)
    wheels = [wheel("numlib", "1.0"), wheel("Other_Lib", "2.0", extra=b"x" * 70_000)]
    parts = [recipe.wheel(local.blobs.put(data), name, "opt/venv", "3.11") for name, data in wheels]
    blob = local.blobs.put(b"content")
    more = [
        recipe.directory("etc"),
        recipe.inline("etc/text", "some text\n"),
        recipe.symlink("etc/link", "text"),
        recipe.file("m/MLmodel", blob, 7),
    ]
    layer = assemble(recipe.gzip([*parts, *more]), local)
    told = from_recipe(layer, local)
    read = from_tar(layer, stream(layer.recipe or {}, local))
    assert told is not None
    assert told.files == read.files
    assert read.python == told.python == {"numlib": "1.0", "other-lib": "2.0"}
    assert told.files["opt/venv/lib/python3.11/site-packages/numlib/data.bin"].owner == "numlib"
    assert told.files["opt/venv/bin/numlib"].owner == "numlib"

    large = local.blobs.put(bytes(LARGE_FILE))
    alone = assemble(recipe.tar([recipe.file("m/w.bin", large, LARGE_FILE)]), local)
    alone.recipe = recipe.tar([recipe.file("m/w.bin", alone.diff_id, LARGE_FILE, as_layer=True)])
    told = from_recipe(alone, local)
    assert told is not None
    assert told.files == from_tar(alone, stream(recipe.tar([recipe.file("m/w.bin", large, LARGE_FILE)]), local)).files
    packed = assemble(recipe.gzip([recipe.file("m/w.bin", large, LARGE_FILE)], 1), local)
    assert from_tar(packed, stream(packed.recipe or {}, local)).files == told.files, "whatever it is compressed with"


def test_what_a_recipe_does_not_tell_is_read(tmp_path: Path) -> None:
    local = Local(Store(str(tmp_path / "store")).blobs)
    name = "sha256:" + "1" * 64
    files = [recipe.file(f"m/{number}", name, 10, as_layer=True) for number in range(2)]
    layer = assemble(recipe.tar([recipe.inline("x", "y")]), local)
    layer.recipe = recipe.tar(files)
    assert from_recipe(layer, local) is None, "their names are made of all of them together"
    layer.recipe = recipe.gzip([recipe.wheel(name, "gone-1.0-py3-none-any.whl", "opt", "3.11")])
    assert from_recipe(layer, local) is None, "the wheel is not in the store"
