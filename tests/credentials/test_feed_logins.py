"""The logins of feeds that a build from source is given."""

import os
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.python.feeds import ALL, Feeds, build_environment
from buildrules.credentials.connections import Connections
from buildrules.errors import CredentialsError


def row(name: str, target: str, variable: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "python_feed",
        "target": target,
        "kind": "pat",
        "parts": {"pat": {"env": variable}},
    }


@pytest.fixture(autouse=True)
def _feeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    for name, text in (("ONE", "first-secret"), ("TWO", "second-secret")):
        monkeypatch.setenv(name, text)


def netrc(known: Connections, chosen: Feeds) -> list[str]:
    with build_environment(chosen, known, os.path.join(os.environ["HOME"], "tmp")) as found:
        assert os.stat(found["NETRC"]).st_mode & 0o777 == 0o600
        return Path(found["NETRC"]).read_text().splitlines()


def test_two_logins_for_one_host_are_refused() -> None:
    mine = row("mine", "https://pkgs.example/mine/simple", "ONE")
    other = row("other", "https://pkgs.example/other/simple", "TWO")
    known = Connections([mine, other])
    with pytest.raises(CredentialsError, match="'mine' and 'other' have different logins for 'pkgs") as e:
        netrc(known, ALL)
    assert "secret" not in f"{e.value.message}{e.value.hint}"
    (line,) = netrc(known, Feeds(("other",)))
    assert line.startswith("machine pkgs.example ")
    assert line.endswith(" password second-secret")


def test_one_login_for_two_feeds_and_two_hosts() -> None:
    mine = row("mine", "https://pkgs.example/mine/simple", "ONE")
    other = row("other", "https://pkgs.example/other/simple", "ONE")
    third = row("third", "https://feed.example/simple", "TWO")
    known = Connections([mine, other, third])
    assert [line.split()[1::4] for line in netrc(known, ALL)] == [
        ["pkgs.example", "first-secret"],
        ["feed.example", "second-secret"],
    ]
