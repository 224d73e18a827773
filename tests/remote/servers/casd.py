"""A server of the Remote Execution API."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.remote.servers.place import Place
from tests.support.casd import casd_server


@contextmanager
def place(factory: pytest.TempPathFactory) -> Iterator[Place]:
    with casd_server(factory.mktemp("casd") / "content") as server:
        patience = ("rpc.DEADLINE", "reapi.SHORT")
        again = 3 << 20  # its messages have 2 MiB, and one counts once it is whole
        yield Place(server.url, server.host, http=False, checks=True, patience=patience, again=again)
