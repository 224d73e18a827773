"""Names that things with a secret inside have: of variables, headers, parameters of addresses, and in code.

A name is a guess. Where the value is known, what it looks like counts as well.
"""

import re

IN_CODE = ("passw(?:or)?d", "secret", "token", "api_?key")
"""What code calls the literals that it should not have; expressions that match a part of the name."""

IN_YAML = ("password", "secret", "token", "pat", "sas", "key", "credentials", "authorization")
"""How keys of a YAML file end whose values are not shown."""

_ANYWHERE = "token|secret|passw|pwd|credential|cookie|auth|jwt|bearer"
_WORDS = frozenset({"key", "keys", "sig", "sigs", "sas", "sass", "pat", "pats"})
_PARAMETER = rf"(?i){_ANYWHERE}|sig|key|^(?:code|pass|sas)$"  # "encoding" and "compass" are innocent
IN_QUERY = rf"(?:{_ANYWHERE}|sig|key|code)[\w.-]*="
"""An expression for a parameter that may hold a secret, in the text of a query; in lower case."""
_JWT = r"eyJ[\w-]{8,}\.[\w-]{8,}\."  # a JSON Web Token (RFC 7519), whatever its name is


def seems_secret(name: str) -> bool:
    """Whether a variable or header of this name is likely to hold a secret."""
    low = name.casefold().rstrip()
    words = "".join(letter if "a" <= letter <= "z" else " " for letter in low).split()
    return any(part in low for part in _ANYWHERE.split("|")) or not _WORDS.isdisjoint(words) or low.endswith("key")


def secret_in_query(url: str) -> str | None:
    """The name of the first parameter, in the query or fragment of `url`, that seems to be a credential."""
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    for text in (parts.query, parts.fragment):
        for name, value in parse_qsl(text, keep_blank_values=True):
            if re.search(_PARAMETER, name) or re.search(_JWT, value):
                return name
    return None
