"""Control stanzas, as indexes, releases and deb822 sources are made of (deb822(5))."""

import re

_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", re.MULTILINE)


def read_fields(text: str) -> dict[str, str]:
    """The fields of one control stanza; continuation lines stay as they are."""
    return {match[1]: match[2].rstrip() for match in _FIELD.finditer(text)}
