"""The layers of a model: each large file one of its own, read once."""

import os
from pathlib import Path

import pytest

from buildrules.actions.models.layers import OWN, SHARED, ModelLayers, divide
from buildrules.engine.action import Action, SourceFile, SourceSet
from buildrules.engine.hashing import FileHasher, Found
from buildrules.oci.recipe import LARGE_FILE
from buildrules.store.statindex import stat_row
from tests.actions.test_files import Bench, noise
from tests.support.steps import step

PREFIX = "var/models/regressor/1"
HASHER = FileHasher(lambda count: None, lambda what, done, total: None, lambda: None)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def action(layer_prefix: str | None = PREFIX) -> Action:
    source = SourceSet("src", ("**",), layer_prefix=layer_prefix)
    params = {"prefix": PREFIX}
    return Action(id="m", target="//m", kind="model_layers", title="model", params=params, sources=(source,))


def large(bench: Bench, name: str, content: bytes) -> SourceFile:
    file = bench.file(name, content)
    path = os.path.join(bench.workspace, file.path)
    digest = HASHER.layer([Found(path, file.path, stat_row(os.stat(path)), file.mode, f"{PREFIX}/{name}")])
    bench.files[digest] = os.path.join(bench.workspace, file.path)
    return SourceFile(file.path, name, file.size, file.mode, digest, as_layer=f"{PREFIX}/{name}")


def test_a_large_file_is_not_read_again_and_never_written(bench: Bench) -> None:
    content = noise(LARGE_FILE + 100)
    weights = large(bench, "weights.bin", content)
    settings = bench.file("config/settings.json", b"{}")
    outputs = ModelLayers().run(step(action(), [[weights, settings]]), bench)
    own, small = outputs.layers
    assert (own.digest, own.diff_id, own.recipe["compression"]) == (weights.digest, weights.digest, "none")
    assert bench.read == 2, "only the small file is read"
    assert bench.blobs.bytes_written == small.size < 1000
    assert bench.contents(own) == {f"{PREFIX}/weights.bin": (0o644, content)}
    assert bench.contents(small) == {f"{PREFIX}/config/settings.json": (0o644, b"{}")}
    assert (outputs.values["bytes"], outputs.values["files"]) == (LARGE_FILE + 102, 2)


def test_a_large_file_that_compresses_is_compressed(bench: Bench) -> None:
    content = b"0.25 0.5 0.75 1.0\n" * (LARGE_FILE // 18 + 1)
    (layer,) = ModelLayers().run(step(action(), [[large(bench, "forest.txt", content)]]), bench).layers
    assert layer.recipe["compression"] == "gzip"
    assert layer.size < len(content) / 10
    assert bench.read == len(content)
    assert bench.blobs.bytes_written == 0
    assert bench.contents(layer) == {f"{PREFIX}/forest.txt": (0o644, content)}


def test_a_digest_made_for_another_place_is_not_used(bench: Bench) -> None:
    content = noise(LARGE_FILE)
    weights = large(bench, "weights.bin", content)
    wrong = SourceFile(
        weights.path, weights.name, weights.size, weights.mode, "sha256:" + "0" * 64, as_layer="b/weights.bin"
    )
    (layer,) = ModelLayers().run(step(action("elsewhere"), [[wrong]]), bench).layers
    assert layer.digest == weights.digest
    assert bench.read == len(content)


def source(name: str, size: int) -> SourceFile:
    return SourceFile(
        f"src/{name}",
        name,
        size,
        0o644,
        "sha256:" + "0" * 64,
        as_layer=f"{PREFIX}/{name}" if size >= LARGE_FILE else None,
    )


def names(groups: list[list[SourceFile]]) -> list[list[str]]:
    return [[file.name for file in group] for group in groups]


def test_up_to_48_large_files_have_layers_of_their_own() -> None:
    files = [source(f"shard-{number:03}", LARGE_FILE + number) for number in range(OWN + SHARED)]
    own, shared, small = divide([*files[::-1], source("z.json", 10), source("a.json", 10)])
    assert own == files
    assert shared == []
    assert [file.name for file in small] == ["a.json", "z.json"]


def test_more_share_the_last_layers_and_one_changes_one() -> None:
    files = [source(f"shard-{number:03}", LARGE_FILE + number) for number in range(200)]
    own, shared, _ = divide(files)
    assert [file.name for file in own] == [f"shard-{number:03}" for number in range(160, 200)]
    assert len(shared) <= SHARED
    assert sorted(name for group in names(shared) for name in group) == [f"shard-{number:03}" for number in range(160)]
    _, without, _ = divide(files[1:])
    assert sum(before != after for before, after in zip(names(shared), names(without), strict=True)) == 1


def test_an_empty_model_has_a_layer(bench: Bench) -> None:
    (layer,) = ModelLayers().run(step(action(), [[]]), bench).layers
    assert bench.contents(layer) == {}
