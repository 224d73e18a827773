"""What an address says of itself: whether it may be read on the way, whether a secret stands in it."""

import re

from buildrules.start.address import below, is_loopback, origin_of, segments

__all__ = ["below", "is_open", "origin_of", "secret_in_query", "segments"]

_SECRETS = ("sig", "token", "secret", "passw", "credential", "key", "auth", "jwt", "bearer")
_NAMES = ("code", "pass", "pwd", "sas")  # as a whole: "encoding" and "compass" are innocent
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.")  # a JSON Web Token (RFC 7519), whatever its name is


def secret_in_query(url: str) -> str | None:
    """The name of the first parameter, in the query or fragment of `url`, that seems to be a credential."""
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    for text in (parts.query, parts.fragment):
        for name, value in parse_qsl(text, keep_blank_values=True):
            if any(word in name.lower() for word in _SECRETS) or name.lower() in _NAMES or _TOKEN.search(value):
                return name
    return None


def is_open(url: str) -> bool:
    """Whether what is sent to `url` can be read on the way: http to another machine."""
    scheme, host, _ = origin_of(url)
    return scheme == "http" and not is_loopback(host)
