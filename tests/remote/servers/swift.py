"""OpenStack Swift's S3 interface."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.remote.servers.place import Place
from tests.support.swift import swift_server


@contextmanager
def place(factory: pytest.TempPathFactory) -> Iterator[Place]:
    with swift_server(factory) as server:
        bucket = server.bucket(f"cache-{os.urandom(8).hex()}")

        def plant(name: str, data: bytes) -> None:
            server.put(bucket, f"team/cas/sha256/{name[:2]}/{name}", data)

        host = server.endpoint.partition("://")[2]
        limits = ("objects.IDLE", "objects.SHORT")
        yield Place(f"s3://{bucket}/team", host, environment=server.environment, patience=limits, plant=plant)
