"""HTTP by urllib3, with the user's own network settings: proxies, certificates, logins.

Logins come from the url's userinfo, from the workspace's connections or from netrc at the moment of the request, and go
where they were meant for and nowhere else: redirects are followed here, not by the library.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildrules.credentials.address import split_userinfo
from buildrules.credentials.connections import Connections
from buildrules.credentials.login import Login
from buildrules.credentials.netrc import netrc_login
from buildrules.credentials.redact import redact
from buildrules.start.address import is_loopback
from buildrules.start.failure import MISSING, UNUSABLE, Failure
from buildrules.start.header import content_length
from buildrules.start.http import basic
from buildrules.start.retry import retrying
from buildrules.start.web import LIMIT, Prepare, Web, broken, origin, read_whole

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_TIMEOUT = 10.0  # seconds
IDLE_TIMEOUT = 30.0  # seconds without a byte, not seconds in all
SLOWEST = 50e6  # bytes a second at which a server may file away what it was sent, before it answers
TRIES = 3
SHORT = 64 << 10  # bytes of a body nobody wants that are read, so that the connection serves again


class Client(Web):
    """The requests of one command, with the logins of its workspace's `connections`. Safe for concurrent threads."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections
        self._pools: dict[tuple[str | None, ...], PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        host: str | None = None,
        size: int = 0,
        connect: float = CONNECT_TIMEOUT,
        idle: float | None = None,
    ) -> "Answer":
        """One request, no redirect followed. `body` is bytes or runs of them, `size` bytes in all.

        `host` is what may be shown of the address, where `url` may not; `connect` and `idle` are seconds, the latter
        IDLE_TIMEOUT without. Raises Failure where there is no answer.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        idle = IDLE_TIMEOUT if idle is None else idle
        # urllib3 sends a body under the connect timeout.
        if body is not None:
            connect = max(connect, idle)
            headers = {**headers, "Content-Length": str(len(body) if isinstance(body, bytes) else size)}
        try:
            response = self._pool(url).request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=Timeout(connect=connect, read=idle + size / SLOWEST),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, UnicodeError) as error:
            raise broken(_cause(error), url, host) from None  # urllib3's error holds the request's headers
        return Answer(response, url)

    def get(self, url: str, extra: Mapping[str, str] | None = None) -> "Answer | FileAnswer":
        """GET `url` (http, https, file) and follow redirects; the answer's body is not read yet and must be closed.

        Raises Failure where there is no answer, CredentialsError where a login that is needed cannot be read.
        """
        if origin(url)[0] == "file":
            return FileAnswer(url)
        clean, prepare = self.prepared(url, extra)
        found: Answer = self.follow(clean, prepare)
        return found

    def prepared(
        self, url: str, extra: Mapping[str, str] | None = None, login: Callable[[str], Login | None] | None = None
    ) -> tuple[str, Prepare]:
        """`url` without its userinfo, and what `follow` is to send to it and where it leads to.

        `extra` (Range, Accept) goes to every hop. A connection's login goes with the first origin's requests, as long
        as they stay below the connection's address; `login` gives another for an address of that origin.
        """
        first = origin(url)
        clean, given = split_userinfo(url)

        def prepare(hop: str) -> tuple[str, dict[str, str]]:
            sent = dict(extra or {})
            own = origin(hop)
            served = None if own != first or given else (login or self._connections.login)(hop)
            if served:
                return served.onto(hop), {**sent, **served.headers()}
            pair = given if own == first and given else netrc_login(own[1])
            return hop, {**sent, "Authorization": basic(*pair)} if pair else sent

        return clean, prepare

    def read(self, url: str, *, limit: int = LIMIT, wait: Callable[[float], None] = time.sleep) -> bytes:
        """The whole of what `get` answers, at most `limit` bytes, with retries. Raises Failure."""
        return retrying(lambda: read_whole(self.get(url), url, limit=limit), TRIES, wait)

    def close(self) -> None:
        """Close the idle connections."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str) -> "PoolManager":
        """The connections to the host of `url`, shared by all threads."""
        key = (_proxy_of(url), *self._connections.certificates())
        with self._lock:
            if key not in self._pools:
                self._pools[key] = _new_pool(*key)
            return self._pools[key]


class Answer:
    """An answer whose body is read as it is wanted."""

    def __init__(self, response: "BaseHTTPResponse", url: str) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._url = url
        self._broken = False

    def read(self, count: int | None = None, *, decode: bool = False) -> bytes:
        """Up to `count` bytes, all that is left for None; `decode` undoes a Content-Encoding.

        Raises Failure where the connection breaks.
        """
        from urllib3.exceptions import HTTPError

        try:
            return self._response.read(count, decode_content=decode)
        except HTTPError as error:
            self._broken = True
            raise broken(_cause(error), self._url) from None

    def some(self, count: int) -> bytes:
        """What has arrived, up to `count` bytes and at least one; nothing at the end. Raises Failure."""
        from urllib3.exceptions import HTTPError

        try:
            return self._response.read1(count, decode_content=False)
        except HTTPError as error:
            self._broken = True
            raise broken(_cause(error), self._url) from None

    def abandon(self) -> None:
        """Be done with it, and with its connection: nobody waits for the rest."""
        self._broken = True
        self.close()

    def close(self) -> None:
        """Be done with it: the rest of a short body is read, so that the connection serves again."""
        length = content_length(self.headers)
        if length is not None and length <= SHORT and not self._broken:
            self._response.drain_conn()
            self._response.release_conn()
        else:
            self._response.close()


class FileAnswer:
    """A file of this machine, as a server would answer it. Raises Failure where it cannot be read."""

    status = 200

    def __init__(self, url: str) -> None:
        from urllib.request import url2pathname

        try:
            self._file = open(url2pathname(urlsplit(url).path), "rb")  # noqa: SIM115 - `close` closes it
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            why = "no such file" if gone else (error.strerror or "cannot be read").lower()
            raise Failure(MISSING if gone else UNUSABLE, f"{redact(url)}: {why}") from None
        self.headers = {"Content-Length": str(os.fstat(self._file.fileno()).st_size)}

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes."""
        return self._file.read(count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cause(error: Exception) -> BaseException:
    """What lies behind an error of urllib3: an error of the socket or of TLS, as the standard library raises it."""
    from urllib3 import exceptions

    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            break
        if isinstance(seen, OSError):
            return seen
        inner = getattr(seen, "reason", None) or next((a for a in seen.args if isinstance(a, BaseException)), None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    if isinstance(error, exceptions.TimeoutError):
        return TimeoutError()
    return ConnectionError(0, "the connection broke off") if isinstance(error, exceptions.ProtocolError) else error


def _new_pool(proxy: str | None, bundle: str | None, folder: str | None) -> "PoolManager":
    import urllib3

    options: dict[str, Any] = {
        "num_pools": 32,
        "maxsize": 32,
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": bundle,
        "ca_cert_dir": folder,
    }
    if proxy is None:
        return urllib3.PoolManager(**options)
    clean, login = split_userinfo(proxy)
    if not clean.startswith(("http://", "https://")):
        raise Failure(
            UNUSABLE,
            f"proxy {redact(proxy)!r} is neither http nor https",
            hint="set HTTPS_PROXY to an http proxy, or NO_PROXY for this host",
        )
    headers = {"Proxy-Authorization": basic(*login)} if login else None
    return urllib3.ProxyManager(clean, proxy_headers=headers, **options)


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a url; None on this machine, and where it names none."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    scheme, host, port = origin(url)
    if not proxies or is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = "http://" + proxy
    return proxy or None
