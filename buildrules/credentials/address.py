"""Addresses: what may be read on the way, logins that stand in them, and files they name."""

from buildrules.start.address import is_loopback, origin_of


def is_open(url: str) -> bool:
    """Whether what is sent to `url` can be read on the way: http to another machine."""
    scheme, host, _ = origin_of(url)
    return scheme == "http" and not is_loopback(host)


def path_of(url: str) -> str | None:
    """The path of the file that a `file:` address names; None for all others."""
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path) if url.startswith("file:") else None


def split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """(url without userinfo and fragment, (user, password) or None)."""
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, (unquote(user), unquote(password))


def with_userinfo(url: str, user: str, password: str) -> str:
    """`url` with credentials put in, for the moment of a fetch."""
    from urllib.parse import quote, urlsplit, urlunsplit

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))
