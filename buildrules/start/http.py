"""Files of web servers: `{"kind": "http", "url": ...}`, with a slash at the end a folder, otherwise one file."""

from __future__ import annotations

import netrc
import os
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from .failure import UNUSABLE, Failure
from .header import fits
from .secret import conceal
from .sources import credential
from .web import Web


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], _: Web
) -> tuple[str, dict[str, str]]:
    """The file's url, and an `Authorization` header where there are credentials: a token, a user's, or netrc's."""
    url: str = source["url"]
    if url.endswith("/"):
        url += quote(file.get("key") or file["path"])
    sas = credential(source, "sas_token", environ)
    if sas:
        url += ("&" if "?" in url else "?") + sas.lstrip("?")
    return url, authorization(source, url, environ)


def authorization(source: Mapping[str, Any], url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The `Authorization` header for `url`, or the `header` of the source's own, if there are credentials."""
    token = credential(source, "token", environ)
    own = credential(source, "header", environ)
    if token and not fits(token):
        name = source["credentials"]["token"]
        raise Failure(
            UNUSABLE,
            f"what ${name} holds has characters that cannot be sent in a header",
            hint=f"set {name} to the token and nothing else",
        )
    if token and own:
        return {own: token}
    if token:
        return {"Authorization": f"Bearer {token}"}
    login = (credential(source, "username", environ), credential(source, "password", environ))
    if login[1] is None:
        login = _netrc(urlsplit(url).hostname or "", environ)
    return {"Authorization": basic(login[0] or "", login[1])} if login[1] is not None else {}


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header (RFC 7617), which is shown nowhere from then on."""
    pair = b64encode(f"{user}:{password}".encode()).decode()
    conceal([password, pair])
    return f"Basic {pair}"


def _netrc(host: str, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    path = environ.get("NETRC") or os.path.join(environ.get("HOME") or "/", ".netrc")
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError, ValueError):
        return None, None  # a parse error's text may quote the secret itself, so it is not even shown
    return (found[0], found[2]) if found else (None, None)
