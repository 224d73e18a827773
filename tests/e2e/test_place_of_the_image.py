"""A package whose environment names a place in a registry is pushed there."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oci.registry.servers import registry
from tests.support.space import APP, Space


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry; `host:port`."""
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def pushed(place: str) -> str:
    """The digest that skopeo finds there."""
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{place}"], capture_output=True, check=True
    )
    return str(json.loads(done.stdout)["Digest"])


@pytest.mark.network
@pytest.mark.parametrize("by", ["host", "connection", "map"])
def test_push_goes_where_the_environment_says(built: Space, hub: str, by: str) -> None:
    before = built.build().targets[APP]["layers"]
    said = {
        "host": f'"{hub}/host/Served:3.1"',
        "connection": "prod/Served:3.1",
        "map": '{name: Served, version: "3.1", registry: prod}',
    }
    built.append("BUILD.yaml", f"    target_environment: {said[by]}\n")
    if by != "host":
        target = f"    prod: {{type: container_registry, target: 'http://{hub}/{by}/'}}\n"
        built.edit("BUILD.yaml", "  platforms", f"  connections:\n{target}  platforms")
    report = built.build().targets[APP]
    assert [layer["digest"] for layer in report["layers"]] == [layer["digest"] for layer in before]
    assert report["target_environment"] == {"name": "Served", "version": "3.1"}
    built.run("push", APP)
    assert pushed(f"{hub}/{by}/served:3.1") == report["digest"]
    bundle = built.folder / "bundle.tar"
    for tag, options in (("3.1", []), ("4", ["--tag", "4"])):
        made = json.loads(built.run("bundle", APP, "-o", str(bundle), "--json", *options).out)
        assert made["images"][0]["name"] == f"{hub}/{by}/served:{tag}"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("prod/served:3", "no connection of type container_registry"),
        ('"reg.example/UPPER/served:3"', "is not a place in a registry"),
        ('"reg.example/a/served:"', "ends without a version"),
        ("{name: a, registry: 'http://reg.example'}", "is not a place in a registry"),
    ],
)
def test_a_place_that_is_none_is_an_error_with_a_way_out(built: Space, said: str, words: str) -> None:
    built.append("BUILD.yaml", f"    target_environment: {said}\n")
    built.run("build", APP, code=2).said(words, "BUILD.yaml:")


def test_a_repository_that_is_named_wins(built: Space, tmp_path: Path) -> None:
    built.append("BUILD.yaml", "    target_environment: reg.example/a/served:3\n    repository: team/own\n")
    bundle = tmp_path / "bundle.tar"
    made = json.loads(built.run("bundle", APP, "-o", str(bundle), "--json").out)
    assert made["images"][0]["name"] == "team/own:latest"
