"""A folder of Azure ML files, and commands run in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildrules.analysis.loaded import Loaded
from buildrules.cli.main import run
from buildrules.workspace.disk import Disk


@dataclass
class Said:
    """What a command gave."""

    code: int
    out: str
    err: str

    def has(self, *texts: str) -> "Said":
        for text in texts:
            assert text in self.out + self.err, f"{text!r} is missing in:\n{self.out}{self.err}"
        return self


class Folder:
    """A temporary folder; commands run in this process, in it."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._capture = capture
        monkeypatch.setenv("BUILDRULES_CACHE_DIR", str(root.parent / "store"))
        monkeypatch.chdir(root)

    def write(self, files: Mapping[str, str]) -> "Folder":
        for path, text in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return self

    def run(self, *args: str, code: int | None = 0) -> Said:
        """Run a command; `code` is the exit code it must have (None: any)."""
        self._capture.readouterr()
        got = run(list(args))
        captured = self._capture.readouterr()
        assert code is None or got == code, f"exit code {got}, not {code}:\n{captured.out}{captured.err}"
        return Said(got, captured.out, captured.err)

    def build_file(self, path: str = "BUILD.yaml") -> str:
        return (self.root / path).read_text()

    def loads(self) -> Loaded:
        """The workspace as it was written: raises what is wrong with it."""
        return Loaded(Disk(os.path.realpath(self.root)))


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Folder:
    root = tmp_path / "of" / "its" / "own" / "ws"  # files nearby are looked for three levels up: no other test's
    root.mkdir(parents=True)
    return Folder(root, capsys, monkeypatch)
