"""Hand-made layers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from handmade import Shelf


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()
