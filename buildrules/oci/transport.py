"""Requests to one registry: retries, the authentication challenge, errors with the registry's words.

Sources: OCI distribution specification 1.1 (error codes, end-points), the distribution project's token
authentication pages (Bearer flow, OAuth2 refresh), RFC 9110 (challenges, Retry-After).
"""

import json
import random
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from buildrules.credentials.connections import Connections
from buildrules.errors import RegistryError
from buildrules.net.client import Answer, Client
from buildrules.oci.auth import ANONYMOUS, Credentials
from buildrules.start.address import is_loopback, redacted_origin
from buildrules.start.challenge import parse_challenges, read_token
from buildrules.start.failure import UNREACHABLE, Failure
from buildrules.start.retry import retry_after
from buildrules.start.secret import conceal, hide
from buildrules.start.web import Prepare, origin

TRIES = 3
LONGEST_WAIT = 30.0  # a longer Retry-After is an error the user should see at once
MAX_ANSWER = 4 << 20  # bytes of a manifest, token or tag list; the specification asks registries for 4 MiB
_REDIRECTS = 5
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")
Body = Callable[[], Iterable[bytes]]
"""Opens the bytes of a request anew, so that it can be sent again."""


class AnswerError(RegistryError):
    """The registry answered with an error: its HTTP `status`, its `code` ("" where it gave none)."""

    def __init__(self, message: str, *, status: int, code: str, wait: float | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.wait = wait  # seconds of a Retry-After header

    @property
    def transient(self) -> bool:
        """Whether the same request may do better later."""
        return self.status in _TRANSIENT and (self.wait is None or self.wait <= LONGEST_WAIT)


class ConnectionFailedError(RegistryError):
    """No answer, or a connection that broke. `transient` is False where trying again cannot help."""

    transient = True
    code = ""
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]
    body: Body | None = None
    size: int = 0


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
    ) -> None:
        """`plain_http` True allows http to any host, False forbids it; None means http on loopback only."""
        self.host = host
        self.credentials = credentials
        self._plain_http = plain_http
        plain = is_loopback(urlsplit(f"//{host}").hostname or "") if plain_http is None else plain_http
        self.base = f"{'http' if plain else 'https'}://{host}"
        self._sleep = sleep
        self._lock = threading.Lock()
        self._client = client or Client(Connections())
        self._owns_client = client is None
        self._authorizations: dict[tuple[str, ...], str] = {}
        self._basic: str | None = None

    def close(self) -> None:
        """Close the idle connections, unless others use them."""
        if self._owns_client:
            self._client.close()

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
        tries: int = TRIES,
    ) -> Answer:
        """Send a request; returns the unread answer if its status is in `ok`. The caller reads and releases it.

        `url` may be relative to the registry, `scopes` are what a token must allow, `size` is the length of
        `body` in bytes. Raises AnswerError or ConnectionFailedError, both RegistryError.
        """
        target = urljoin(self.base, url)

        def attempt(_: int) -> Answer:
            response = self._authorized(_Request(method, target, headers or {}, body, size), scopes)
            if response.status in ok:
                return response
            raise self.error(response, f"{method} {urlsplit(target).path}")

        return self.trying(attempt, tries)

    def read_range(self, url: str, scopes: tuple[str, ...], extra: Mapping[str, str]) -> Answer:
        """One try to GET a blob or what is left of it. Raises Failure where another may do better, RegistryError."""
        target = urljoin(self.base, url)
        try:
            answer = self._authorized(_Request("GET", target, dict(extra)), scopes)
            if answer.status in (200, 206, 416):
                return answer
            raise self.error(answer, f"GET {urlsplit(target).path}")
        except (AnswerError, ConnectionFailedError) as error:
            if not error.transient:
                raise
            raise Failure(UNREACHABLE, error.message, hint=error.hint, retry=True, wait=error.wait) from None

    def trying(self, attempt: Callable[[int], T], tries: int = TRIES, lost: Container[str] = ()) -> T:
        """What `attempt` gives, which gets the number of the try, from 0 on. Raises its error where trying is over.

        Another try may help against errors that are transient, or have one of the registry's codes in `lost`. Before it
        is waited: what the registry asked for, or a random part of 0.25*2^n s.
        """
        for number in range(tries):
            try:
                return attempt(number)
            except (AnswerError, ConnectionFailedError) as error:
                if not (error.transient or error.code in lost) or number + 1 == tries:
                    raise
                limit = min(4.0, 0.25 * 2**number)
                self._sleep(random.uniform(0, limit) if error.wait is None else error.wait)  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    def read(self, response: Answer) -> bytes:
        """The whole of a small answer. Raises RegistryError where it is longer than MAX_ANSWER or breaks off."""
        try:
            data = response.read(MAX_ANSWER + 1, decode=True)
        except Failure as failure:
            raise self._failed(failure) from None
        finally:
            response.close()
        if len(data) > MAX_ANSWER:
            raise RegistryError(f"registry {self.host} sent more than {MAX_ANSWER} bytes instead of a short answer")
        return data

    def _failed(self, failure: Failure) -> ConnectionFailedError:
        about = "" if failure.text.startswith(self.host) else f"{self.host}: "
        error = ConnectionFailedError(f"registry {about}{failure.text}", hint=failure.hint)
        error.transient = failure.retry
        return error

    def error(self, response: Answer, what: str) -> AnswerError:
        """The error an unexpected answer stands for, with the registry's own code and message."""
        code, message = "", ""
        try:
            first = json.loads(self.read(response))["errors"][0]
            code, message = str(first.get("code", "")), str(first.get("message", ""))
        except (RegistryError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass  # its status says enough
        said = self._redact(": ".join(part for part in (code, message[:300]) if part))
        wait = retry_after(response.headers.get("Retry-After"))
        text = f"registry {self.host} answered {response.status} to {what}" + (f": {said}" if said else "")
        hint = None
        if response.status == 401:
            hint = self.credentials.problem or f"run 'docker login {self.host}'"
        elif response.status == 403:
            hint = f"the account used for {self.host} may not do this; ask for access or use another one"
        elif response.status == 429 and wait is not None and wait > LONGEST_WAIT:
            hint = f"the registry limits requests; try again in {wait:.0f} seconds, or log in for a higher limit"
        return AnswerError(text, status=response.status, code=code, wait=wait, hint=hint)

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

    def _authorized(self, request: "_Request", scopes: tuple[str, ...]) -> Answer:
        """Send; on a challenge of the registry itself authenticate once and send again."""
        for attempt in (0, 1):
            with self._lock:
                authorization = self._authorizations.get(scopes) or self._basic
            url, response = self._followed(request, authorization)
            if response.status != 401 or attempt or not self._own(url):
                return response
            granted = self._answer_challenge(response.headers.get("WWW-Authenticate", ""), scopes)
            if granted is None:
                return response
            response.close()
            with self._lock:
                if granted.startswith("Basic"):
                    self._basic = granted
                else:
                    self._authorizations[scopes] = granted
        raise AssertionError("unreachable")

    def _followed(self, request: "_Request", authorization: str | None) -> tuple[str, Answer]:
        """Send and follow redirects of GET and HEAD; also gives the URL that answered.

        Authorization goes to the registry's own origin only.
        """
        hops: list[str] = []

        def prepare(url: str) -> tuple[str, dict[str, str]]:
            hops.append(self.allowed(url) if hops else url)
            extra = {"Authorization": authorization} if authorization and self._own(url) else {}
            return url, request.headers | extra

        answer = self._send(request, prepare)
        return hops[-1], answer

    def _send(self, request: "_Request", prepare: Prepare, redirects: int = _REDIRECTS) -> Answer:
        body = request.body() if request.body else None
        length = {"Content-Length": str(request.size)} if request.method in ("POST", "PUT") else {}
        request.headers.update(length)
        try:
            answer: Answer = self._client.follow(
                request.url, prepare, method=request.method, body=body, most=redirects, size=request.size
            )
        except Failure as failure:
            raise self._failed(failure) from None
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
        realm = self.allowed(_joined(self.base, challenge.get("realm", "")))
        wanted = sorted({*scopes, *challenge.get("scope", "").split()})
        query = [("service", challenge["service"])] if "service" in challenge else []
        query += [("scope", scope) for scope in wanted]
        if self.credentials.identity_token:
            fields = [("grant_type", "refresh_token"), ("client_id", "buildrules"), ("scope", " ".join(wanted))]
            fields += [("refresh_token", self.credentials.identity_token), *query[: "service" in challenge]]
            form = urlencode(fields).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            request = _Request("POST", realm, headers, lambda: [form], len(form))
        else:
            basic = self.credentials.basic()
            joined = realm + ("&" if urlsplit(realm).query else "?") + urlencode(query)
            request = _Request("GET", joined, {"Authorization": basic} if basic else {})

        def attempt(_: int) -> str | None:
            response = self._send(request, lambda url: (url, request.headers), redirects=0)
            if response.status == 401 and self.credentials.anonymous:
                response.close()
                return None
            if response.status != 200:
                raise self.error(response, f"a token request at {urlsplit(realm).hostname}")
            return f"Bearer {self._token_of(self.read(response), realm)}"

        return self.trying(attempt)

    def _token_of(self, data: bytes, realm: str) -> str:
        try:
            return read_token(data)[0]
        except ValueError:
            server = urlsplit(realm).hostname
            raise RegistryError(f"token server {server} of registry {self.host} sent no token") from None

    def _redact(self, text: str) -> str:
        """`text` of the other side without anything secret it may have echoed, and on one line."""
        conceal(self.credentials.secrets())
        return " ".join(hide(text).split())


def _joined(url: str, reference: str) -> str:
    """Where a reference leads from `url`; "" where that is no address."""
    try:
        return urljoin(url, reference)
    except ValueError:
        return ""
