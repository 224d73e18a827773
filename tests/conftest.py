"""Fixtures for tests that go the whole way: a small workspace and the real command line."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from buildrules.oci.docker_http import Engine
from buildrules.start import secret
from tests.support.dockerlab import running_engine, static_busybox
from tests.support.handmade import Shelf
from tests.support.mlflow_server import Tracking, mlflow_server
from tests.support.service import run_folder
from tests.support.space import APP, Space, make_wheels
from tests.support.swift import Swift, swift_server

hypothesis.settings.register_profile("buildrules", deadline=None)  # no timed assertions, here neither
hypothesis.settings.load_profile("buildrules")

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # as for what a shell starts in the background; processes inherit it
        signal.signal(number, usual)

SLOW_SECONDS = 1800  # images are pulled, environments are made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests have longer than the `timeout` of pyproject.toml, which is there to end what would never end. They
    come first: otherwise one process has some of them left to do when all others are done."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """What one test had to conceal stands in the next one's messages."""
    yield
    for kept in (secret._wanted, secret._pieces, secret._known):
        kept.clear()


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this test run, the same for all its workers."""
    return run_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def real_store(run_directory: Path) -> Path:
    """A store for packages on the real base, so that a base or a wheel is fetched once in a run."""
    return run_directory / "real-store"


@pytest.fixture(scope="session")
def examples_store(run_directory: Path) -> Path:
    """A store for the real examples and what is made of them, for tests of the group `examples`."""
    return run_directory / "examples-store"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The Docker Engine, which the test is skipped without."""
    return running_engine()


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that needs nothing else in its image."""
    return static_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def shelf() -> Shelf:
    """Layers made by hand."""
    return Shelf()


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


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, template: Path) -> Path:
    """A store that has all records and blobs of the usual workspace, to copy."""
    space = Space(tmp_path_factory.mktemp("warm"), wheelhouse)
    shutil.copytree(template, space.root)
    space.build()
    for kept in ("logs", "workspaces"):
        shutil.rmtree(space.store / kept)
    return space.store


@pytest.fixture
def built(workspace: Space, warm: Path) -> Space:
    """The usual workspace after a build, which nobody had to wait for."""
    shutil.copytree(warm, workspace.store)
    workspace.build()
    return workspace


@pytest.fixture
def settled(workspace: Space, warm: Path) -> Space:
    """The usual workspace (and an empty package `lib`, an empty folder `sub`), whose next build changes nothing."""
    shutil.copytree(warm, workspace.store)
    workspace.write("lib/BUILD.yaml", "targets: {}\n")
    workspace.path("sub").mkdir()
    workspace.settle()
    workspace.settle("build", APP, "--json")
    return workspace


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte. Only root can mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if os.getuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        assert not os.environ.get("CI"), "CI runs as root and can mount a small disk"
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A real S3-compatible store of this test run."""
    with swift_server(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory, swift: Swift) -> Iterator[Tracking]:
    """A real MLflow tracking server of this test run, with a few models."""
    with mlflow_server(tmp_path_factory, swift) as server:
        yield server


@pytest.fixture
def new_bucket(swift: Swift) -> Callable[..., str]:
    """Make buckets with objects: `new_bucket({"key": b"content"})`, `new_bucket({}, versions=True)`."""

    def make(files: Mapping[str, bytes], *, versions: bool = False) -> str:
        bucket = swift.bucket(f"bucket-{os.urandom(8).hex()}", versions=versions)
        for key, content in files.items():
            swift.put(bucket, key, content)
        return bucket

    return make
