"""Loading where images are in containerd's store: blobs are kept by digest, and nothing it lacks is an error."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.errors import DockerError
from buildrules.oci.docker import LoadReport, load
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine
from buildrules.oci.image import Image
from tests.support.containerd_store import ContainerdStore, containerd_engine
from tests.support.dockerlab import tidy
from tests.support.handmade import Shelf, image_of


class Lab:
    """A program, a model and code, as layers of images in the engine."""

    def __init__(self, engine: Engine, store: ContainerdStore | None, shelf: Shelf, folder: Path, name: str) -> None:
        self.engine, self.store, self.shelf, self.folder, self.name = engine, store, shelf, str(folder), name
        self.base = shelf.layer({"bin/busybox": b"\x7fELF", "id": os.urandom(8)}, "base", packed=True)
        self.model = shelf.layer({"model/weights": os.urandom(300_000)}, "model")

    def image(self, text: str) -> Image:
        code = self.shelf.layer({"app/score.py": text.encode()}, "code")
        return image_of([self.base, self.model, code], entrypoint=["/bin/busybox"], labels={"test": self.name})

    def load(self, image: Image, tag: str = "a", **more: Any) -> LoadReport:
        report = load(self.engine, image, [f"{self.name}:{tag}"], self.shelf.stream, **{"store": self.folder, **more})
        if self.store is not None and report.sent:
            assert self.store.brought[-1] == {layer.digest for layer in report.sent_layers}
        found = self.engine.inspect_image(f"{self.name}:{tag}")
        assert found is not None
        assert found["Id"] == report.image_id == image.digest
        assert found["RootFS"]["Layers"] == image.diff_ids
        return report

    def sent(self, report: LoadReport) -> list[str]:
        return self.shelf.names_of(report.sent_layers)


@pytest.fixture
def lab(shelf: Shelf, tmp_path: Path) -> Iterator[Lab]:
    name = f"buildrules-test/{os.urandom(6).hex()}"
    host = os.environ.get("DOCKER_CONTAINERD_HOST")
    if host:
        engine = connect({"DOCKER_HOST": host})
        with tidy(engine, name):
            yield Lab(engine, None, shelf, tmp_path, name)
        return
    with containerd_engine() as (engine, store):
        yield Lab(engine, store, shelf, tmp_path, name)


def test_a_code_edit_sends_the_code_only(lab: Lab) -> None:
    assert lab.sent(lab.load(lab.image("one"))) == ["base", "model", "code"]
    lab.shelf.asked.clear()
    report = lab.load(lab.image("two"))
    assert lab.sent(report) == ["code"]
    assert len(lab.shelf.asked) == 1
    assert report.sent < 20_000
    assert (report.retried, report.skipped) == (False, lab.base.size + lab.model.size)


def test_blobs_are_found_whatever_lies_below_them(lab: Lab) -> None:
    lab.load(lab.image("one"))
    other = lab.shelf.layer({"id": os.urandom(8)}, "other base")
    report = lab.load(image_of([other, lab.model, lab.base], labels={"test": lab.name}), "b")
    assert lab.sent(report) == ["other base"]
    assert report.resent_layers == ()


def test_an_image_already_there_is_only_tagged(lab: Lab) -> None:
    image = lab.image("one")
    lab.load(image)
    lab.shelf.asked.clear()
    assert lab.load(image, "b").sent == 0
    assert lab.shelf.asked == []


def test_without_a_record_everything_is_sent(lab: Lab, tmp_path: Path) -> None:
    """Of another's image the engine says diff_ids only, and no digest of a blob."""
    lab.load(lab.image("one"))
    assert lab.sent(lab.load(lab.image("two"), store=str(tmp_path / "other"))) == ["base", "model", "code"]


def test_a_removed_image_is_not_counted_on(lab: Lab) -> None:
    first = lab.image("one")
    lab.load(first)
    lab.engine.call("DELETE", f"/images/{first.digest}", query={"force": 1})
    report = lab.load(lab.image("two"))
    assert lab.sent(report) == ["base", "model", "code"]
    assert not report.retried


def test_an_image_that_lacks_a_layer_is_sent_whole(lab: Lab) -> None:
    """The record may be wrong: of another engine at the same address, or the image went in between."""
    lab.load(lab.image("one"))
    other = lab.shelf.layer({"id": os.urandom(8)}, "other base", packed=True)
    (record,) = Path(lab.folder, "docker").iterdir()
    record.write_text(record.read_text().replace(lab.base.digest, other.digest))
    code = lab.shelf.layer({"app/score.py": b"two"}, "code")
    report = lab.load(image_of([other, lab.model, code], labels={"test": lab.name}))
    assert report.retried
    assert lab.sent(report) == ["other base", "model", "code"]


def test_half_an_image_that_somebody_left_is_mended(lab: Lab) -> None:
    image = lab.image("one")
    lab.load(image)
    if lab.store is not None:
        del lab.store.blobs[lab.model.digest]
        assert lab.load(image).sent > lab.model.size


def test_what_cannot_be_unpacked_is_an_error_and_does_not_stay(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    image = lab.image("one")
    if lab.store is None:
        image.layers[1].diff_id = "sha256:" + "0" * 64
        image = image_of(image.layers, labels={"test": lab.name})
    else:
        said = 'apply layer error for "docker.io/{name}": wrong diff id calculated on extraction "sha256:44e8"'
        lines = [{"stream": "Loaded image: x\n"}, {"stream": f"Error unpacking image x: {said}\n"}]
        load_ = lab.store.load
        monkeypatch.setattr(lab.store, "load", lambda archive: load_(archive) and lines)
    with pytest.raises(DockerError, match=r"refused the image: Error unpacking image .*wrong diff id calculated"):
        load(lab.engine, image, [f"{lab.name}:a"], lab.shelf.stream, store=lab.folder)
    assert lab.engine.inspect_image(image.digest) is None
    assert lab.engine.inspect_image(f"{lab.name}:a") is None
