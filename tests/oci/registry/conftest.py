import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from buildrules.actions.fetching import fetch_parts
from buildrules.net.session import Session
from buildrules.oci.config import ImageConfig
from buildrules.oci.descriptor import Layer
from buildrules.oci.image import Image, build_image, build_index
from buildrules.oci.layout import write_layout
from buildrules.oci.push.plan import make_plan
from buildrules.oci.push.pushing import push as carry_out
from buildrules.oci.push.report import PushReport
from buildrules.oci.push.shipment import PushBlob, PushManifest, Shipment
from buildrules.oci.registry import Registry
from buildrules.oci.supply import Origin, Supply
from buildrules.sha256 import digest_of
from buildrules.start import retry
from buildrules.store.blobs import Blobs
from tests.oci.registry.servers import TokenServer, htpasswd_auth, registry, web
from tests.support.handmade import Shelf

PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass
class Run:
    """What an action may use, and what it was told."""

    workspace: str
    blobs: Blobs
    jobs: int = 2
    fetched: int = 0
    reports: list[tuple[str, int, int | None]] = field(default_factory=list)
    cancelled: bool = False
    session: Session = field(default_factory=Session)

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.reports.append((what, done, total))

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        self.fetched += fetched

    def warn(self, message: str) -> None:
        raise AssertionError(message)


def pulled(registry: Registry, digest: str, size: int | None = None) -> bytes:
    """A blob, fetched into a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run("", Blobs(folder))
        registry.fetch(digest, size, run)
        return run.blobs.read(digest)


def streamed(layer: Layer, places: dict[str, Any], run: Run) -> Iterator[bytes]:
    """The bytes of a layer that lies at `places`."""
    return Supply(run, lambda _: Origin(places), fetch_parts)(layer)


def push(
    registry: Registry,
    blobs: Sequence[PushBlob],
    manifest: bytes,
    media_type: str,
    tags: Sequence[str],
    run: Run | None = None,
) -> PushReport:
    """Push one image."""
    context = run or Run("", Blobs(""))
    shipment = Shipment(registry, [PushManifest(digest_of(manifest), media_type, manifest)], blobs, tags)
    return carry_out(make_plan([shipment], context), context)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tries begin at once."""
    monkeypatch.setattr(retry, "BACKOFF", 0.001)


@pytest.fixture(autouse=True)
def _no_docker_config(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of whoever runs the tests stay out of them."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker-config")))


@pytest.fixture
def blobs(tmp_path: pathlib.Path) -> Blobs:
    return Blobs(str(tmp_path / "store"))


@pytest.fixture
def run(tmp_path: pathlib.Path, blobs: Blobs) -> Run:
    return Run(str(tmp_path), blobs)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry without authentication; `host:port`."""
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="session")
def locked_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with Basic authentication."""
    directory = tmp_path_factory.mktemp("registry-htpasswd")
    with registry(directory, htpasswd_auth(directory)) as host:
        yield host


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenServer:
    return TokenServer(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="session")
def token_hub(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[str]:
    """A registry with Bearer tokens of the server `tokens`."""
    with (
        web(tokens.answer) as server,
        registry(tmp_path_factory.mktemp("registry-token"), tokens.registry_auth(server.host)) as host,
    ):
        yield host


class Gallery:
    """One image for two platforms, with a shared layer of 3 MB and a small one each."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.shelf = Shelf()
        self.big = self.shelf.layer({"opt/big": os.urandom(3 << 20)}, "big", packed=True)
        self.images: dict[str, Image] = {}
        for platform in PLATFORMS:
            small = self.shelf.layer({"etc/platform": platform.encode()}, "small")
            config = ImageConfig(environment={"PYTHON_VERSION": "3.11.9", "HOME": "/tmp"}, cmd=("python3",))
            self.images[platform] = build_image([self.big, small], config, platform)
        self.index = build_index(
            [(name, image.descriptor()) for name, image in self.images.items()], list(self.images.values())
        )
        self.layout = directory / "layout"
        write_layout(str(self.layout), self.index, self.shelf.stream, names=["base:both"])
        write_layout(str(self.layout), self.images["linux/amd64"], self.shelf.stream, names=["base:amd64"])

    @property
    def image(self) -> Image:
        return self.images["linux/amd64"]


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return Gallery(tmp_path_factory.mktemp("gallery"))


def skopeo(*arguments: str) -> str:
    """Run skopeo on registries without TLS; its output."""
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def published(hub: str, gallery: Gallery) -> str:
    """The gallery in the open registry, put there by skopeo; `host/repository` with tags `both` and `amd64`."""
    for tag, extra in (("both", ["--all"]), ("amd64", [])):
        arguments = [*extra, "--preserve-digests", "--dest-tls-verify=false"]
        skopeo("copy", *arguments, f"oci:{gallery.layout}:base:{tag}", f"docker://{hub}/base:{tag}")
    return f"{hub}/base"


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of the Docker Engine. In CI its absence is a failure."""
    import docker
    import docker.errors

    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Docker Engine answers: {error}")
    yield client
    client.close()
