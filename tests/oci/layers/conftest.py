"""A workspace and a store of their own for each test, and wheels made by hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildrules.oci.local import Local
from buildrules.store.blobs import Blobs

REAL_WHEELS = [
    "numpy==2.3.1",
    "scikit-learn==1.7.0",
    "flask==3.1.1",  # a console script
    "jmespath==1.0.1",  # a script with "#!python" in .data/scripts
    "greenlet==3.2.3",  # .data/headers
    "pybind11-global==2.13.6",  # .data/data and headers
]


@pytest.fixture
def local(tmp_path: Path) -> Local:
    (tmp_path / "workspace").mkdir()
    return Local(Blobs(str(tmp_path / "store")), {})


@pytest.fixture(scope="session")
def real_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels as they are published, fetched through pip's own configuration."""
    folder = tmp_path_factory.mktemp("wheels")
    platform = ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    platform += ["--platform=manylinux2014_x86_64", "--implementation=cp"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), *platform, *REAL_WHEELS]
    subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return sorted(folder.glob("*.whl"))
