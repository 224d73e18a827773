"""The Azure ML example's own package files, unmodified: built, run, and asked. (azureml-examples, MIT, in examples/)"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy
from tests.support.example import Example

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("examples")]
ANSWER = [11055.977245525679, 4503.079536107787]
OPTIONS = ("--model", "model", "--python", "3.11")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, examples_store: Path) -> Example:
    """The example's folder and nothing else: no workspace is around it."""
    folder = tmp_path_factory.mktemp("azureml")
    return Example("examples/models/regressor", folder / f"buildrules-test-{os.urandom(4).hex()}", examples_store)


@pytest.fixture(scope="module")
def engine(example: Example) -> Iterator[Engine]:
    found = running_engine()
    with tidy(found, example.root.name):
        yield found


@pytest.mark.docker
@pytest.mark.parametrize("package", ["package-moe.yml", "package-external.yml"])
def test_the_package_answers_to_the_last_digit(example: Example, engine: Engine, package: str) -> None:
    assert example.ask("--package", package, *OPTIONS) == ANSWER


def test_what_is_imported_is_the_same_image(example: Example) -> None:
    digests = {}
    for package, label in (
        ("package-moe.yml", "//:sklearn-regression-online-pkg"),
        ("package-external.yml", "//:sklearn-regression-docker-pkg"),
    ):
        (target,) = json.loads(example.run("build", "--package", package, *OPTIONS, "--json"))["targets"]
        assert target["target_environment"]["name"] == label[3:]
        digests[label] = target["digest"]
    example.run("import", "azureml", "package-moe.yml", "package-external.yml", *OPTIONS)
    report = json.loads(example.run("build", "//...", "--json", "--locked"))
    assert {target["label"]: target["digest"] for target in report["targets"] if target["label"] in digests} == digests
    assert report["bytes"]["fetched"] == 0
