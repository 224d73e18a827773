"""One HTTP request: proxies and certificates of the environment, redirects without credentials for strangers."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .address import below, following, origin_of, shown_origin
from .complaint import complaint
from .failure import MISSING, REFUSED, UNREACHABLE, UNUSABLE, Failure
from .header import fits
from .retry import retry_after

IDLE_SECONDS = 30.0  # without a byte, not in all
LONGEST_WAIT = 120.0  # a server that asks to wait longer is not waited for
LIMIT = 16 << 20  # bytes of an answer that is read as a whole
_REDIRECTS = 10
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_CERTIFI = "python3.*/site-packages/certifi/cacert.pem"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to us, before it has read where they lead."""

    def http_error_302(self, *_: Any, **__: Any) -> Any:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def shown(url: str) -> str:
    """`url` as it may be shown: without userinfo, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "<unreadable url>"


def request(
    url: str,
    headers: Mapping[str, str],
    extra: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
    within: str | None = None,
) -> Any:
    """Send a request and follow redirects; gives an answer with `status`, `headers`, `read` and `close`.

    `headers` go to the url's own origin, there `within` an address only, if one is given; `extra` goes to every hop.
    Raises Failure only where there is no answer.
    """
    home, asked = _origin(url), url
    for _ in range(_REDIRECTS):
        sent = {"Accept-Encoding": "identity", "User-Agent": "buildrules", **(extra or {})}
        if _origin(url) == home and (within is None or below(url, within) is not None):
            sent.update(headers)
        answer = _send(url, sent, method, body, None if url == asked else shown_origin(url))
        location = answer.headers.get("Location")
        if answer.status not in (301, 302, 303, 307, 308) or not location:
            return answer
        answer.close()
        url = following(url, location)
        if not url:
            raise Failure(UNUSABLE, f"{shown(asked)} redirects to what is no address, or is neither http nor https")
    raise Failure(
        UNUSABLE, f"{shown(asked)} redirects more than {_REDIRECTS} times, the last time to {shown_origin(url)}"
    )


def ask(
    url: str,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    body: bytes | None = None,
    ok: tuple[int, ...] = (200,),
    within: str | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """(status, headers, body) of a small answer: one try, as `request` makes it.

    Raises Failure, with `retry` where another try may help.
    """
    answer = request(url, headers, method=method, body=body, within=within)
    try:
        if answer.status not in ok:
            raise failure_of(answer, url)
        data = answer.read(LIMIT + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise broken(error, url) from None
    finally:
        answer.close()
    if len(data) > LIMIT:
        raise Failure(UNUSABLE, f"{shown(url)} answers more than {LIMIT >> 20} MiB")
    return answer.status, answer.headers, data


def failure_of(answer: Any, url: str) -> Failure:
    """The failure an answer with an error status is."""
    status = answer.status
    phrase = http.client.responses.get(status, "")  # the server's own words may echo what it was sent
    text = f"{shown(url)} answers {status} {phrase}".rstrip()
    said = complaint(answer) if status < 500 else None
    if said:
        return Failure(said[1], f"{text}: {said[0]}", hint=said[2])
    if status in (401, 403, 407):
        return Failure(REFUSED, text)
    if status in (404, 410):
        return Failure(MISSING, text)
    if status in (408, 425, 429) or status >= 500:
        wait = retry_after(answer.headers.get("Retry-After"))
        if wait is not None and wait > LONGEST_WAIT:
            return Failure(UNREACHABLE, f"{text}, and asks to come back in {wait:.0f} s")
        return Failure(UNREACHABLE, text, retry=True, wait=wait)
    return Failure(UNUSABLE, text)


def broken(error: BaseException, url: str, host: str | None = None) -> Failure:
    """The failure a connection that broke or never came about is; `host` is what may be shown, where `url` may not."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    host = host or urlsplit(shown(url)).netloc
    if isinstance(inner, ssl.SSLCertVerificationError):
        why = (
            inner.verify_message if "'" not in inner.verify_message else "it is for another host"
        )  # it quotes the host
        return Failure(
            UNREACHABLE,
            f"the certificate of {host} is not trusted: {why}",
            hint="name a file with the certificates to trust in SSL_CERT_FILE",
        )
    if isinstance(inner, (TimeoutError, socket.timeout)):  # one and the same from Python 3.10 on
        why = "it went silent"
    elif isinstance(inner, http.client.IncompleteRead):
        why = "the connection broke off"
    elif isinstance(inner, OSError) and inner.strerror:
        why = inner.strerror.lower()
    else:
        why = type(inner).__name__ if not isinstance(inner, str) else inner
    return Failure(UNREACHABLE, f"{host} cannot be reached: {why}", retry=True)


def _send(url: str, headers: Mapping[str, str], method: str, body: bytes | None, host: str | None = None) -> Any:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise Failure(UNUSABLE, f"{shown(url)!r} is not an http or https url")
    for name, value in headers.items():
        if not fits(value):
            raise Failure(
                UNUSABLE,
                f"the header {name!r} for {shown(url)} would have characters that cannot be sent",
                hint="see that each credential is set to the secret and nothing else",
            )
    try:
        asked = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - checked above
        return _opener(url).open(asked, timeout=IDLE_SECONDS)
    except urllib.error.HTTPError as answer:
        return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise broken(error, url, host) from None


def _opener(url: str) -> urllib.request.OpenerDirector:
    names = sorted(name for name in os.environ if name.lower().endswith(("_proxy", "_bundle")) or "SSL_CERT" in name)
    return _opener_of(url.lower().startswith("https:"), tuple(f"{name}={os.environ[name]}" for name in names))


@lru_cache(maxsize=8)
def _opener_of(secure: bool, _: tuple[str, ...]) -> urllib.request.OpenerDirector:
    """One for each surroundings: reading the certificates takes longer than a small file."""
    if not secure:
        return urllib.request.build_opener(_Stay)
    return urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=_context()))


def _context() -> ssl.SSLContext:
    """Trusts the bundle the usual variables name, else the system's, else the one of certifi in the image."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(name)
        if path and os.path.isfile(path):
            return ssl.create_default_context(cafile=path)
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not os.environ.get("SSL_CERT_DIR"):
        for path in (*_BUNDLES, *map(str, Path("/opt/venv/lib").glob(_CERTIFI))):
            if os.path.isfile(path):
                context.load_verify_locations(path)
                break
    return context


def _origin(url: str) -> tuple[str, str, int]:
    try:
        return origin_of(url)
    except ValueError:
        raise Failure(UNUSABLE, f"{shown(url)!r} is no address, or has no valid port") from None
