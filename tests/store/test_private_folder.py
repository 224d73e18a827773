"""Folders with secrets: for this user alone, and gone with whoever made them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import buildrules
from buildrules.errors import StoreError
from buildrules.store.private_folder import private_folder, sweep

MAKER = """
import sys
from buildrules.store.private_folder import private_folder
with private_folder(sys.argv[1]) as folder:
    open(folder + "/netrc", "w").write("secret")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_private_and_goes(tmp_path: Path) -> None:
    with private_folder(str(tmp_path / "tmp")) as folder:
        assert os.stat(folder).st_mode & 0o7777 == 0o700
        assert os.path.dirname(folder) == str(tmp_path / "tmp")
        with private_folder(str(tmp_path / "tmp")) as other:
            assert other != folder
        sweep(str(tmp_path / "tmp"))
        assert os.path.isdir(folder)
    assert [name for name in os.listdir(tmp_path / "tmp") if name[0] != "."] == []
    sweep(str(tmp_path / "none"))


@pytest.mark.parametrize("by", ["the next folder", "the next build"])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, by: str) -> None:
    root = str(Path(buildrules.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        sweep(str(tmp_path))
        assert (left / "netrc").read_text() == "secret"  # its maker lives
        process.send_signal(signal.SIGKILL)
        process.wait()
    if by == "the next build":
        sweep(str(tmp_path))
    else:
        with private_folder(str(tmp_path)):
            pass
    assert not left.exists()


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to the store"), private_folder(str(tmp_path / "file")):
        pass
