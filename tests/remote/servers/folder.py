"""A folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.remote.servers.place import Place


@contextmanager
def place(factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = factory.mktemp("folder")
    yield Place(f"file://{root}", plant=lambda name, data: plant(root / "cas" / "sha256" / name[:2] / name, data))


def plant(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
