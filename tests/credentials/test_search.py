"""The search for a canary finds one that was planted, wherever that is: otherwise finding none says nothing."""

import base64
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest

from tests.support.canary import Canary, CommandLines


def _zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", data)
    return buffer.getvalue()


def _tar(data: bytes, mode: Literal["w", "w:gz"] = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        entry = tarfile.TarInfo("x")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _archive(data: bytes) -> bytes:
    """As an exported image: layers, packed, in a tar."""
    return _tar(_tar(data), "w")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zlib.compress, _zip, _tar, _archive])
@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda text: quote(text, safe=""),
        lambda text: text[8:40],
        *(lambda text, user=user: base64.b64encode(f"{user}:{text}".encode()).decode() for user in ("a", "me", "you")),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: text.encode().hex(),
    ],
)
def test_what_was_planted_is_found(tmp_path: Path, form: Callable[[str], str], pack: Callable[[bytes], bytes]) -> None:
    canary = Canary()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").write_bytes(pack(b"\0" * 100 + form(canary.text).encode() + b"\0" * 100))
    (tmp_path / "innocent").write_bytes(pack(form("canary-" + "0" * 24).encode()))
    assert canary.found(tmp_path) == [str(tmp_path / "deep/file")]


def test_names_count(tmp_path: Path) -> None:
    canary = Canary(plain=True)
    (tmp_path / canary.text).mkdir()
    (tmp_path / "link").symlink_to(canary.text)
    assert len(canary.found(tmp_path)) == 2


def test_command_lines_are_seen() -> None:
    canary = Canary()
    with CommandLines() as lines:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)", canary.text], check=True)
    assert canary.inside(lines.text())
