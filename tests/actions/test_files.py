"""Layers of workspace files and of short texts."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from buildrules.actions.files import FilesLayer
from buildrules.actions.inline import InlineLayer
from buildrules.actions.registry import Kinds
from buildrules.engine.action import Action, SourceFile
from buildrules.errors import ActionError, IntegrityError, Interrupted
from buildrules.net.session import Session
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import stream
from buildrules.oci.descriptor import LAYER_GZIP, LAYER_TAR, Layer
from buildrules.oci.local import Local
from buildrules.store.blobs import Blobs
from tests.support.steps import step


class Bench:
    """A workspace, a store, and a context that counts."""

    def __init__(self, root: Path) -> None:
        self.workspace = str(root / "workspace")
        self.blobs = Blobs(str(root / "store"))
        self.jobs = 2
        self.session = Session()
        self.cancelled = False
        self.read = 0
        self.seen: list[tuple[str, int, int | None]] = []
        self.files: dict[str, str] = {}

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.seen.append((what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        self.read += read

    def warn(self, message: str) -> None:
        raise AssertionError(message)

    def file(self, name: str, content: bytes, mode: int = 0o644, folder: str = "src") -> SourceFile:
        path = Path(self.workspace, folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.files[digest] = str(path)
        return SourceFile(f"{folder}/{name}", name, len(content), mode, digest)

    def contents(self, layer: Layer) -> dict[str, tuple[int, bytes]]:
        """The files of a layer by path; its digests are checked on the way."""
        local = Local(self.blobs, self.files)
        blob = self.blobs.read(layer.digest) if layer.recipe is None else b"".join(stream(layer.recipe, local))
        assert ("sha256:" + hashlib.sha256(blob).hexdigest(), len(blob)) == (layer.digest, layer.size)
        raw = gzip.decompress(blob) if layer.media_type == LAYER_GZIP else blob
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == layer.diff_id
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            return {
                member.name: (member.mode, file.read() if (file := archive.extractfile(member)) else b"")
                for member in archive
                if member.isreg()
            }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def action(kind: str, **params: object) -> Action:
    return Action(id="a", target="//a", kind=kind, title="the code", params=params)


def noise(size: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


def test_few_files_become_a_blob(bench: Bench) -> None:
    files = [bench.file("score.py", b"def run(): ...\n" * 50), bench.file("bin/tool", b"#!/bin/sh\n", 0o755)]
    more = [bench.file("settings.json", b"{}", folder="etc")]
    outputs = FilesLayer().run(step(action("files_layer", prefix="/var/app"), [files, more]), bench)
    (layer,) = outputs.layers
    assert layer.recipe is None
    assert bench.blobs.has(layer.digest, layer.size)
    assert bench.read == 762
    assert bench.contents(layer) == {
        "var/app/bin/tool": (0o755, b"#!/bin/sh\n"),
        "var/app/score.py": (0o644, b"def run(): ...\n" * 50),
        "var/app/settings.json": (0o644, b"{}"),
    }
    again = FilesLayer().run(step(action("files_layer", prefix="var/app"), [more, files[::-1]]), bench)
    assert again.layers == outputs.layers, "the order of what is found does not matter"


@pytest.mark.parametrize(
    ("content", "compression", "media_type"),
    [(noise(6 << 20), "none", LAYER_TAR), (b"a line of text\n" * (400 << 10), "gzip", LAYER_GZIP)],
)
def test_many_bytes_keep_their_recipe(bench: Bench, content: bytes, compression: str, media_type: str) -> None:
    file = bench.file("data.bin", content)
    (layer,) = FilesLayer().run(step(action("files_layer", prefix="data"), [[file]]), bench).layers
    assert (layer.recipe["compression"], layer.media_type) == (compression, media_type)
    assert not os.path.exists(bench.blobs.root), "nothing is written"
    assert bench.contents(layer) == {"data/data.bin": (0o644, content)}
    assert bench.read == len(content)
    assert bench.seen[-1] == ("the code", len(content), len(content))
    assert layer == Layer.from_dict(layer.to_dict())


def test_no_files_make_an_empty_layer(bench: Bench) -> None:
    (layer,) = FilesLayer().run(step(action("files_layer", prefix="x"), [[]]), bench).layers
    assert bench.contents(layer) == {}


def test_two_files_for_one_place_are_refused(bench: Bench) -> None:
    one, other = bench.file("a.py", b"1"), bench.file("a.py", b"2", folder="other")
    with pytest.raises(ActionError, match=r"'src/a.py' and 'other/a.py' would both become 'app/a.py'"):
        FilesLayer().run(step(action("files_layer", prefix="app"), [[one], [other]]), bench)
    FilesLayer().run(step(action("files_layer", prefix="app"), [[one], [one]]), bench)


def test_a_file_that_changed_fails(bench: Bench) -> None:
    file = bench.file("a.py", b"1")
    Path(bench.workspace, file.path).write_bytes(b"longer")
    with pytest.raises(ActionError, match="changed"):
        FilesLayer().run(step(action("files_layer", prefix="app"), [[file]]), bench)


def test_control_c_stops_it(bench: Bench) -> None:
    file = bench.file("data.bin", noise(6 << 20))
    bench.cancelled = True
    with pytest.raises(Interrupted):
        FilesLayer().run(step(action("files_layer", prefix="app"), [[file]]), bench)


def test_inline_parts_become_a_blob(bench: Bench) -> None:
    parts = [
        recipes.directory("tmp", 0o1777),
        recipes.inline("etc/model.json", '{"name": "grüezi"}\n'),
        recipes.symlink("usr/bin/python3", "/opt/venv/bin/python"),
    ]
    (layer,) = InlineLayer().run(step(action("inline_layer", parts=parts)), bench).layers
    assert layer.recipe is None
    assert bench.contents(layer) == {"etc/model.json": (0o644, '{"name": "grüezi"}\n'.encode())}


def test_an_inline_layer_takes_no_files_and_nothing_outside(bench: Bench) -> None:
    with pytest.raises(ActionError, match="'file'"):
        InlineLayer().run(step(action("inline_layer", parts=[recipes.file("a", "sha256:" + "0" * 64, 1)])), bench)
    with pytest.raises(IntegrityError):
        InlineLayer().run(step(action("inline_layer", parts=[recipes.inline("../a", "b")])), bench)


def test_the_kinds_are_registered_by_name() -> None:
    for name, kind in (("files_layer", FilesLayer), ("inline_layer", InlineLayer)):
        assert type(Kinds(Session()).named(name)) is kind
        assert kind.name == name


@pytest.mark.parametrize("name", [".wh..wh..opq", "lib/.wh.libc.so.6", ".wh.dir/file"])
def test_a_file_that_would_delete_from_the_layers_below_is_refused(bench: Bench, name: str) -> None:
    file = bench.file(name, b"")
    with pytest.raises(ActionError, match="whiteout") as caught:
        FilesLayer().run(step(action("files_layer", prefix="app"), [[file]]), bench)
    assert caught.value.hint == "exclude it"
