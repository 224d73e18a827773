"""What may stand in headers of requests, and the numbers in those of answers, where a server may write anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

DIGITS = 18  # of a number of bytes; Python refuses to read thousands of them
_UNFIT = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{0,18})/(\d{1,18}|\*)\s*", re.ASCII)


def fits(value: str) -> bool:
    """Whether a text can be sent as the value of a header (RFC 9110, 5.5): one line of Latin-1."""
    return not _UNFIT.search(value)


def content_length(headers: Mapping[str, str]) -> int | None:
    """The bytes of Content-Length (RFC 9110, 8.6); None where it says no sensible number."""
    value = (headers.get("Content-Length") or "").strip()
    return int(value) if value.isdecimal() and len(value) <= DIGITS else None


def content_range(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """(first byte, bytes of the whole where it says them) of Content-Range (RFC 9110, 14.4); None where it is none."""
    found = _RANGE.fullmatch(headers.get("Content-Range") or "")
    if found is None:
        return None
    return int(found.group(1)), None if found.group(3) == "*" else int(found.group(3))
