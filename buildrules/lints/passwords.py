"""Passwords and keys that code assigns in clear text: no form gives them away, only the name they are given.

That is a guess, so a finding is a warning, and what looks like a placeholder, a word or a part of a model is none.
"""

import re
from collections.abc import Iterator

from buildrules.credentials.secret_names import IN_CODE

Assigned = tuple[int, int, bytes]
"""Where the name begins and where the value ends in the content, and the name."""

_ENDINGS = (".py", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".sh", ".env", ".txt")
_NAMED = re.compile("|".join(IN_CODE).encode())
_FORM = (
    rb"(?i)(?<![a-z0-9_])([a-z0-9_]{0,40}(?:" + _NAMED.pattern + rb")[a-z0-9_]{0,20})"
    rb"[\"']?[ \t]{0,8}(?::=|[=:])[ \t]{0,8}([\"'])([^\"'\s]{8,200})\2"
)
_HARMLESS = (b"example", b"changeme", b"change_me", b"placeholder", b"dummy", b"your", b"xxx", b"***", b"...", b"1234")
_POINTS_ELSEWHERE = (b"<", b"{", b"[", b"$", b"%", b"/", b"http", b"env:", b"file:", b"os.", b"urn:")
_OF_MODELS = (b"_token", b"token_", b"tokens")
"""Names that language models use for what is no secret: `pad_token`, `token_type`. Long values are none of these."""
_ABOUT = rb"tokeniz|special_tokens|_(?:name|scope|env|header|type|file|path|url|uri|class|id|length|format)$"
"""Names of what a secret is called, lies in or looks like, and of what divides texts into tokens."""


def assigned(path: str, content: bytes) -> Iterator[Assigned]:
    """The places in a file where a literal is assigned to something called password, secret, token or key."""
    lower = content.lower() if path.lower().endswith(_ENDINGS) else b""
    if not _NAMED.search(lower):
        return
    for match in re.finditer(_FORM, content):
        name, value = match[1], match[3]
        if _looks_secret(name.lower(), value):
            yield match.start(1), match.end(), name


def is_secret(name: str, value: str) -> bool:
    """Whether a variable of this name and value is likely to hold a secret."""
    lower = name.lower().encode()
    return _NAMED.search(lower) is not None and len(value) >= 8 and _looks_secret(lower, value.encode())


def _looks_secret(name: bytes, value: bytes) -> bool:
    lower = value.lower()
    if lower.startswith(_POINTS_ELSEWHERE) or any(part in lower for part in _HARMLESS):
        return False
    if re.search(_ABOUT, name) or lower.rstrip(b"0123456789_") == name:
        return False
    if b"token" in name and (any(part in name for part in _OF_MODELS) and len(value) < 20):
        return False
    digits = any(48 <= byte <= 57 for byte in value)
    letters = any(65 <= byte <= 90 or 97 <= byte <= 122 for byte in value)
    return digits and letters
