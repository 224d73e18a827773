"""Workspaces whose packages come from private feeds."""

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.python.conftest import make_sdist
from tests.support.canary import Canary
from tests.support.feed import MoodyFeed, Nginx, moody, nginx
from tests.support.space import WHEELS, Space, wheel

OPEN = dict(wheel(name, version, requires) for name, version, requires in WHEELS)
NOSY = """
import os, zipfile
import acmeback
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("environment:", dict(os.environ))
    info = "{name}-{version}.dist-info"
    filename = "{name}-{version}-{tag}.whl"
    metadata = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        archive.writestr("{name}.py", "environment = " + repr(dict(os.environ)))
        archive.writestr(info + "/METADATA", metadata)
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "/RECORD", "")
    return filename
"""
"""A back end that needs a private package to build, and writes the whole environment into the wheel and the log."""


def private_files() -> dict[str, bytes]:
    """What the private feed has: a wheel, one that a public index has too, a build requirement and a source archive."""
    name, data = make_sdist("acmesource", "1.0", backend=NOSY)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=buffer, mode="w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            assert content
            text = content.read().replace(b"requires = []", b'requires = ["acmeback==1.0"]')
            member.size = len(text)
            new.addfile(member, io.BytesIO(text))
    return {
        **dict([wheel("acmefeatures", "1.0"), wheel("shared", "1.0"), wheel("acmeback", "1.0")]),
        name: buffer.getvalue(),
    }


@pytest.fixture
def canary() -> Canary:
    return Canary(plain=True)


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    public = {**OPEN, **dict([wheel("shared", "9.0")])}
    with nginx(tmp_path_factory.mktemp("nginx") / "feed", private_files(), public) as running:
        yield running


@pytest.fixture
def feed(tmp_path: Path, canary: Canary) -> Iterator[MoodyFeed]:
    with moody(tmp_path / "feed-data", private_files(), ("__token__", canary.text)) as running:
        yield running


Make = Callable[..., Space]


@pytest.fixture
def private(tmp_path: Path, wheelhouse: Path, template: Path, web: Nginx) -> Make:
    """Make a workspace that takes packages from a private feed, and from nginx's open index otherwise."""

    def make(target: str, credentials: str, packages: str = "acmefeatures==1.0", **more: str) -> Space:
        space = Space(tmp_path / "space", wheelhouse).populate()
        connection = (
            f"  connections:\n    team: {{type: python_feed, target: '{target}', credentials: {credentials}}}\n"
        )
        space.edit("BUILD.yaml", "  platforms", connection + "  platforms")
        space.edit("BUILD.yaml", "[numlib==1.0]", f"[numlib==1.0, {packages}]" + more.get("env", ""))
        del space.env["UV_FIND_LINKS"]
        (space.folder / "uv.toml").write_text(f'[[index]]\nurl = "{web.open}"\ndefault = true\n')
        return space

    return make
