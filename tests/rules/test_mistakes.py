"""The error output of a BUILD.yaml full of mistakes, held as a golden file.

To take over a wanted change: UPDATE_GOLDEN=1 pytest tests/rules/test_mistakes.py, and read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"


def test_many_mistakes(load: Callable[..., Any]) -> None:
    errors = load(build=(GOLDEN / "many_mistakes.yaml").read_text()).errors
    text = ""
    for error in errors:
        text += f"{error.position}: {error.message}\n"
        text += f"{error.position.excerpt}\n" if error.position.excerpt else ""
        text += f"  hint: {error.hint}\n" if error.hint else ""
    expected = GOLDEN / "many_mistakes.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()
