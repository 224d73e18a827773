"""The real examples: built from the package registries, loaded into Docker, run, and asked."""

import json
import os
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy
from tests.support.example import Example

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("examples")]


class Examples(Example):
    """All of them, under a workspace name of their own."""

    def __init__(self, folder: Path, store: Path) -> None:
        super().__init__("examples", folder / "examples", store)
        self.name = f"buildrules-test-{os.urandom(4).hex()}"
        build = self.root / "BUILD.yaml"
        build.write_text(build.read_text().replace("name: examples", f"name: {self.name}"))

    def answer(self, package: str) -> Any:
        """What a package of `models/` answers to its sample request."""
        return self.ask(f"//models:{package}", sample=f"models/{package}/sample-request.json")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, examples_store: Path) -> Examples:
    made = Examples(tmp_path_factory.mktemp("real"), examples_store)
    made.run("build", "//...", "--locked")
    return made


@pytest.fixture(scope="module")
def engine(examples: Examples) -> Iterator[Engine]:
    found = running_engine()
    with tidy(found, examples.name):
        yield found


def test_the_packages_share_what_they_can(examples: Examples) -> None:
    report = json.loads(examples.run("build", "//...", "--json"))
    layers = {
        target["label"]: [layer["digest"] for layer in target["layers"]]
        for target in report["targets"]
        if target["digest"]
    }
    assert set(layers) == {
        f"//models:{name}" for name in ("regressor", "iris", "wine", "digits", "both", "iris_api", "digits_api")
    }
    shared = set.intersection(*map(set, layers.values()))
    assert len(shared) == 20  # the base, the virtual environment, the environment, and the bytecode of each
    both = set(layers["//models:regressor"]) & set(layers["//models:iris"])
    assert len(both) == len(layers["//models:iris"]) - 2  # all but model and code
    only = set(layers["//models:iris_api"]) & set(layers["//models:digits_api"]) - set(layers["//models:wine"])
    assert len(only) == 1  # the library
    assert report["bytes"]["fetched"] == 0


def test_two_packages_of_one_environment_differ_in_model_and_code(examples: Examples) -> None:
    found = json.loads(examples.run("diff", "//models:iris", "//models:regressor", "--json"))
    assert [layer["name"] for layer in found["layers"]] == ["model: small files", "scoring code"]
    assert not found["python"] and not found["debian"]
    assert len(found["files"]) == 4
    other = json.loads(examples.run("diff", "//models:iris", "//models:wine", "--json"))
    assert {row["name"]: row["mark"] for row in other["python"]}["azureml-inference-server-http"] == "-"


def test_a_recipe_lists_what_the_layer_holds(examples: Examples) -> None:
    weighed = json.loads(examples.run("size", "//models:regressor", "--json"))
    layout = examples.root.parent / "layout"
    examples.run("export", "//models:regressor", "-o", str(layout))
    kept = examples.env["BUILDRULES_CACHE_DIR"]
    examples.env["BUILDRULES_CACHE_DIR"] = str(examples.root.parent / "empty-store")  # which has noted no listing
    try:
        there = json.loads(examples.run("size", f"oci-layout:{layout}", "--json"))
    finally:
        examples.env["BUILDRULES_CACHE_DIR"] = kept
    assert weighed["size"] == there["size"]
    for layer, other in zip(weighed["layers"], there["layers"], strict=True):
        if not layer["name"].startswith("base: "):  # whose Debian packages only the plan knows
            assert other == layer
    assert there["suggestions"] == weighed["suggestions"]


@pytest.mark.docker
def test_the_regressor_answers_to_the_last_digit(examples: Examples, engine: Engine) -> None:
    assert examples.answer("regressor") == [11055.977245525679, 4503.079536107787]


@pytest.mark.docker
def test_the_other_examples_answer(examples: Examples, engine: Engine) -> None:
    assert examples.answer("iris") == ["setosa", "virginica"]
    assert examples.answer("wine") == {"cultivars": [0, 1, 2]}
    assert examples.answer("digits") == {"digits": [3, 7]}
    assert "passed      //models:both_test" in examples.run("test", "//models:both_test")
    assert "2 passed" in examples.run("test", "//models:iris_api", "//models:digits_api")


@pytest.mark.docker
def test_a_code_edit_loads_one_layer(examples: Examples, engine: Engine) -> None:
    examples.run("load", "//models:regressor")
    score = examples.root / "models/regressor/src/score.py"
    score.write_text(score.read_text() + f"# {os.urandom(4).hex()}\n")
    out = examples.run("load", "//models:regressor")
    assert ": sent 1 layer, " in out
    assert "33 layers, " in out


def test_the_regressor_for_another_processor(examples: Examples) -> None:
    """Built here for arm64: no program of the target is run, so only the structure tells."""
    layout = examples.root.parent / "arm64"
    examples.run("export", "//models:regressor", "--platform", "linux/arm64", "-o", str(layout))
    blobs = layout / "blobs" / "sha256"
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    assert json.loads((blobs / manifest["config"]["digest"][7:]).read_text())["architecture"] == "arm64"
    machines = set()
    seen = 0
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"][7:]) as archive:
            for member in archive:
                if member.isfile() and (".so" in member.name or "/bin/" in member.name):
                    file = archive.extractfile(member)
                    assert file is not None
                    head = file.read(20)
                    if head[:4] == b"\x7fELF":
                        machines.add(struct.unpack_from("<H", head, 18)[0])
                        seen += 1
    assert machines == {183}  # EM_AARCH64, ELF specification, e_machine
    assert seen > 300
