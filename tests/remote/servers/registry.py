"""A registry of images."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.oci.registry.servers import registry
from tests.remote.servers.place import Place


@contextmanager
def place(factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = factory.mktemp("registry")
    environment = {"DOCKER_CONFIG": str(folder)}
    with registry(folder) as host:
        patience = ("registry.IDLE", "registry.SHORT")
        yield Place(
            f"oci://{host}/team/cache",
            host,
            environment=environment,
            checks=True,
            patience=patience,
        )
