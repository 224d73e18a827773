"""The kinds `image` and `index`, as the engine runs them."""

import json
from pathlib import Path

import pytest

from buildrules.actions.image import ImageKind, IndexKind
from buildrules.engine.action import Action, Outputs
from buildrules.errors import ActionError
from buildrules.net.session import Session
from buildrules.oci.image import read_image, read_index
from buildrules.store.blobs import Blobs
from tests.support.handmade import Shelf
from tests.support.steps import step


class Bench:
    """The part of an engine an action needs."""

    def __init__(self, folder: Path) -> None:
        self.workspace = str(folder)
        self.blobs = Blobs(str(folder / "store"))
        self.jobs = 1
        self.session = Session()
        self.cancelled = False

    def progress(self, what: str, done: int, total: int | None) -> None: ...

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None: ...

    def warn(self, message: str) -> None: ...


OTHER = "sha256:" + "b" * 64


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def image_action(*roles: str, **params: object) -> Action:
    params = {"platform": "linux/amd64", **params}
    return Action(id="i", target="//m:x", kind="image", title="image of //m:x", params=params, roles=roles)


def test_layers_are_stacked_and_settings_inherited(bench: Bench, shelf: Shelf) -> None:
    base = Outputs(
        layers=[shelf.layer({"a": b"1"}, "base"), shelf.layer({"b": b"1"}, "base 2")],
        values={
            "layers": ["system", "python"],
            "config": {"Env": ["PATH=/bin", "A=base"], "User": "me", "Cmd": ["sh"]},
        },
    )
    code = Outputs(
        layers=[shelf.layer({"c": b"1"}, "code")], values={"labels": {"from": "code"}, "models": {"/m": OTHER}}
    )
    action = image_action(
        "base",
        "scoring code",
        config={"environment": {"A": "user"}, "entrypoint": ["/serve"], "ports": [5001]},
        routes={"scoring": "5001/score"},
        model="sha256:1",
        labels={"team": "risk"},
        created=86400,
    )
    outputs = ImageKind().run(step(action, [], [base, code]), bench)
    image = read_image(bench.blobs, outputs.values["digest"], outputs.layers)
    assert shelf.names_of(outputs.layers) == ["base", "base 2", "code"]
    words = ["base: system", "base: python", "scoring code"]
    assert [row["created_by"] for row in image.settings["history"]] == [f"buildrules {word}" for word in words]
    assert image.settings["created"] == "1970-01-02T00:00:00Z"
    assert image.settings["config"] == {
        "Env": ["A=user", "PATH=/bin"],
        "Entrypoint": ["/serve"],
        "ExposedPorts": {"5001/tcp": {}},
        "User": "me",
        "Labels": {
            "buildrules.image": "1",
            "buildrules.model": "sha256:1",
            "buildrules.models": '{"/m":"' + OTHER + '"}',
            "buildrules.ports": "5001/tcp",
            "buildrules.routes": '{"scoring":"5001/score"}',
            "from": "code",
            "team": "risk",
        },
    }
    assert outputs.blobs == {"manifest": image.digest, "config": image.config_digest}
    assert outputs.values["config_digest"] == image.config_digest
    assert outputs.values["size"] == image.size
    assert ImageKind().run(step(action, [], [base, code]), bench).to_dict() == outputs.to_dict()
    json.dumps(outputs.to_dict())


def test_too_many_layers(bench: Bench, shelf: Shelf) -> None:
    layers = [shelf.layer({str(number): b""}, str(number)) for number in range(100)]
    assert ImageKind().run(step(image_action("a"), [], [Outputs(layers=layers[:99])]), bench).values["digest"]
    with pytest.raises(ActionError, match="the image of //m:x would have 100 layers") as caught:
        both = [Outputs(layers=layers[:99]), Outputs(layers=layers[99:])]
        ImageKind().run(step(image_action("a", "b"), [], both), bench)
    assert caught.value.hint


def test_wrong_settings_name_the_target(bench: Bench) -> None:
    with pytest.raises(ActionError, match="the image of //m:x: unknown image setting 'entry'"):
        ImageKind().run(step(image_action(config={"entry": ["x"]})), bench)


def test_an_index_of_two_platforms(bench: Bench, shelf: Shelf) -> None:
    shared = shelf.layer({"model": b"m" * 1000}, "model")
    images = [
        ImageKind().run(
            step(
                image_action("code", platform=platform),
                [],
                [Outputs(layers=[shelf.layer({"p": platform.encode()}), shared])],
            ),
            bench,
        )
        for platform in ("linux/amd64", "linux/arm64")
    ]
    action = Action(id="x", target="//m:x", kind="index", title="index")
    outputs = IndexKind().run(step(action, [], images), bench)
    index = read_index(bench.blobs, outputs.blobs["index"], outputs.layers)
    assert len(outputs.layers) == 3
    assert outputs.values["size"] == index.size
    assert outputs.values["platforms"] == {
        "linux/amd64": images[0].values["digest"],
        "linux/arm64": images[1].values["digest"],
    }
    assert [entry["platform"]["architecture"] for entry in json.loads(index.data)["manifests"]] == ["amd64", "arm64"]
    with pytest.raises(ActionError, match="given twice"):
        IndexKind().run(step(action, [], images[:1] * 2), bench)
