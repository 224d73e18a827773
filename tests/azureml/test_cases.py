"""Conversions held against what they gave before: `cases/NAME` holds the files, `command`, and what must come out.

`expected.yaml` is the BUILD.yaml, `said.txt` what the command printed. A case without an `expected.yaml` must fail.
`code` is the exit code, where it is another one than that says.
"""

import shlex
import shutil
from pathlib import Path

import pytest

from tests.azureml.conftest import Folder

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.name for path in CASES.iterdir())


def test_there_are_cases() -> None:
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, folder: Folder) -> None:
    case = CASES / name
    shutil.copytree(case / "files", folder.root, dirs_exist_ok=True)
    command = shlex.split((case / "command").read_text())
    expected = case / "expected.yaml"
    code = int((case / "code").read_text()) if (case / "code").exists() else 0 if expected.exists() else 2
    said = folder.run("import", "azureml", *command, code=code)
    assert said.out + said.err == (case / "said.txt").read_text()
    if expected.exists():
        assert folder.build_file() == expected.read_text()
        folder.loads()
    else:
        assert not (folder.root / "BUILD.yaml").exists()
