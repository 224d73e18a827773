"""Which examples of a kind the quick tests have."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_quick(examples: Iterable[Any]) -> list[Any]:
    """Examples of one kind, to parametrize with: the quick tests have the first, the slow ones the others."""
    first, *others = examples
    rows = (one if isinstance(one, tuple) else (one,) for one in others)
    return [first, *(pytest.param(*row, marks=pytest.mark.slow) for row in rows)]
