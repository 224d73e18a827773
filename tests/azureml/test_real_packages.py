"""The Azure ML example's own package files, unmodified: built, run, and asked. (azureml-examples, MIT, in examples/)"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import running_engine, tidy

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("examples")]
ANSWER = [11055.977245525679, 4503.079536107787]
OPTIONS = ("--model", "model", "--python", "3.11")


class Example:
    """A copy of the example's folder, and nothing else, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / f"buildrules-test-{os.urandom(4).hex()}"
        shutil.copytree(
            REPOSITORY / "examples/models/regressor", self.root, ignore=shutil.ignore_patterns("__pycache__")
        )
        self.env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BUILDRULES_CACHE_DIR": str(folder / "store")}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "buildrules", *args]

    def run(self, *args: str) -> str:
        done = subprocess.run(
            self.command(*args), cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, *args: str) -> Any:
        """`run` a package, send the sample request to its scoring route, stop it; returns the answer."""
        process = subprocess.Popen(
            self.command("run", *args),
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        url = None
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"scoring +(http://\S+)", line)
                url = found[1] if found else url
                if "following its log" in line:
                    break
            if url is None:
                pytest.fail(f"{args} did not start: {process.communicate()}")
            sample = (self.root / "sample-request.json").read_bytes()
            request = urllib.request.Request(url, sample, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return Example(tmp_path_factory.mktemp("azureml"))


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
