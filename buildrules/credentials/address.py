"""Which addresses lie at or below which: by origin (RFC 6454) and whole path segments."""

from buildrules.start.address import is_loopback

_SECRETS = ("sig", "token", "secret", "password", "credential", "key", "auth")
_PORTS = {"https": 443, "http": 80}


def origin_of(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) in lower case, with the scheme's own port filled in."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 80)


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


def segments(url: str) -> list[str] | None:
    """The segments of a url's path. None where a segment may lead elsewhere: `..`, `.`, a backslash, escaped or not."""
    from urllib.parse import unquote, urlsplit

    found = [part for part in urlsplit(url).path.split("/") if part]
    plain = [unquote(part) for part in found]
    return None if any(part in (".", "..") or "/" in part or "\\" in part for part in plain) else found


def below(url: str, target: str) -> int | None:
    """How many segments of `target` lead to `url`; None where `url` is neither at `target` nor below it."""
    try:
        if origin_of(url) != origin_of(target):
            return None
        wanted, found = segments(target), segments(url)
    except ValueError:
        return None
    if wanted is None or found is None or found[: len(wanted)] != wanted:
        return None
    return len(wanted)
