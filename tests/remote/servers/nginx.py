"""nginx as `cache/nginx` sets it up: everybody reads, who has the password writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from tests.remote.servers.folder import plant
from tests.remote.servers.place import Place
from tests.support.cache_server import PASSWORD, WRITER, cache_server


@contextmanager
def place(factory: pytest.TempPathFactory) -> Iterator[Place]:
    with cache_server(factory.mktemp("nginx") / "server") as running:

        def spoil(name: str, data: bytes) -> None:
            plant(running.data / "cas" / "sha256" / name[:2] / name, data)

        url = f"http://{WRITER}:{quote(PASSWORD)}@{running.host}"
        yield Place(url, running.host, patience=("http.IDLE", "http.SHORT"), plant=spoil)
