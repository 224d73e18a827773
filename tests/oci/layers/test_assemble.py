"""One pass makes both digests; the stream is exactly what was digested; other people's tools read it."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.actions.compressible import pays
from buildrules.errors import ActionError, IntegrityError
from buildrules.oci import gzip as members
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import (
    assemble,
    assemble_blob,
    hash_layer,
    known_layer,
    stream,
)
from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR, Layer
from buildrules.oci.local import Local
from buildrules.oci.parts import DeflateRange, Entry
from buildrules.oci.parts.plain import expand
from buildrules.oci.reader import Reader

LEVELS = [None, 0, 1, 6, 12]


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def recipe_of(parts: list[recipes.Part], level: int | None) -> recipes.Recipe:
    return recipes.tar(parts) if level is None else recipes.gzip(parts, level)


def file_part(local: Local, name: str, content: bytes, mode: int = 0o644) -> recipes.Part:
    path = Path(local.blobs.root).parents[2] / "workspace" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    local.files[sha256(content)] = str(path)  # type: ignore[index]
    return recipes.file(f"model/{name}", sha256(content), len(content), mode)


def entry_of(part: recipes.Part, local: Local) -> Entry:
    (entry,) = expand(part, local)
    return entry


def noise(size: int, seed: int = 1) -> bytes:
    return b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in range(size // 32 + 1))[:size]


def verify(recipe: recipes.Recipe, local: Local) -> tuple[Layer, bytes]:
    """Assemble, stream both ways, and compare all of it; returns the layer and its tar."""
    layer = assemble(recipe, local)
    blob = b"".join(stream(recipe, local))
    assert (sha256(blob), len(blob)) == (layer.digest, layer.size)
    raw = gzip.decompress(blob) if recipe["compression"] == "gzip" else blob
    assert sha256(raw) == layer.diff_id
    assert b"".join(stream(recipes.tar(recipe["parts"]), local)) == raw
    return layer, raw


@pytest.mark.parametrize("level", LEVELS)
def test_stream_and_digests_agree(local: Local, level: int | None) -> None:
    contents = {
        "empty": b"",
        "small": b"x" * 100,
        "block": b"y" * 512,
        "stored": b"z" * 65_535,
        "text": b"the same line again\n" * 150_000,
        "noise": noise(2_500_000),
    }
    parts = [file_part(local, name, content) for name, content in contents.items()]
    layer, raw = verify(recipe_of([recipes.directory("tmp", 0o1777), *parts], level), local)
    assert layer.media_type == (LAYER_TAR if level is None else LAYER_GZIP)
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for name, content in contents.items():
            file = archive.extractfile(f"model/{name}")
            assert file is not None
            assert file.read() == content
    assert not os.path.exists(local.blobs.root), "assembling writes nothing"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.binary(max_size=2000), st.integers(0, 200_000).map(noise)), max_size=6),
    st.sampled_from(LEVELS),
)
def test_any_contents_round_trip(local: Local, contents: list[bytes], level: int | None) -> None:
    parts = [file_part(local, str(number), content) for number, content in enumerate(contents)]
    _, raw = verify(recipe_of(parts, level), local)
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        found = [file.read() for member in archive if (file := archive.extractfile(member)) is not None]
    assert found == contents


def test_small_layers_have_these_digests(local: Local) -> None:
    parts = [
        recipes.inline("opt/app/score.py", "def run(data):\n    return data\n" * 40),
        recipes.symlink("opt/current", "app"),
        recipes.directory("tmp", 0o1777),
    ]
    found = {level: assemble(recipe_of(parts, level), local).digest[7:23] for level in (None, 0, 1, 6)}
    assert found == {None: "d7cdf74118237bc1", 0: "eb07a304a6df80a0", 1: "4f8e7c4559118ef0", 6: "df4015b31c6b23b4"}


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1 << 20, (1 << 20) - 1536, 3_333_333])
@pytest.mark.parametrize("path", ["model.bin", "var/models/regressor/1/model.bin", "ü/" + "n" * 200])
def test_one_file_hashes_like_its_layer(local: Local, size: int, path: str) -> None:
    part = {**file_part(local, "w", noise(size), 0o755), "path": path}
    layer = assemble(recipes.tar([part]), local)
    with Reader() as reader:
        digest = hash_layer([entry_of(part, local)], reader.runs)
    assert digest == layer.digest == layer.diff_id
    assert known_layer([part], digest) == layer


def test_files_together_hash_like_their_layer(local: Local) -> None:
    sizes = {"a/1": 0, "a/b/2": 700, "a/b/3": 1 << 20, "c": 3_333_333, "ü": 1}
    parts = [file_part(local, name, noise(size), 0o644) for name, size in sizes.items()]
    layer = assemble(recipes.tar(parts), local)
    with Reader() as reader:
        digest = hash_layer([entry_of(part, local) for part in parts], reader.runs)
    assert known_layer(parts, digest) == layer


def test_a_file_that_changed_its_size_fails(local: Local) -> None:
    path = local.files[file_part(local, "w", b"as it was")["digest"]]
    for change in (b"", b"short", b"much longer than it was before"):
        part = file_part(local, "w", b"as it was")
        Path(path).write_bytes(change)
        for attempt in (
            lambda part=part: assemble(recipes.tar([part]), local),
            lambda part=part: b"".join(stream(recipes.gzip([part], 0), local)),
            lambda part=part: hash_layer([entry_of(part, local)], Reader().runs),
        ):
            with pytest.raises(ActionError, match="changed"):
                attempt()


def test_a_missing_file_fails(local: Local) -> None:
    part = file_part(local, "nowhere", b"1")
    os.unlink(local.files[part["digest"]])
    with pytest.raises(ActionError, match="nowhere"):
        assemble(recipes.tar([part]), local)


def test_a_small_layer_is_a_blob_of_the_store(local: Local) -> None:
    layer = assemble_blob(recipes.gzip([recipes.inline("a", "text")], 6), local)
    assert layer.recipe is None
    blob = local.blobs.read(layer.digest)
    assert (sha256(blob), sha256(gzip.decompress(blob)), len(blob)) == (layer.digest, layer.diff_id, layer.size)
    local.blobs.discard(layer.digest)
    with pytest.raises(FileNotFoundError):
        local.blobs.read(layer.digest)


SCRIPT = """
import os, sys
os.umask(int(sys.argv[2], 8))
from buildrules.oci import recipe as r
from buildrules.oci.assemble import assemble
from buildrules.oci.local import Local
from buildrules.store.blobs import Blobs
digest = "sha256:" + "0" * 64
parts = [r.inline("a/b", "text"), r.file("m/w", digest, 9)]
s = Local(Blobs(sys.argv[1]), {digest: sys.argv[1] + "/w"})
print(assemble(r.tar(parts), s).digest, assemble(r.gzip(parts, 6), s).digest)
"""


def test_the_host_does_not_reach_a_layer(tmp_path: Path) -> None:
    found = set()
    for number, umask in enumerate(["000", "022", "077"]):
        place = tmp_path / f"place{number}" / "w"
        place.parent.mkdir()
        place.write_bytes(b"nine byte")
        place.chmod(0o600 + number)
        os.utime(place, (number, number))
        environment = {**os.environ, "TZ": f"UTC+{number}", "PYTHONHASHSEED": str(number)}
        command = [sys.executable, "-c", SCRIPT, str(place.parent), umask]
        found.add(subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize("level", [None, 0, 6])
def test_skopeo_and_umoci_read_it(local: Local, tmp_path: Path, level: int | None) -> None:
    parts = [file_part(local, "noise", noise(300_000)), recipes.inline("model/" + "n" * 200, "long\n" * 20_000)]
    recipe = recipe_of([*parts, recipes.symlink("model/link", "noise")], level)
    layer = assemble(recipe, local)
    layout = tmp_path / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        (layout / "blobs/sha256" / sha256(data)[7:]).write_bytes(data)
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    put(b"".join(stream(recipe, local)), layer.media_type)
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    oci = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci + "manifest.v1+json",
        "config": put(config, oci + "config.v1+json"),
        "layers": [layer.descriptor()],
    }
    entry = put(json.dumps(manifest).encode(), oci + "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{layout}:it", tmp_path / "out"], check=True)
    root = tmp_path / "out/rootfs/model"
    assert (root / "noise").read_bytes() == noise(300_000)
    assert (root / ("n" * 200)).read_text() == "long\n" * 20_000
    assert os.readlink(root / "link") == "noise"
    # skopeo checks the diff_id when it recompresses
    command = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        f"oci:{layout}:it",
        f"docker-archive:{tmp_path / 'd.tar'}:x:y",
    ]
    subprocess.run(command, check=True)
    with tarfile.open(tmp_path / "d.tar") as archive:
        assert f"{layer.diff_id[7:]}.tar" in archive.getnames()


def deflated(path: Path, content: bytes, junk: bytes = b"") -> DeflateRange:
    engine = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = engine.compress(content) + engine.flush() + junk
    path.write_bytes(b"before" + data + b"after")
    return DeflateRange(str(path), 6, len(data), zlib.crc32(content), len(content))


LARGE = (b"abcdefgh" * 1000 + noise(500)) * (2 * members.WHOLE // 8500)


@pytest.mark.parametrize("content", [noise(9000) + bytes(9000), LARGE], ids=["whole", "in pieces"])
def test_deflate_streams_are_passed_on(tmp_path: Path, content: bytes) -> None:
    piece = deflated(tmp_path / "z", content)
    tapped: list[bytes] = []
    with Reader() as reader:
        with_tap = b"".join(
            map(bytes, members.encode(iter([piece]), 0, reader, lambda data: tapped.append(bytes(data))))
        )
        without = b"".join(map(bytes, members.encode(iter([b"glue", piece, b"glue"]), 6, reader)))
        inflated = b"".join(map(bytes, members.inflate(reader, piece)))
    assert b"".join(tapped) == inflated == content == gzip.decompress(with_tap)
    assert gzip.decompress(without) == b"glue" + content + b"glue"
    assert (tmp_path / "z").read_bytes()[6:-5] in with_tap


@pytest.mark.parametrize("content", [noise(9000) + bytes(9000), LARGE], ids=["whole", "in pieces"])
@pytest.mark.parametrize("damage", ["crc", "size", "byte", "cut"])
def test_a_damaged_deflate_stream_is_refused(tmp_path: Path, content: bytes, damage: str) -> None:
    piece = deflated(tmp_path / "z", content)
    if damage == "crc":
        piece = piece._replace(crc32=piece.crc32 ^ 1)
    elif damage == "size":
        piece = piece._replace(size=piece.size - 1)
    elif damage == "cut":
        piece = piece._replace(length=piece.length - 20)
    else:
        data = bytearray((tmp_path / "z").read_bytes())
        data[len(data) // 2] ^= 0xFF
        (tmp_path / "z").write_bytes(data)
    with Reader() as reader, pytest.raises(IntegrityError, match="corrupt"):
        list(members.encode(iter([piece]), 0, reader, lambda data: None))


def test_work_comes_back_in_order_and_errors_come_through() -> None:
    def job(number: int) -> Callable[[], bytes]:
        return lambda: bytes(hashlib.sha256(b"x" * (number % 7) * 100_000).digest()) + bytes([number])

    def jobs() -> Iterator[Callable[[], bytes] | bytes]:
        for number in range(100):
            yield bytes([0] * 32 + [number]) if number % 3 else job(number)

    assert [result[32] for result in members.in_order(jobs())] == list(range(100))

    def fail() -> bytes:
        raise IntegrityError("no")

    for before in (0, 1, 50):
        with pytest.raises(IntegrityError):
            list(members.in_order([*[job(n) for n in range(before)], fail, *[job(n) for n in range(20)]]))


def test_what_pays_is_compressed(local: Local) -> None:
    def written(name: str, content: bytes) -> tuple[str, int]:
        part = file_part(local, name, content)
        return local.files[part["digest"]], part["size"]

    text = written("text", b"some words again and again\n" * 100_000)
    random = written("random", noise(3_000_000))
    assert pays([text])
    assert not pays([random])
    assert not pays([written("empty", b"")])
    assert pays([written(f"s{number}", b"words " * 50) for number in range(40)])
    scraps = noise(3_000_000)
    half = b"".join(scraps[at : at + 32] + bytes(32) for at in range(0, 2_000_000, 32))
    most = b"".join(scraps[at : at + 56] + bytes(8) for at in range(0, 2_000_000, 56))
    assert pays([written("half", half)])
    assert not pays([written("most", most)])
