"""How long Pythons are looked after."""

from datetime import date

ENDS = {
    "3.7": date(2023, 6, 27),
    "3.8": date(2024, 10, 7),
    "3.9": date(2025, 10, 31),
    "3.10": date(2026, 10, 31),
    "3.11": date(2027, 10, 31),
    "3.12": date(2028, 10, 31),
    "3.13": date(2029, 10, 31),
    "3.14": date(2030, 10, 31),
    "3.15": date(2031, 10, 31),
}
"""By minor version: the day after which there are no fixes any more, not even of holes. Where only a month is known, it
is the month's last day. Source: devguide.python.org/versions ("Status of Python versions", column "End of life")."""


def ended(minor: str, today: date) -> str | None:
    """What to tell whoever locks packages for the Python `minor` ("3.8") on the day `today`; None while it lives."""
    end = ENDS.get(minor)
    if end is None or today <= end:
        return None
    alive = next((other for other, until in ENDS.items() if today <= until), None)
    newer = f"; {alive} is the oldest that has" if alive is not None else ""
    return f"Python {minor} has had no fixes, not even of security holes, since {end:%B %Y}{newer}"
