"""HTTP requests: proxies and certificates of the environment, redirects without credentials for strangers."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .address import below, following, origin_of, redacted, redacted_origin
from .failure import MISSING, REFUSED, UNREACHABLE, UNUSABLE, Failure
from .header import fits
from .refusal import refusal
from .retry import retry_after
from .trust import HINT, VARIABLES, named

IDLE_SECONDS = 30.0  # without a byte, not in all
LONGEST_WAIT = 120.0  # a server that asks to wait longer is not waited for
LIMIT = 16 << 20  # bytes of an answer that is read as a whole
REDIRECTS = 10
_REDIRECT = (301, 302, 303, 307, 308)
_SETTINGS = ("_proxy",)
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


Prepare = Callable[[str], "tuple[str, dict[str, str]]"]
"""Gives for an address what to ask instead, such as with a signature, and the headers that may go there."""


class Web:
    """The requests of one command, sent by the standard library. What registries have granted is kept as long.

    Safe for concurrent threads. Who sends by other means overrides `send`.
    """

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str, str, str], tuple[float, dict[str, str]]] = {}
        self.granting = threading.Lock()
        self._lock = threading.Lock()
        self._openers: dict[tuple[bool, tuple[str, ...]], urllib.request.OpenerDirector] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        host: str | None = None,
    ) -> Any:
        """One request, no redirect followed; gives an answer with `status`, `headers`, `read` and `close`.

        `host` is what may be shown of the address, where `url` may not. Raises Failure where there is no answer.
        """
        try:
            asked = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - checked
            return self._opener(url).open(asked, timeout=IDLE_SECONDS)
        except urllib.error.HTTPError as answer:
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(error, url, host) from None

    def follow(
        self, url: str, prepare: Prepare, *, method: str = "GET", body: Any = None, most: int = REDIRECTS, **more: Any
    ) -> Any:
        """Send to `url`, and where it redirects to; `prepare` is asked for every hop. Only GET and HEAD are sent on,
        and none where `most` is 0.

        `more` goes to `send`. Raises Failure only where there is no answer.
        """
        asked = url
        for _ in range(most + 1):
            target, sent = prepare(url)
            sent = {"Accept-Encoding": "identity", "User-Agent": "buildrules", **sent}
            _check(target, sent)
            answer = self.send(method, target, sent, body, host=None if url == asked else redacted_origin(url), **more)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECT or not location or method not in ("GET", "HEAD") or not most:
                return answer
            answer.close()
            url = following(url, location)
            if not url:
                raise Failure(
                    UNUSABLE, f"{redacted(asked)} redirects to an address that is not valid or neither http nor https"
                )
        where = redacted_origin(url)
        raise Failure(UNUSABLE, f"{redacted(asked)} redirects more than {most} times, the last time to {where}")

    def request(
        self,
        url: str,
        headers: Mapping[str, str],
        extra: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        within: str | None = None,
    ) -> Any:
        """Send a request and follow redirects.

        `headers` go to the url's own origin, there `within` an address only, if one is given; `extra` goes to every
        hop. Raises Failure only where there is no answer.
        """
        home = origin(url)

        def prepare(hop: str) -> tuple[str, dict[str, str]]:
            ours = origin(hop) == home and (within is None or below(hop, within) is not None)
            return hop, {**(extra or {}), **(headers if ours else {})}

        return self.follow(url, prepare, method=method, body=body)

    def ask(
        self,
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
        answer = self.request(url, headers, method=method, body=body, within=within)
        return answer.status, answer.headers, read_whole(answer, url, ok)

    def _opener(self, url: str) -> urllib.request.OpenerDirector:
        """One for each surroundings: reading the certificates takes longer than a small file."""
        secure = url.lower().startswith("https:")
        names = sorted(name for name in os.environ if name.lower().endswith(_SETTINGS) or name in VARIABLES)
        key = secure, tuple(f"{name}={os.environ[name]}" for name in names)
        with self._lock:
            if key not in self._openers:
                handlers = [urllib.request.HTTPSHandler(context=_context())] if secure else []
                self._openers[key] = urllib.request.build_opener(_Stay, *handlers)
            return self._openers[key]


def read_whole(answer: Any, url: str, ok: tuple[int, ...] = (200,), limit: int = LIMIT) -> bytes:
    """The body of a small answer from `url`, which is closed. Raises Failure for another status than those in `ok`."""
    try:
        if answer.status not in ok:
            raise failure_of(answer, url)
        data: bytes = answer.read(limit + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise broken(error, url) from None
    finally:
        answer.close()
    if len(data) > limit:
        raise Failure(UNUSABLE, f"{redacted(url)} answered with more than {limit >> 20} MiB")
    return data


def failure_of(answer: Any, url: str) -> Failure:
    """The failure an answer with an error status is."""
    status = answer.status
    phrase = http.client.responses.get(status, "")  # the server's own words may echo what it was sent
    text = f"{redacted(url)} answered {status} {phrase}".rstrip()
    said = refusal(answer) if status < 500 else None
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
    host = host or urlsplit(redacted(url)).netloc
    if isinstance(inner, ssl.SSLCertVerificationError):
        return Failure(
            UNREACHABLE,
            f"the certificate of {host} is not trusted: {in_words(inner)}",
            hint=HINT,
        )
    retry = not isinstance(inner, ssl.SSLError) or isinstance(inner, ssl.SSLEOFError)
    return Failure(UNREACHABLE, f"{host} cannot be reached: {in_words(inner)}", retry=retry)


def in_words(inner: object) -> str:
    """What became of a connection, in a few words."""
    if isinstance(inner, ssl.SSLCertVerificationError):  # its message quotes the host
        return inner.verify_message if "'" not in inner.verify_message else "it is for another host"
    if isinstance(inner, (TimeoutError, socket.timeout)):  # one and the same from Python 3.10 on
        return "it went silent"
    if isinstance(inner, (http.client.IncompleteRead, http.client.RemoteDisconnected)):
        return "the connection broke off"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return inner if isinstance(inner, str) else type(inner).__name__


def _check(url: str, headers: Mapping[str, str]) -> None:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise Failure(UNUSABLE, f"{redacted(url)!r} is not an http or https url")
    for name, value in headers.items():
        if not fits(value):
            raise Failure(
                UNUSABLE,
                f"the header {name!r} for {redacted(url)} would have characters that cannot be sent",
                hint="see that each credential is set to the secret and nothing else",
            )


def _context() -> ssl.SSLContext:
    """Trusts what the usual variables name, else the system's, else the bundle of certifi in the image."""
    file, folder = named(os.environ)
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=folder)
    context = ssl.create_default_context()
    if not context.get_ca_certs():
        for path in (*_BUNDLES, *map(str, Path("/opt/venv/lib").glob(_CERTIFI))):
            if os.path.isfile(path):
                context.load_verify_locations(path)
                break
    return context


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port). Raises Failure where the url is no address."""
    try:
        return origin_of(url)
    except ValueError:
        raise Failure(UNUSABLE, f"{redacted(url)!r} is not a valid address") from None
