"""Blobs of OCI registries: `{"kind": "oci", "registry": "host[:port]", "repository": ..., "digest": ...}`.

A file is the blob of its sha256. Sources: OCI distribution specification 1.1 (end-2), the distribution project's token
authentication pages, RFC 9110 (challenges).
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from .address import is_loopback
from .challenge import parse_challenges, read_token
from .failure import UNUSABLE, Failure
from .http import basic
from .sources import credential
from .web import Web, failure_of


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], web: Web
) -> tuple[str, dict[str, str]]:
    """The blob's url, and the header the registry wants."""
    return f"{base(source)}/v2/{source['repository']}/blobs/sha256:{file['sha256']}", headers(source, environ, web)


def base(source: Mapping[str, Any]) -> str:
    """The registry's address: https, but on this machine, or where the source says `plain_http`, http."""
    host = source["registry"]
    plain = source.get("plain_http") or is_loopback(urlsplit(f"//{host}").hostname or "")
    return f"{'http' if plain else 'https'}://{host}"


def headers(source: Mapping[str, Any], environ: Mapping[str, str], web: Web) -> dict[str, str]:
    """The header with which the repository may be read now; a token is used until shortly before it expires."""
    user, password = _login(source, environ)
    key = (source["registry"], source["repository"], user or "", password or "")
    with web.granting:
        until, known = web.tokens.get(key, (0.0, {}))
        if until <= time.monotonic():
            seconds, known = _authorize(source, user, password, web)
            web.tokens[key] = (time.monotonic() + seconds * 0.9, known)
        return known


def _authorize(
    source: Mapping[str, Any], user: str | None, password: str | None, web: Web
) -> tuple[float, dict[str, str]]:
    """(seconds it lasts, header), by what the registry answers to a request without one."""
    url = f"{base(source)}/v2/"
    answer = web.request(url, {})
    challenge = answer.headers.get("WWW-Authenticate") or ""
    answer.close()
    if answer.status in (200, 404):
        return 3600.0, {}
    if answer.status != 401:
        raise failure_of(answer, url)
    challenges = parse_challenges(challenge)
    if "bearer" in challenges:
        return _token(source, url, challenges["bearer"], user, password, web)
    if "basic" in challenges and password is not None:
        return 3600.0, {"Authorization": basic(user or "", password)}
    raise failure_of(answer, url)


def _token(
    source: Mapping[str, Any], url: str, found: dict[str, str], user: str | None, password: str | None, web: Web
) -> tuple[float, dict[str, str]]:
    try:
        realm = urljoin(url, found.get("realm", ""))
        urlsplit(realm)
    except ValueError:
        raise Failure(UNUSABLE, f"{source['registry']} names a token server whose address is not valid") from None
    if urlsplit(realm).scheme != "https" and urlsplit(url).scheme == "https":
        raise Failure(UNUSABLE, f"{source['registry']} names a token server that is asked without encryption")
    query = {"scope": f"repository:{source['repository']}:pull"}
    if found.get("service"):
        query["service"] = found["service"]
    login = {"Authorization": basic(user or "", password)} if password is not None else {}
    _, _, data = web.ask(realm + ("&" if "?" in realm else "?") + urlencode(query), login)
    try:
        token, seconds = read_token(data)
    except ValueError:
        raise Failure(UNUSABLE, f"{source['registry']} did not answer with a token") from None
    return seconds, {"Authorization": f"Bearer {token}"}


def _login(source: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """User and password: of the source's variables, else of Docker's config.json, which clusters mount."""
    password = credential(source, "password", environ) or credential(source, "token", environ)
    if password is not None:
        return credential(source, "username", environ), password
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "/", ".docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            entry = json.load(file)["auths"][source["registry"]]
        if entry.get("auth"):
            user, _, password = b64decode(entry["auth"]).decode().partition(":")
            return user, password
        return entry.get("username"), entry.get("password")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None  # whatever is wrong with the file, its text may hold the secret
