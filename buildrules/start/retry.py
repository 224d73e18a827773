"""When to ask a server again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .failure import Failure

BACKOFF = 0.5  # seconds before the second try; doubles, with jitter
LONGEST_PAUSE = 30.0

T = TypeVar("T")


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(BACKOFF * 2.0 ** (failures - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


def retrying(attempt: Callable[[], T], tries: int, wait: Callable[[float], Any] = time.sleep) -> T:
    """What `attempt` gives, which is called up to `tries` times. Raises its Failure where another try does not help.

    `wait` gets the seconds to let pass.
    """
    for failures in range(1, tries + 1):
        try:
            return attempt()
        except Failure as failure:
            if not failure.retry or failures == tries:
                raise
            wait(pause(failures) if failure.wait is None else failure.wait)
    raise AssertionError("unreachable")


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), None where there is none."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
