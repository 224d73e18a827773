"""Loading into a real engine: what is sent, what is left out, and what happens when things go wrong."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from buildrules.errors import DockerError, IntegrityError, UsageError
from buildrules.oci.archive import write_archive
from buildrules.oci.docker import load
from buildrules.oci.docker_connect import connect
from buildrules.oci.docker_http import Engine
from buildrules.oci.image import Image
from tests.support.dockerlab import proxy_at
from tests.support.handmade import Shelf, image_of

pytestmark = pytest.mark.docker


class Package:
    """A program, a model and code, as the layers of an image whose output is the code."""

    def __init__(self, shelf: Shelf, busybox: bytes, name: str) -> None:
        self.shelf = shelf
        self.name = name
        # layers of this test alone: other tests share the engine
        self.base = shelf.layer({"bin/busybox": busybox, "id": os.urandom(8)}, "base", mode=0o755, packed=True)
        self.model = shelf.layer({"model/weights": os.urandom(3_000_000)}, "model")

    def image(self, text: str) -> Image:
        self.code = self.shelf.layer({"app/score.py": text.encode()}, "code")
        return image_of(
            [self.base, self.model, self.code],
            entrypoint=["/bin/busybox", "cat", "/app/score.py"],
            labels={"test": self.name},
        )


@pytest.fixture
def package(shelf: Shelf, busybox: bytes, name: str) -> Package:
    return Package(shelf, busybox, name)


def run(image: str) -> str:
    return subprocess.run(
        ["docker", "run", "--rm", "--network=none", image], check=True, capture_output=True, text=True
    ).stdout


def test_first_load_sends_everything_and_the_image_runs(engine: Engine, package: Package, shelf: Shelf) -> None:
    image = package.image("one")
    seen: list[tuple[int, int | None]] = []
    report = load(
        engine, image, [package.name + ":a"], shelf.stream, progress=lambda _, done, total: seen.append((done, total))
    )
    assert report.image_id == image.config_digest
    assert shelf.names_of(report.sent_layers) == ["base", "model", "code"]
    assert report.sent > 3_000_000
    assert seen[-1] == (report.sent, report.sent)
    assert run(package.name + ":a") == "one"
    found = engine.inspect_image(package.name + ":a")
    assert found is not None
    assert found["RootFS"]["Layers"] == image.diff_ids


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_code_edit_sends_the_code_only(engine: Engine, package: Package, shelf: Shelf, kind: str) -> None:
    with proxy_at(kind) as proxy:
        mine = connect({"DOCKER_HOST": proxy.host})
        load(mine, package.image("one"), [package.name], shelf.stream)
        shelf.asked.clear()
        image = package.image("two")
        report = load(mine, image, [package.name], shelf.stream)
    assert shelf.asked == [package.code.digest]
    assert shelf.names_of(report.skipped_layers) == ["base", "model"]
    assert report.sent < 40_000
    assert not report.retried
    assert run(package.name + ":latest") == "two"


def test_an_image_already_there_is_only_tagged(engine: Engine, package: Package, shelf: Shelf) -> None:
    image = package.image("one")
    load(engine, image, [package.name + ":a"], shelf.stream)
    shelf.asked.clear()
    report = load(engine, image, [package.name + ":a", package.name + ":b"], shelf.stream)
    assert report.sent == 0
    assert shelf.asked == []
    assert run(package.name + ":b") == "one"


def test_the_record_finds_layers_under_another_name(
    engine: Engine, package: Package, shelf: Shelf, tmp_path: Path
) -> None:
    load(engine, package.image("one"), [package.name + ":a"], shelf.stream, store=str(tmp_path))
    with proxy_at("unix") as proxy:
        mine = connect({"DOCKER_HOST": proxy.host})
        mine.host = engine.host  # the same engine as far as the record goes
        report = load(mine, package.image("two"), [package.name + ":b"], shelf.stream, store=str(tmp_path))
    assert shelf.names_of(report.sent_layers) == ["code"]
    assert not [request for request in proxy.requests if request == "GET /images/json"], "no search was needed"


def test_layers_are_found_without_a_record(engine: Engine, package: Package, shelf: Shelf) -> None:
    load(engine, package.image("one"), [package.name + ":a"], shelf.stream)
    report = load(engine, package.image("two"), [package.name + ":b"], shelf.stream)
    assert shelf.names_of(report.sent_layers) == ["code"]
    assert run(package.name + ":b") == "two"


def test_a_record_of_a_removed_image_is_no_harm(engine: Engine, package: Package, shelf: Shelf, tmp_path: Path) -> None:
    load(engine, package.image("one"), [package.name + ":a"], shelf.stream, store=str(tmp_path))
    engine.call("DELETE", f"/images/{package.name}:a")
    report = load(engine, package.image("two"), [package.name + ":a"], shelf.stream, store=str(tmp_path))
    assert shelf.names_of(report.sent_layers) == ["base", "model", "code"]
    assert not report.retried
    assert run(package.name + ":a") == "two"


@pytest.mark.parametrize("text", ["", "{", '{"version": 2, "images": []}', '{"version": 1}', "\x00"])
def test_a_broken_record_is_no_harm(engine: Engine, package: Package, shelf: Shelf, tmp_path: Path, text: str) -> None:
    load(engine, package.image("one"), [package.name], shelf.stream, store=str(tmp_path))
    (record,) = (tmp_path / "docker").iterdir()
    record.write_text(text)
    image = package.image("two")
    assert shelf.names_of(load(engine, image, [package.name], shelf.stream, store=str(tmp_path)).sent_layers) == [
        "code"
    ]
    rows = [[layer.diff_id, layer.digest] for layer in image.layers]
    assert json.loads(record.read_text())["images"] == {image.config_digest: rows}


def test_the_same_layer_twice(engine: Engine, package: Package, shelf: Shelf) -> None:
    load(engine, package.image("one"), [package.name], shelf.stream)
    image = image_of(
        [package.base, package.model, package.base],
        entrypoint=["/bin/busybox", "ls", "/model"],
        labels={"test": package.name},
    )
    report = load(engine, image, [package.name], shelf.stream)
    assert shelf.names_of(report.skipped_layers) == ["model"]
    assert run(package.name) == "weights\n"


def test_an_engine_that_promised_too_much_gets_everything(engine: Engine, package: Package, shelf: Shelf) -> None:
    """An image can vanish between the question and the load; here the proxy answers for one that is not there."""
    image = package.image("one")
    other = image_of([shelf.layer({"x": os.urandom(8)})], labels={"test": package.name})
    load(engine, other, [package.name], shelf.stream)

    def lie(answer: bytes) -> bytes:
        document = json.loads(answer)
        if "RootFS" in document:
            document["RootFS"]["Layers"] = image.diff_ids[:2]
        return json.dumps(document).encode()

    with proxy_at("unix") as proxy:
        proxy.changes[f"GET /images/{package.name}"] = lie
        report = load(connect({"DOCKER_HOST": proxy.host}), image, [package.name], shelf.stream)
    assert report.retried
    assert report.skipped_layers == ()
    assert run(package.name) == "one"


@pytest.mark.parametrize("driver", [None, {"Name": "overlayfs"}])
def test_the_containerd_store_gets_everything(
    engine: Engine, package: Package, shelf: Shelf, driver: dict[str, str] | None
) -> None:
    load(engine, package.image("one"), [package.name], shelf.stream)

    def other_driver(answer: bytes) -> bytes:
        return json.dumps({**json.loads(answer), "GraphDriver": driver}).encode()

    def containerd(answer: bytes) -> bytes:
        return json.dumps(
            {**json.loads(answer), "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
        ).encode()

    with proxy_at("unix") as proxy:
        proxy.changes["GET /info"] = containerd
        proxy.changes["GET /images/.*/json"] = other_driver
        report = load(connect({"DOCKER_HOST": proxy.host}), package.image("two"), [package.name], shelf.stream)
    assert shelf.names_of(report.sent_layers) == ["base", "model", "code"]


def test_a_file_edited_after_the_build_leaves_nothing(engine: Engine, package: Package, shelf: Shelf) -> None:
    image = package.image("one")
    shelf.data[package.code.digest] = shelf.data[package.code.digest].replace(b"one", b"two")
    with pytest.raises(IntegrityError, match="changed since the build") as caught:
        load(engine, image, [package.name], shelf.stream)
    assert caught.value.hint
    assert engine.inspect_image(image.config_digest) is None


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1], lambda data: b""])
def test_a_layer_of_another_size_is_refused(engine: Engine, package: Package, shelf: Shelf, change: object) -> None:
    image = package.image("one")
    shelf.data[package.model.digest] = change(shelf.data[package.model.digest])  # type: ignore[operator]
    with pytest.raises(IntegrityError, match="changed since the build"):
        load(engine, image, [package.name], shelf.stream)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_an_engine_gone_in_the_middle(package: Package, shelf: Shelf, engine: Engine, kind: str) -> None:
    with proxy_at(kind) as proxy:
        mine = connect({"DOCKER_HOST": proxy.host})
        proxy.cut = 1_000_000
        with pytest.raises(DockerError) as caught:
            load(mine, package.image("one"), [package.name], shelf.stream)
    assert caught.value.hint
    assert engine.inspect_image(package.name) is None


def test_a_wrong_diff_id_is_refused_with_the_engines_words(engine: Engine, package: Package, shelf: Shelf) -> None:
    package.model.diff_id = "sha256:" + "0" * 64
    with pytest.raises(DockerError, match=r"(?i)diffid"):
        load(engine, package.image("one"), [package.name], shelf.stream)


def test_bad_names_are_refused_before_anything_is_sent(engine: Engine, package: Package, shelf: Shelf) -> None:
    for bad in ("UPPER/x", "x:y z", "", "a//b", "x@sha256:00", "-x"):
        with pytest.raises(UsageError, match="not an image name"):
            load(engine, package.image("one"), [bad], shelf.stream)
    assert shelf.asked == []


def test_docker_reads_the_archive_itself(engine: Engine, package: Package, shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    image = package.image("from a file")
    write_archive(str(path), image, shelf.stream, names=[package.name + ":file"])
    subprocess.run(["docker", "load", "-i", path], check=True, capture_output=True)
    assert run(package.name + ":file") == "from a file"
    found = engine.inspect_image(package.name + ":file")
    assert found is not None
    assert found["Id"] == image.config_digest
