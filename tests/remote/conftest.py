"""The places of the conformance suite. A new one is a file in `servers` and a line in PLACES."""

import importlib
from collections.abc import Iterator

import pytest

from buildrules.remote.backend import Backend
from tests.remote.servers.place import Place

PLACES = {
    "folder": {"lists", "plants"},
    "nginx": {"proxied", "http", "plants", "hurries"},
    "swift": {"proxied", "http", "plants", "hurries", "lists"},
    "registry": {"proxied", "http", "hurries", "lists"},
    "casd": {"proxied", "hurries"},
}
"""What can be done with each of them, for tests that are marked `able` to need it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each test meet the places that can do what it needs."""
    if "where" not in metafunc.fixturenames:
        return
    needs = {need for mark in metafunc.definition.iter_markers("able") for need in mark.args}
    if "proxied" in metafunc.fixturenames:
        needs.add("proxied")
    names = [name for name, can in PLACES.items() if needs <= can]
    assert names
    params = [pytest.param(name, marks=() if name == "folder" else pytest.mark.network) for name in names]
    metafunc.parametrize("where", params, scope="module")


@pytest.fixture(scope="module")
def place(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with importlib.import_module(f"tests.remote.servers.{where}").place(tmp_path_factory) as found:
        can = {
            "proxied": found.host is not None,
            "http": found.host is not None and found.http,
            "plants": found.plant is not None,
            "hurries": any(limit.endswith(".SHORT") for limit in found.patience),
        }
        assert {name for name, does in can.items() if does} == PLACES[where] - {"lists"}
        yield found


@pytest.fixture
def proxied(place: Place) -> Place:
    """A place that something can stand in front of."""
    return place


@pytest.fixture
def backend(place: Place) -> Iterator[Backend]:
    with place.opened() as found:
        yield found
