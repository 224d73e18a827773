"""Addresses in texts that are shown: without what might be a login. Rather too much is hidden than too little.

A password may hold anything, whatever it should have been escaped to: `https://user:a/b?c#d@host` is meant by people,
and is an address of the host `user` to a program. So all between `://` and the last `@` goes, but where that is plainly
the sign of a revision: `git+https://user:pass@host/team/x.git@v1`. The user of an address for ssh stays.
"""

import os
import re

from buildrules.credentials.secret_names import IN_QUERY
from buildrules.start.address import redacted
from buildrules.start.secret import conceal, hide

_TOKEN = re.compile(r"[^\s\"'<>]+")
_PLAIN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")  # host and port (RFC 3986, 3.2)
_HOST = re.compile(rf"(?P<user>[A-Za-z0-9._-]+)@{_PLAIN.pattern}")
_REVISION = re.compile(r"[^@/?#\s]+@(?P<host>[^@/?#\s]+/[^@?\s]*\.git@[^@/?\s]+)")  # of a repository, as pip takes it
_OPTION = re.compile(r"(--trusted-host[ \t=]+)[^\s\"'<>]*@")
_DIGEST = "@sha256:"
_WEB = ("http", "https")
_AZURE = ("wasb", "wasbs", "abfs", "abfss")
"""Stores whose addresses have a container in front of the `@`."""
_SECRET = re.compile(rf"(?i){IN_QUERY}(?!\*+(?:[&;#]|$))")  # a parameter whose value is not covered already
_UV_SECRETS = ("_PASSWORD", "_TOKEN")


def redact(url: str) -> str:
    """`url` as it may be shown or stored: without userinfo, query and fragment."""
    if login_before_slash(url):
        url = f"{url.partition('://')[0]}://{url.rpartition('@')[2]}"
    return redacted(url)


def scrub(text: str) -> str:
    """`text` of another program with the userinfo and query of every url in it taken out."""
    return hide(without_logins(hide(text)))  # before as well: a secret may look like an address with a login


def scrub_output(text: str) -> str:
    """`scrub` for what a program says that reads the machine's logins itself, such as uv: a server may repeat them."""
    from buildrules.credentials.netrc import netrc_logins
    from buildrules.start.http import basic

    for login in netrc_logins().values():
        basic(*login)
    conceal(value for name, value in os.environ.items() if name.startswith("UV_") and name.endswith(_UV_SECRETS))
    return scrub(text)


def without_logins(text: str, *, queries: bool = True) -> str:
    """`text` without user names, passwords, and queries and fragments of addresses.

    Without `queries` those queries stay that do not look like secrets.
    """
    if "@" in text:
        text = _OPTION.sub(r"\1", text)
    if not any(sign in text for sign in "@?#"):
        return text
    return _TOKEN.sub(lambda found: _token(found[0], queries=queries), text)


def login_before_slash(url: str) -> bool:
    """Whether what seems to be the host of `url` is the beginning of a login with an unescaped `/`, `?` or `#`."""
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return "@" not in authority and "@" in rest and _PLAIN.fullmatch(authority) is None and bool(authority)


def _token(token: str, *, queries: bool) -> str:
    head, sign, rest = token.partition("://")
    if not sign:
        return _without_parameters(token, queries=False) if "#" in token else token
    scheme = re.split(r"[^A-Za-z0-9.-]", head)[-1].lower()
    rest, digest, value = rest.partition(_DIGEST)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    plain = _PLAIN.fullmatch(authority) is not None
    if scheme in _AZURE and _PLAIN.fullmatch(authority.replace("@", ".")) and ":" not in authority:
        return token
    if (scheme == "ssh" and _HOST.fullmatch(authority)) or (scheme == "file" and not authority):
        return f"{head}://{_without_parameters(rest, queries=False)}"
    if (repository := _REVISION.fullmatch(rest)) is not None:
        return f"{head}://{_without_parameters(repository['host'], queries=False)}"
    if plain:
        rest = _without_parameters(rest, queries=queries and scheme in _WEB)
    if not plain or (scheme in _WEB and "." not in authority):  # else it is a path: hub.example/@team/model
        login, _, host = rest.rpartition("@")
        if not login or login.strip("*"):  # covered already, in as many columns
            rest = host
        rest = _without_parameters(rest, queries=queries and scheme in _WEB)
    return f"{head}://{rest}{digest}{value}"


def _without_parameters(text: str, *, queries: bool) -> str:
    """`text` up to a query or fragment that looks like a secret, or with `queries` is a query."""
    address, sign, rest = text.partition("?")
    if sign and (queries or _SECRET.search(rest)):
        return address
    address, sign, rest = text.partition("#")
    return address if sign and "=" in rest and _SECRET.search(rest) else text
