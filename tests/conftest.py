"""Fixtures for tests that go the whole way: a small workspace and the real command line."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.space import Space, make_wheels


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels, the only place uv finds packages in."""
    return make_wheels(tmp_path_factory.mktemp("wheels") / "links")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Path:
    """A populated workspace with its locks, to copy."""
    space = Space(tmp_path_factory.mktemp("template"), wheelhouse).populate()
    space.run("lock")
    return space.root


@pytest.fixture
def new_space(tmp_path: Path, wheelhouse: Path, template: Path) -> Callable[..., Space]:
    """Make workspaces that share nothing: `new_space()`, `new_space("second")`, `new_space(locked=False)`."""

    def make(name: str = "first", *, locked: bool = True) -> Space:
        space = Space(tmp_path / name, wheelhouse)
        shutil.copytree(template, space.root, ignore=None if locked else shutil.ignore_patterns("*.toml", "*.lock"))
        return space

    return make


@pytest.fixture
def workspace(new_space: Callable[..., Space]) -> Space:
    """The usual workspace, locked, never built."""
    return new_space()


@pytest.fixture
def built(workspace: Space) -> Space:
    """The usual workspace after a first build."""
    workspace.build()
    return workspace


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte. Only root can mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if os.getuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)
