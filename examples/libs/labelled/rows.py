"""Rows of numbers as they come in a request."""

import numpy


def table(rows: list[list[float]], width: int) -> numpy.ndarray:
    """The rows as an array of `width` columns. Raises ValueError."""
    for number, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"row {number} has {len(row)} numbers, not {width}")
    return numpy.array(rows, dtype=float).reshape(-1, width)
