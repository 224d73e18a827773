"""Objects of S3-compatible storage: `{"kind": "s3", "bucket": ..., "prefix": ..., "endpoint": ..., "region": ...}`.

`prefix` ends with a slash or is empty; a file's key follows it. `endpoint` is an address the bucket's name follows as
the first part of the path, or one with `{bucket}` where the name belongs (virtual-hosted style). Where `endpoint` or
`region` is left out, AWS_ENDPOINT_URL or AWS_REGION says it, or it is Amazon's own. A file may have a `version`. With
`anonymous` nothing is signed, as where there are no credentials.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)",
section "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk"; Amazon S3 User
Guide, "Virtual hosting of buckets".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .failure import REFUSED, UNUSABLE, Failure
from .sources import credential
from .web import Web

DEFAULTS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}
"""role -> variable where the source names none."""

REGION = "us-east-1"
_ALGORITHM = "AWS4-HMAC-SHA256"
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # no dots: certificates of *.s3 do not cover them


class Keys:
    """What requests are signed with; prints without its secrets."""

    __slots__ = ("access_key_id", "secret_access_key", "session_token")

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str | None = None) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token

    def __repr__(self) -> str:
        return "Keys(...)"


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], _: Web
) -> tuple[str, dict[str, str]]:
    """The object's url, and the headers that sign a GET of it now."""
    key = (source.get("prefix") or "") + (file.get("key") or file["path"])
    query = [("versionId", file["version"])] if file.get("version") else []
    source = {**surroundings(environ), **source}
    return signed("GET", object_url(source, key, query), source, environ)


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """`endpoint` and `region` by the variables that Amazon's own clients look at."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}


def signed(method: str, url: str, source: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """(url, headers) of a request without a body. Raises Failure where only half of the credentials are there."""
    keys = keys_of(source, environ)
    return url, sign(method, url, source.get("region") or REGION, keys) if keys else {}


def keys_of(source: Mapping[str, Any], environ: Mapping[str, str]) -> Keys | None:
    """The source's credentials; None for anonymous access. Raises Failure where there is only half of them."""
    if source.get("anonymous"):
        return None
    usual = not source.get("credentials")  # otherwise a session token of other keys could come in
    user, secret, token = (
        credential(source, role, environ, *([name] if usual else [])) for role, name in DEFAULTS.items()
    )
    if not user and not secret:
        return None
    if not user or not secret:
        role = "secret_access_key" if user else "access_key_id"
        name = (source.get("credentials") or {}).get(role) or DEFAULTS[role]
        raise Failure(
            REFUSED, f"half of the credentials for bucket {source['bucket']!r} is missing", hint=f"set {name}"
        )
    return Keys(user, secret, token)


def bucket_url(source: Mapping[str, Any]) -> str:
    """The bucket's address, without a slash at the end. Raises Failure for an endpoint that is none."""
    bucket, endpoint = source["bucket"], source.get("endpoint")
    if not endpoint:
        region = source.get("region") or REGION
        domain = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
        endpoint = f"https://{{bucket}}.{domain}" if _HOST_NAME.fullmatch(bucket) else f"https://{domain}"
    if "{bucket}" not in endpoint:
        endpoint = endpoint.rstrip("/") + "/{bucket}"
    url: str = endpoint.replace("{bucket}", quote(bucket, safe="")).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username is not None:
        raise Failure(
            UNUSABLE, f"the endpoint of bucket {bucket!r} is not an address", hint="write https://HOST[:PORT]"
        )
    return url


def object_url(source: Mapping[str, Any], key: str, query: Sequence[tuple[str, str]] = ()) -> str:
    """The address of an object, or with key "" of the bucket."""
    url = f"{bucket_url(source)}/{quote(key)}"
    return url + (
        "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query) if query else ""
    )


def sign(
    method: str,
    url: str,
    region: str,
    keys: Keys,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    now: float | None = None,
) -> dict[str, str]:
    """The headers to send: `headers`, which are signed as well, and those that make up the signature.

    `now` is the time of signing, in seconds since 1970; the clock's if left out.
    """
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    payload = hashlib.sha256(body).hexdigest()
    sent = {**(headers or {}), "x-amz-date": stamp, "x-amz-content-sha256": payload}
    if keys.session_token:
        sent["x-amz-security-token"] = keys.session_token
    host = parts.netloc.rpartition("@")[2]
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in {**sent, "host": host}.items())
    names = ";".join(name for name, _ in canonical)
    request = "\n".join(
        [
            method,
            quote(unquote(parts.path)) or "/",
            _canonical_query(parts.query),
            *(f"{name}:{value}" for name, value in canonical),
            "",
            names,
            payload,
        ]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + keys.secret_access_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    login = f"Credential={keys.access_key_id}/{scope}"
    sent["Authorization"] = f"{_ALGORITHM} {login}, SignedHeaders={names}, Signature={signature}"
    return sent


def _canonical_query(query: str) -> str:
    pairs = [item.partition("=") for item in query.split("&") if item]
    again = sorted((quote(unquote(name), safe=""), quote(unquote(value), safe="")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in again)
