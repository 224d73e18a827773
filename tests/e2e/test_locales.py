"""A machine's locale says how names are shown to people there. It says nothing about what lands in an image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.space import APP, Space

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(space: Space, *args: str, cwd: str | Path = ".", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "buildrules", *args],
        cwd=space.root / cwd,
        env={**space.env, "PYTHONPATH": str(Path(__file__).parents[2]), **env},
        capture_output=True,
        check=False,
    )


def test_a17_names_of_files_are_utf8_in_every_locale(workspace: Space) -> None:
    (workspace.root / "weights/caf\u00e9.bin").write_bytes(b"x" * 99)
    digest = workspace.build().digest
    result = run(workspace, "build", APP, **ASCII, BUILDRULES_CACHE_DIR=str(workspace.folder / "fresh"))
    assert result.returncode == 0, result.stderr
    assert digest.encode() in result.stdout


def test_a17_what_an_output_has_no_letter_for_is_escaped(workspace: Space) -> None:
    out = workspace.folder / "fa\u00e7ade"
    result = run(workspace, "export", APP, "-o", str(out), PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert b"fa\\xe7ade" in result.stdout
    assert (out / "index.json").is_file()


@pytest.mark.parametrize("verb", ["build", "lock", "query", "show", "init"])
def test_a17_a_workspace_in_a_folder_without_a_name_in_utf8(workspace: Space, verb: str) -> None:
    place = os.fsencode(workspace.folder) + b"/caf\xe9"
    workspace.root.rename(os.fsdecode(place))
    result = run(workspace, verb, *([] if verb in ("lock", "init") else [APP]), cwd=os.fsdecode(place))
    assert result.returncode == 2
    assert b"caf\\udce9', is not UTF-8\n  hint: rename the folder" in result.stderr
