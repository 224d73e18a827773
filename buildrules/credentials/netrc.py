"""Logins of hosts in $NETRC or ~/.netrc, read at the moment of use."""

import netrc
import os
from collections.abc import Mapping


def netrc_login(host: str) -> tuple[str, str] | None:
    """(user, password) of `host`; None where there is none or the file cannot be read."""
    logins = netrc_logins()
    return logins.get(host) or logins.get("default")


def netrc_logins() -> Mapping[str, tuple[str, str]]:
    """(user, password) by host; empty where the file cannot be read."""
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}  # a parse error's text may quote the secret itself, so it is not even shown
    return {host: (login[0] or "", login[2] or "") for host, login in found.items()}
