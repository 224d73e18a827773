"""What the unchanged and the code-edit path import must stay light."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["root", "labels", "globs"])
def test_nothing_heavy_is_imported(module: str) -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        f"import buildrules.workspace.{module}\n"
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name and not name.startswith('_')))"
    )
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    light = {
        "buildrules",
        "re",
        "enum",
        "types",
        "operator",
        "functools",
        "collections",
        "keyword",
        "reprlib",
        "copyreg",
    }
    assert set(result.stdout.split()) <= light | {"itertools"}
