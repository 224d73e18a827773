"""Which cache gets the login of a connection."""

import pytest

from buildrules.errors import UsageError
from buildrules.net.session import Session
from buildrules.remote import http
from buildrules.remote.opening import open_backend


@pytest.mark.parametrize(
    ("url", "target", "given"),
    [
        ("https://cache.example/x", "https://cache.example/x", True),
        ("https://cache.example:443/x", "https://cache.example", True),
        ("https://cache.example:8443/x", "https://cache.example:443", False),
        ("https://cache.example", "cache.example", True),
        ("https://other.example/x", "https://cache.example", False),
        ("https://cache.example.evil.example", "https://cache.example", False),
        ("https://cache.example", "https://cache.example:port", False),
    ],
)
def test_a_login_goes_to_the_host_of_its_connection(
    url: str, target: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    opened = http.open_place
    monkeypatch.setattr(http, "open_place", lambda url, session, name: seen.append(name) or opened(url, session, name))
    session = Session()
    session.connect([{"name": "cache", "type": "http", "target": target}], ".")
    open_backend(url, session, "cache")
    assert seen == ["cache" if given else None]


def test_a_connection_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no connection"):
        open_backend("https://cache.example", Session(), "cache")


@pytest.mark.parametrize("url", ["ftp://user:secret@host/x", "cache.example", "", "https"])
def test_addresses_of_no_cache(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of a cache") as error:
        open_backend(url, Session())
    assert "secret" not in str(error.value)
