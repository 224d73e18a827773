"""A workspace with a conda environment, and a channel in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.conda import MINOR, Channel, libc_files
from tests.support.space import Space, make_base

BUILD = """\
workspace:
  name: acme
  python: {bytecode: false}
targets:
  base: {rule: oci_base, layout: base}
  env: {rule: conda_env, base: ":base", conda_file: environment.yml}
"""
FILE = f"""\
name: x
channels:
  - ./channel
dependencies:
  - python={MINOR}
  - native=1
  - pure
  - pip:
    - needy
"""


def fill(channel: Channel, python: dict[str, bytes] | None = None) -> Channel:
    """The packages that the tests ask for; `python` are the files of one that runs."""
    files = python or {f"bin/python{MINOR}": b"\x7fELF\0no program"}
    channel.add("python", f"{MINOR}.4", {**files, "bin/python": f"python{MINOR}"}, licence="PSF-2.0")
    channel.add("native", "1.0", {"lib/libnative.so.1": b"\0" * 50, "lib/libnative.so": "libnative.so.1"})
    channel.add("native", "1.1", depends=["__glibc >=2.99"])
    channel.add("native", "2.0", depends=["native-base ==2.0"])
    site = "site-packages"
    channel.add(
        "pure",
        "2.0",
        {
            f"{site}/pure/__init__.py": b"def main():\n    print('pure')\n",
            f"{site}/numlib/__init__.py": b"version = '2.5'\n",
            f"{site}/pure-2.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pure\nVersion: 2.0\n",
        },
        python=True,
        depends=["python >=3.8", "native", "numlib"],
        entry_points=["pure = pure:main"],
    )
    numlib = f"lib/python{MINOR}/site-packages/numlib-2.5.dist-info/METADATA"
    channel.add(
        "numlib",
        "2.5",
        {numlib: b"Name: numlib\n", numlib.replace("numlib-2.5.dist-info/METADATA", "numlib/core.py"): b"core = 1\n"},
        depends=["python"],
        ending=".tar.bz2",
    )
    return channel


@pytest.fixture
def conda(tmp_path: Path, wheelhouse: Path) -> Callable[..., Space]:
    """Make a workspace; `python` are files of one that runs."""

    def make(name: str = "first", *, python: dict[str, bytes] | None = None, platforms: str = "") -> Space:
        space = Space(tmp_path / name, wheelhouse)
        build = BUILD.replace("  python: {bytecode: false}\n", "") if python else BUILD  # the other cannot be run
        space.write("BUILD.yaml", build.replace("name: acme\n", f"name: acme\n{platforms}"))
        space.write("environment.yml", FILE)
        fill(Channel(space.root / "channel"), python)
        files = libc_files() if python else None
        make_base(space.root / "base", python="", files=files, mode=0o755)
        return space

    return make


@pytest.fixture
def space(conda: Callable[..., Space]) -> Space:
    return conda()
