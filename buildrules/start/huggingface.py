"""Files of Hugging Face's hub, or a mirror: `{"kind": "huggingface", "repository": "org/name", "revision": ...}`.

`prefix` is the folder in the repository that files lie below, with a slash at the end; `endpoint` the hub's address,
where it is not the one of the surroundings; `restricted` says that it wants a token. Credentials are those the source
names, else the token that the hub's own client would send, and only to the hub that it would send it to.

Source: Hugging Face Hub documentation, "Environment variables" and "Quickstart, Authentication"; huggingface_hub,
`constants.py` and `file_download.py` (hf_hub_url).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .address import is_loopback
from .failure import UNUSABLE, Failure
from .http import authorization
from .web import Web, origin

HUB = "https://huggingface.co"
TOKEN = "HF_TOKEN"  # noqa: S105 - a variable's name
_TOKENS = (TOKEN, "HUGGING_FACE_HUB_TOKEN")


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], _: Web
) -> tuple[str, dict[str, str]]:
    """The file's url, which may redirect to the store behind the hub, and the header for the hub."""
    path = (source.get("prefix") or "") + (file.get("key") or file["path"])
    revision = quote(source["revision"], safe="")
    url = f"{endpoint(source, environ)}/{source['repository']}/resolve/{revision}/{quote(path)}"
    return url, headers(source, url, environ)


def endpoint(source: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The hub's address, without a slash at the end. Raises Failure for one that is none."""
    found: str = (source.get("endpoint") or environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    if not found.startswith(("http://", "https://")) or "?" in found or "@" in found:
        raise Failure(UNUSABLE, "the address of the hub is none", hint="set HF_ENDPOINT to https://HOST, or unset it")
    return found


def headers(source: Mapping[str, Any], url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials for `url`. Raises Failure for a token that cannot be read or sent."""
    if source.get("credentials"):
        return authorization(source, url, environ)
    ours = origin(endpoint({}, environ))
    if origin(url) != ours or (ours[0] == "http" and not is_loopback(ours[1])):
        return {}  # a lock may name any host, and whoever listens is not to hear it
    name, environ = _token(environ)
    return authorization({"credentials": {"token": name}}, url, environ) if name else {}


def unsent(source: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """Why the token of the surroundings did not go to the hub of a source, and what to do; None where there is none, or
    it went there.
    """
    ours, theirs = endpoint({}, environ), endpoint(source, environ)
    if source.get("credentials") or not _token(environ)[0]:
        return None
    if origin(ours) != origin(theirs):
        return (
            f"the token in {TOKEN} was not sent: it goes to {ours}, and the model is at {theirs}; set "
            f"HF_ENDPOINT={theirs} if it is for that hub, or name a connection"
        )
    if theirs.startswith("http:") and not is_loopback(origin(theirs)[1]):
        return f"the token in {TOKEN} was not sent, since {theirs} is plain http: use https, or a connection"
    return None


def _token(environ: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """The variable that has the token, or names its file, and where that stands; "" where there is none."""
    name = next((name for name in _TOKENS if environ.get(name) or environ.get(f"{name}_FILE")), None)
    if name is not None:
        return name, environ
    # where `hf auth login` keeps it
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/", ".cache")
    home = environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    path = os.path.expanduser(environ.get("HF_TOKEN_PATH") or os.path.join(home, "token"))
    return (TOKEN, {f"{TOKEN}_FILE": path}) if os.path.isfile(path) else ("", environ)
