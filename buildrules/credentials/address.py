"""What an address says of itself: whether it may be read on the way, whether a secret stands in it."""

from buildrules.start.address import below, is_loopback, origin_of, segments

__all__ = ["below", "is_open", "origin_of", "secret_in_query", "segments"]

_SECRETS = ("sig", "token", "secret", "password", "credential", "key", "auth")


def secret_in_query(url: str) -> str | None:
    """The name of the first parameter, in the query or fragment of `url`, that seems to be a credential."""
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    for text in (parts.query, parts.fragment):
        for name, _ in parse_qsl(text, keep_blank_values=True):
            if any(word in name.lower() for word in _SECRETS):
                return name
    return None


def is_open(url: str) -> bool:
    """Whether what is sent to `url` can be read on the way: http to another machine."""
    scheme, host, _ = origin_of(url)
    return scheme == "http" and not is_loopback(host)
