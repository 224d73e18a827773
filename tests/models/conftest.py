"""Servers that models come from, and images whose fetcher is run as a plain process."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.space import APP, Report, Space
from tests.support.web import Web

FETCHER, START = "downloads at start: fetcher", "downloads at start: list of files"


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server with faults."""
    server = Web()
    yield server
    server.close()


class Start:
    """The layers of an image that fetch at start, unpacked below `root`; `model` is where start.json puts the model."""

    def __init__(self, space: Space, report: Report, root: Path) -> None:
        self.root = root
        self.place = root / "opt/buildrules"
        for origin in (FETCHER, START):
            blob = space.blobs()[report.layer(origin)["digest"]]
            with tarfile.open(fileobj=io.BytesIO(blob.read_bytes())) as archive:
                archive.extractall(root, filter="data")

    @property
    def text(self) -> str:
        return (self.place / "start.json").read_text()

    def command(self, *server: str) -> list[str]:
        return [sys.executable, "-ISB", str(self.place), "--", *server]

    def begin(self, *server: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start it in an environment that holds nothing else."""
        return subprocess.Popen(
            self.command(*server),
            env={"PATH": os.environ["PATH"], **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *server: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        """What it says, until it ends with this exit code."""
        process = self.begin(*server, env={"BUILDRULES_FETCH_TRIES": "2", **(env or {})})
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"exit code {process.returncode}, not {code}:\n{out}{err}"
        return out + err


def download(space: Space, report: Report | None = None) -> Start:
    """Build //:app and unpack what fetches its models."""
    folder = space.folder / f"image-{os.urandom(3).hex()}"
    folder.mkdir()
    return Start(space, report or space.build(), folder)


def from_uri(space: Space, uri: str, more: str = "", *, package: str = "") -> Path:
    """Make the model of //:app come from `uri`; it is laid in the directory that is given back."""
    directory = space.folder / "served"
    space.edit("BUILD.yaml", "{rule: model, path: weights}", f'{{rule: model, uri: "{uri}"{more}}}')
    space.append("BUILD.yaml", f"    mount_path: {directory}\n{package}")
    return directory


__all__ = ["APP", "FETCHER", "START", "Start", "download", "from_uri"]
