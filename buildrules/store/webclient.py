"""One HTTP GET with the user's own network settings: proxies, certificates, credentials.

Credentials come from the url's userinfo, from the workspace's connections or from netrc at the moment of the request,
and go where they were meant for and nowhere else: redirects are followed here, not by the library.
"""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from buildrules.credentials import connections
from buildrules.credentials.address import origin_of
from buildrules.credentials.secret import conceal, hide
from buildrules.credentials.shown import login_before_slash, without_logins
from buildrules.errors import FetchError
from buildrules.start.address import following, shown_origin
from buildrules.start.header import content_length, fits

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_TIMEOUT = 10.0  # seconds
IDLE_TIMEOUT = 30.0  # seconds without a byte, not seconds in all
REDIRECTS = 10
SHORT = 64 << 10  # bytes of a redirect's body that are read

_UV_SECRETS = ("_PASSWORD", "_TOKEN")
_pools: dict[tuple[Any, ...], "PoolManager"] = {}
_pools_lock = threading.Lock()


def redact(url: str) -> str:
    """`url` as it may be shown or stored: without userinfo, query and fragment."""
    if login_before_slash(url):
        url = f"{url.partition('://')[0]}://{url.rpartition('@')[2]}"
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "<unreadable url>"


def scrub(text: str) -> str:
    """`text` of another program with the userinfo and query of every url in it taken out."""
    return hide(without_logins(text))


def scrub_output(text: str) -> str:
    """`scrub` for what a program says that reads the machine's logins itself, such as uv: a server may repeat them."""
    for host in _netrc_hosts().values():
        basic(host[0] or "", host[2] or "")
    conceal(value for name, value in os.environ.items() if name.startswith("UV_") and name.endswith(_UV_SECRETS))
    return scrub(text)


def split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """(url without userinfo and fragment, (user, password) or None)."""
    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, (unquote(user), unquote(password))


def with_userinfo(url: str, user: str, password: str) -> str:
    """`url` with credentials put in, for the moment of a fetch."""
    from urllib.parse import quote

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme.lower() == "https" else 80)


def get(
    url: str, headers: Mapping[str, str] | None = None, extra: Mapping[str, str] | None = None
) -> "BaseHTTPResponse":
    """GET `url` and follow redirects; the answer's body is not read yet and must be released.

    `headers` (tokens, say) go to the url's own origin only; `extra` (Range, Accept) to every hop.
    A connection's login goes with the first origin's requests, as long as they stay below the connection's address.
    Raises urllib3's HTTPError family on connection trouble, FetchError on a redirect that leads nowhere,
    CredentialsError where a login that is needed cannot be read.
    """
    first = origin_of(url)
    clean, given = split_userinfo(url)
    for _ in range(REDIRECTS):
        sent = {"Accept-Encoding": "identity", "User-Agent": "buildrules", **(extra or {})}
        origin, login = origin_of(clean), None
        if origin == first:
            sent.update(headers or {})
            login = given
        asked = clean
        served = (
            None if origin != first or login or "authorization" in map(str.lower, sent) else connections.login(clean)
        )
        if served:
            sent.update(served.headers())
            asked = served.onto(clean)
        else:
            login = login or netrc_login(origin[1])
        if login and not any(name.lower() == "authorization" for name in sent):
            sent["Authorization"] = basic(*login)
        unfit = next((name for name, value in sent.items() if not fits(value)), None)
        if unfit:
            raise FetchError(
                f"the header {unfit!r} would have characters that cannot be sent",
                hint="see that the credential is set to the secret and nothing else",
            )
        response = _pool(clean).request(
            "GET", asked, headers=sent, preload_content=False, redirect=False, retries=False, decode_content=False
        )
        location = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not location:
            return response
        let_go(response)
        clean = following(clean, location)
        if not clean:
            raise FetchError("it redirects to what is no address, or is neither http nor https")
    raise FetchError(f"it redirects more than {REDIRECTS} times, the last time to {shown_origin(clean)}")


def let_go(response: "BaseHTTPResponse") -> None:
    """Be done with an answer whose body nobody wants: a short one is read, so that the connection serves again."""
    length = content_length(response.headers)
    if length is not None and length <= SHORT:
        response.drain_conn()
        response.release_conn()
    else:
        response.close()


def basic(user: str, password: str) -> str:
    """The value of an Authorization header, which is shown nowhere from then on."""
    from buildrules.start import http

    return http.basic(user, password)


def netrc_login(host: str) -> tuple[str, str] | None:
    """(user, password) of `host` in $NETRC or ~/.netrc; None where there is none or it cannot be read."""
    hosts = _netrc_hosts()
    found = hosts.get(host) or hosts.get("default")
    return (found[0] or "", found[2] or "") if found else None


def _netrc_hosts() -> Mapping[str, tuple[str | None, str | None, str | None]]:
    """(login, account, password) by host; empty where the file cannot be read."""
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        return netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}  # a parse error's text may quote the secret itself, so it is not even shown


def reason(error: Exception) -> str:
    """What went wrong in a few words; urllib3's own text may quote the url's query, so it is not used."""
    from urllib3 import exceptions

    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        inner = getattr(seen, "reason", None) or next((a for a in seen.args if isinstance(a, BaseException)), None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    if isinstance(error, exceptions.ConnectTimeoutError):
        return "no connection in time"
    if isinstance(error, exceptions.ReadTimeoutError):
        return "the server went silent"
    if isinstance(error, exceptions.NameResolutionError):
        return "host name not found"
    if isinstance(error, (exceptions.IncompleteRead, exceptions.ProtocolError)):
        return "the connection broke off"
    return type(error).__name__


def _pool(url: str) -> "PoolManager":
    """The connection pool for `url`, shared by all threads of this process."""
    proxy = _proxy_of(url)
    bundle, folder = _certificates()
    key = (os.getpid(), proxy, bundle, folder)
    with _pools_lock:
        if key not in _pools:
            _pools[key] = _new_pool(proxy, bundle, folder)
        return _pools[key]


def _new_pool(proxy: str | None, bundle: str | None, folder: str | None) -> "PoolManager":
    import urllib3

    options: dict[str, Any] = {
        "num_pools": 32,
        "maxsize": 16,
        "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=IDLE_TIMEOUT),
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": bundle,
        "ca_cert_dir": folder,
    }
    if proxy is None:
        return urllib3.PoolManager(**options)
    clean, login = split_userinfo(proxy)
    if not clean.startswith(("http://", "https://")):
        raise FetchError(
            f"proxy {redact(proxy)!r} is neither http nor https",
            hint="set HTTPS_PROXY to an http proxy, or NO_PROXY for this host",
        )
    headers = {"Proxy-Authorization": basic(*login)} if login else None
    return urllib3.ProxyManager(clean, proxy_headers=headers, **options)


def _proxy_of(url: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not proxies or proxy_bypass(f"{host}:{_port(parts)}"):
        return None
    proxy = proxies.get(parts.scheme.lower()) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = "http://" + proxy
    return proxy or None


def _certificates() -> tuple[str | None, str | None]:
    """(bundle file, certificate folder): the usual variables, else the system's, else certifi's."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        value = os.environ.get(name)
        if value and os.path.isfile(value):
            return value, None
        if value and os.path.isdir(value):
            return None, value
    folder = os.environ.get("SSL_CERT_DIR")
    if folder and os.path.isdir(folder):
        return None, folder
    import ssl

    default = ssl.get_default_verify_paths()
    if default.cafile or (default.capath and os.listdir(default.capath)):
        return default.cafile, default.capath
    try:
        import certifi
    except ImportError:
        return None, None
    return certifi.where(), None
