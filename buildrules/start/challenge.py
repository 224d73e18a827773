"""What a registry wants to be shown, and the token it gives for it.

Sources: RFC 9110, 11.6.1 (challenges), the distribution project's token authentication pages.
"""

from __future__ import annotations

import json
import re

from .secret import conceal

TOKEN_SECONDS = 60.0  # what a token without `expires_in` lasts, as the token pages say
_SCHEME = re.compile(r"(?:^|,)\s*(basic|bearer)(?=\s|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """The Basic and Bearer challenges of a WWW-Authenticate header, by lower-case scheme."""
    pieces = _SCHEME.split(header)
    found: dict[str, dict[str, str]] = {}
    for scheme, rest in zip(pieces[1::2], pieces[2::2]):
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PARAMETER.findall(rest)
        }
        found.setdefault(scheme.lower(), parameters)
    return found


def read_token(data: bytes) -> tuple[str, float]:
    """(token, seconds it lasts) of a token server's answer; it is shown nowhere from then on.

    Raises ValueError where there is none that fits into a header.
    """
    try:
        answer = json.loads(data)
        token = answer.get("token") or answer["access_token"]
        seconds = float(answer.get("expires_in") or TOKEN_SECONDS)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("no token") from error
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ValueError("no token that fits into a header")
    conceal([token])
    return token, max(seconds, 1.0)
