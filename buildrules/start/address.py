"""Which hosts are this machine, and which addresses lie below which: by origin (RFC 6454) and whole path segments."""

from __future__ import annotations

import re

from .secret import touches

_HOST = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{0,5})?", re.IGNORECASE)
_PORTS = {"https": 443, "http": 80}


def is_loopback(host: str) -> bool:
    """Whether a host name or address (without a port) is this machine's by its very name."""
    import ipaddress

    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def origin_of(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) in lower case, with the scheme's own port filled in."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 80)


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
    if not wanted and wanted is not None:
        return 0  # the whole server: no segment leads out of that
    if wanted is None or found is None or found[: len(wanted)] != wanted:
        return None
    return len(wanted)


def redacted(url: str) -> str:
    """`url` as it may be shown: without userinfo, query and fragment."""
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "<unreadable url>"


def redacted_origin(url: str) -> str | None:
    """The origin of an address that a server chose, None where it is no sane one of http or https.

    No more than that is shown of such an address: the rest may repeat what the server was sent, and so may the host,
    which is left out then.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        sane = parts.port != 0
    except ValueError:
        return None
    if not sane or parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return None
    return f"{parts.scheme}://{'...' if touches(host) else host}"


def following(url: str, location: str) -> str:
    """Where a Location leads from `url`; "" where that is no sane address of http or https.

    Userinfo in it comes from the server, not from the user: it is left out.
    """
    from urllib.parse import urljoin, urlsplit, urlunsplit

    try:
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        return ""
    found = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    return found if redacted_origin(found) else ""
