"""Requests to one registry: retries, the authentication challenge, errors with the registry's words.

Sources: OCI distribution specification 1.1 (error codes, end-points), the distribution project's token
authentication pages (Bearer flow, OAuth2 refresh), RFC 9110 (challenges, Retry-After).
"""

import json
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from buildrules.credentials.connections import Connections
from buildrules.document.plain_json import MOST
from buildrules.errors import RegistryError
from buildrules.net.client import Answer, Client
from buildrules.oci.auth import ANONYMOUS, Credentials
from buildrules.start.address import following, is_loopback, redacted_origin
from buildrules.start.challenge import parse_challenges, read_token
from buildrules.start.failure import UNREACHABLE, Failure
from buildrules.start.retry import pause, retry_after
from buildrules.start.secret import hide
from buildrules.start.web import Prepare, origin

TRIES = 3
CHUNK = 1 << 20  # bytes
LONGEST_WAIT = 30.0  # a longer Retry-After is an error the user should see at once
_REDIRECTS = 5
_UNREACHED = "see that the address is right and what answers there; one without TLS: plain_http: true in a connection"
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")
Body = Callable[[], Iterable[bytes]]
"""Opens the bytes of a request anew, so that it can be sent again."""


class AnswerError(RegistryError):
    """The registry answered with an error, or not at all: its HTTP `status` (0), its `code` ("" where it gave none).

    `retry` says that the same request may do better later, in `wait` seconds where the registry said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        retry: bool = False,
        wait: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry = retry
        self.wait = wait


class Transport:
    """Requests to the registry at `host[:port]`. Safe for concurrent threads."""

    def __init__(
        self,
        host: str,
        credentials: Credentials = ANONYMOUS,
        *,
        plain_http: bool | None = None,
        sleep: Callable[[float], None] = time.sleep,
        client: Client | None = None,
        tries: int = TRIES,
        limits: Mapping[str, float] | None = None,
        short: float | None = None,
    ) -> None:
        """`plain_http` True allows http to any host, False forbids it; None means http on loopback only.

        `tries` is how often a request is sent at most, where it does not say so itself. `limits` are seconds, by the
        names that `Client.send` has for them, and `short` those that all of a small answer may take.
        """
        self.host = host
        self.credentials = credentials
        self._plain_http = plain_http
        plain = is_loopback(urlsplit(f"//{host}").hostname or "") if plain_http is None else plain_http
        self.base = f"{'http' if plain else 'https'}://{host}"
        self._sleep = sleep
        self._tries = tries
        self._limits = dict(limits or {})
        self._short = short
        self._lock = threading.Lock()
        self._client = client or Client(Connections())
        self._authorizations: dict[tuple[str, ...], str] = {}
        self._granting: dict[tuple[str, ...], threading.Lock] = {}
        self._basic: str | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        size: int = 0,
        ok: tuple[int, ...] = (200,),
        tries: int | None = None,
    ) -> Answer:
        """Send a request; returns the unread answer if its status is in `ok`. The caller reads and releases it.

        `url` may be relative to the registry, `scopes` are what a token must allow, `size` is the length of
        `body` in bytes. Raises AnswerError.
        """
        target = urljoin(self.base, url)

        def send(prepare: Prepare) -> Answer:
            return self._send(method, target, prepare, body, size)

        def attempt(_: int) -> Answer:
            response = self._authorized(scopes, headers or {}, send)
            if response.status in ok:
                return response
            raise self.error(response, f"{method} {urlsplit(target).path}")

        return self.trying(attempt, tries)

    def read_range(self, url: str, scopes: tuple[str, ...], extra: Mapping[str, str]) -> Answer:
        """One try to GET a blob or what is left of it. Raises Failure where another may do better, RegistryError."""
        try:
            return self.request("GET", url, scopes=scopes, headers=dict(extra), ok=(200, 206, 416), tries=1)
        except AnswerError as error:
            if not error.retry:
                raise
            raise Failure(UNREACHABLE, error.message, hint=error.hint, retry=True, wait=error.wait) from None

    def trying(self, attempt: Callable[[int], T], tries: int | None = None, lost: Container[str] = ()) -> T:
        """What `attempt` gives, which gets the number of the try, from 0 on. Raises its error where trying is over.

        Another try may help against errors that say so, or have one of the registry's codes in `lost`.
        """
        most = tries or self._tries
        for number in range(most):
            try:
                return attempt(number)
            except AnswerError as error:
                if not (error.retry or error.code in lost) or number + 1 == most:
                    raise
                self._sleep(pause(number + 1) if error.wait is None else error.wait)
        raise AssertionError("unreachable")

    def read(self, response: Answer) -> bytes:
        """The whole of a small answer. Raises RegistryError where it is longer than MOST, breaks off or is too slow."""
        try:
            data = response.read(MOST + 1, decode=True) if self._short is None else _soon(response, self._short)
        except Failure as failure:
            raise self._failed(failure) from None
        finally:
            response.close()
        if len(data) > MOST:
            raise RegistryError(f"registry {self.host} sent more than {MOST} bytes instead of a short answer")
        return data

    def chunks(self, response: Answer) -> Iterator[bytes]:
        """The body of an answer as it comes, which is closed at the end. Raises AnswerError where it breaks off."""
        try:
            while chunk := response.some(CHUNK):
                yield chunk
        except Failure as failure:
            raise self._failed(failure) from None
        finally:
            response.close()

    def _failed(self, failure: Failure) -> AnswerError:
        about = "" if failure.text.startswith(self.host) else f"{self.host}: "
        return AnswerError(f"registry {about}{failure.text}", hint=failure.hint, retry=failure.retry)

    def error(self, response: Answer, what: str) -> AnswerError:
        """The error an unexpected answer stands for, with the registry's own code and message."""
        code, message = "", ""
        try:
            first = json.loads(self.read(response))["errors"][0]
            code, message = str(first.get("code", "")), str(first.get("message", ""))
        except (RegistryError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass  # its status says enough
        said = " ".join(": ".join(part for part in (hide(code), hide(message)[:300]) if part).split())
        wait = retry_after(response.headers.get("Retry-After"))
        too_long = wait is not None and wait > LONGEST_WAIT
        text = f"registry {self.host} answered {response.status} to {what}" + (f": {said}" if said else "")
        hint = None
        if response.status == 401:
            hint = self.credentials.problem or f"run 'docker login {self.host}'"
        elif response.status == 403:
            hint = f"the account used for {self.host} may not do this; ask for access or use another one"
        elif response.status == 429 and too_long:
            hint = f"the registry limits requests; try again in {wait:.0f} seconds, or log in for a higher limit"
        retry = response.status in _TRANSIENT and not too_long
        return AnswerError(text, status=response.status, code=code, retry=retry, wait=wait, hint=hint)

    def allowed(self, url: str) -> str:
        """`url`, if it may be asked: https, or http where that was allowed. Raises RegistryError."""
        origin = redacted_origin(url)
        if origin is None:
            raise RegistryError(f"registry {self.host} sends us to an address that is not valid, or not encrypted")
        parts = urlsplit(url)
        plain = self._plain_http is True or (self._plain_http is None and is_loopback(parts.hostname or ""))
        if parts.scheme == "https" or (parts.scheme == "http" and plain):
            return url
        raise RegistryError(
            f"registry {self.host} sends us to {origin}, which is not encrypted",
            hint="only registries on this machine, or ones marked as plain http, may be reached without TLS",
        )

    def _authorized(
        self, scopes: tuple[str, ...], headers: dict[str, str], send: Callable[[Prepare], Answer]
    ) -> Answer:
        """Send; on a challenge of the registry itself authenticate once and send again."""
        for attempt in (0, 1):
            with self._lock:
                authorization = self._authorizations.get(scopes) or self._basic
            headers = headers | ({"Authorization": authorization} if authorization else {})
            hops: list[str] = []
            response = send(lambda hop: self._hop(hop, hops, headers))  # noqa: B023 - it is done with them at once
            if response.status != 401 or attempt or not self._own(hops[-1]):
                return response
            if not self._log_in(response.headers.get("WWW-Authenticate", ""), scopes, authorization):
                return response
            response.close()
        raise AssertionError("unreachable")

    def _log_in(self, challenge: str, scopes: tuple[str, ...], shown: str | None) -> bool:
        """Have an Authorization that answers a challenge to what was `shown`; False where we have nothing to show.

        Threads that are challenged at the same time ask once.
        """
        with self._lock:
            granting = self._granting.setdefault(scopes, threading.Lock())
        with granting:
            with self._lock:
                known = self._authorizations.get(scopes) or self._basic
            if known is not None and known != shown:
                return True
            granted = self._answer_challenge(challenge, scopes)
            if granted is None:
                return False
            with self._lock:
                if granted.startswith("Basic"):
                    self._basic = granted
                else:
                    self._authorizations[scopes] = granted
        return True

    def _hop(self, url: str, hops: list[str], headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        """What to send to `url`, which comes after `hops`: the Authorization to the registry's own origin only."""
        hops.append(self.allowed(url) if hops else url)
        if self._own(url):
            return url, headers
        return url, {name: value for name, value in headers.items() if name != "Authorization"}

    def _send(
        self, method: str, url: str, prepare: Prepare, body: Body | None, size: int, redirects: int = _REDIRECTS
    ) -> Answer:
        opened = body() if body else None
        limits = dict(self._limits)
        if self._short is not None and (method == "HEAD" or (method == "GET" and "/blobs/" not in url)):
            limits["idle"] = self._short
        try:
            answer: Answer = self._client.follow(
                url, prepare, method=method, body=opened, most=redirects, size=size, **limits
            )
        except Failure as failure:
            error = self._failed(failure)
            error.hint = error.hint or _UNREACHED
            raise error from None
        return answer

    def _own(self, url: str) -> bool:
        """Whether `url` has the registry's own scheme, host and port."""
        return origin(urljoin(self.base, url)) == origin(self.base)

    def _answer_challenge(self, header: str, scopes: tuple[str, ...]) -> str | None:
        """The Authorization that answers a WWW-Authenticate header, or None where we have nothing to show."""
        challenges = parse_challenges(header)
        if "bearer" in challenges:
            return self._token(challenges["bearer"], scopes)
        return self.credentials.basic() if "basic" in challenges else None

    def _token(self, challenge: dict[str, str], scopes: tuple[str, ...]) -> str | None:
        """Ask the token server of `challenge` for a Bearer token. Raises RegistryError."""
        realm = self.allowed(following(self.base, challenge.get("realm", "")))
        wanted = sorted({*scopes, *challenge.get("scope", "").split()})
        query = [("service", challenge["service"])] if "service" in challenge else []
        method, url, headers, form = "GET", realm, dict[str, str](), b""
        if self.credentials.identity_token:
            query += [("grant_type", "refresh_token"), ("client_id", "buildrules"), ("scope", " ".join(wanted))]
            method, form = "POST", urlencode([*query, ("refresh_token", self.credentials.identity_token)]).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            query += [("scope", scope) for scope in wanted]
            url += ("&" if urlsplit(realm).query else "?") + urlencode(query)
            basic = self.credentials.basic()
            headers.update({"Authorization": basic} if basic else {})

        def attempt(_: int) -> str | None:
            body = (lambda: [form]) if form else None
            response = self._send(method, url, lambda url: (url, headers), body, len(form), redirects=0)
            if response.status == 401 and self.credentials.anonymous:
                response.close()
                return None
            if response.status != 200:
                raise self.error(response, f"a token request at {urlsplit(realm).hostname}")
            try:
                return f"Bearer {read_token(self.read(response))[0]}"
            except ValueError:
                server = urlsplit(realm).hostname
                raise RegistryError(f"token server {server} of registry {self.host} sent no token") from None

        return self.trying(attempt)


def _soon(response: Answer, seconds: float) -> bytes:
    """A small answer, up to MOST + 1 bytes. Raises Failure where it takes longer."""
    data, end = b"", time.monotonic() + seconds
    while len(data) <= MOST and (run := response.some(CHUNK)):
        data += run
        if time.monotonic() > end:
            response.abandon()
            raise Failure(UNREACHABLE, f"an answer took more than {seconds:.0f} seconds", retry=True)
    return data
