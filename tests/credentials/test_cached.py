"""Credentials of a build and of its cache are in nothing that the cache is given, nor in anything that is said."""

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.remote.keys import PrivateKey
from tests.support.cache_server import CacheServer, cache_server
from tests.support.canary import Canary, CommandLines
from tests.support.feed import Nginx
from tests.support.space import APP, Result, Space

pytestmark = pytest.mark.slow  # every command is watched, and everything it wrote is searched

Make = Callable[..., Space]
HALF = os.urandom(32)
CI = PrivateKey("ci", HALF)
KEY_FORMS = (HALF, HALF.hex().encode(), base64.b64encode(HALF)[:40], base64.urlsafe_b64encode(HALF)[:40])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path / "server") as running:
        yield running


class Machines:
    """Copies of a workspace that takes packages from a private feed, and a cache that is written with a password.

    `canaries` are the secrets: of the feed, of the cache, a variable that is about.
    """

    def __init__(self, private: Make, web: Nginx, server: CacheServer, folder: Path, packages: str) -> None:
        feed, password, stray = (Canary(plain=True) for _ in range(3))
        self.canaries = (feed, password, stray)
        self.folder, self.server = folder, server
        web.let_in("__token__", feed.text)
        digest = base64.b64encode(hashlib.sha1(password.text.encode()).digest()).decode()
        (server.log.parent / "nginx/writers").write_text(f"ci:{{SHA}}{digest}\n")
        self.first = private(web.team, "{pat: {env: FEED_TOKEN}}", packages)
        self.first.write("keys/ci.pub", CI.public(("main",)).text())
        login = "{username: ci, password: {env: CACHE_PASSWORD}}"
        self.first.edit(
            "BUILD.yaml", "  connections:\n",
            f"  cache:\n    remote: {server.url}\n    connection: cache\n    signatures: require\n"
            "    public_keys: [keys/ci.pub]\n    signing_key: {env: SIGNING}\n"
            f"  connections:\n    cache: {{type: http, target: '{server.url}', credentials: {login}}}\n",
        )  # fmt: skip
        self.first.env |= {
            "FEED_TOKEN": feed.text, "CACHE_PASSWORD": password.text, "SIGNING": CI.text(),
            "DEPLOY_TOKEN": stray.text, "CI": "true",
        }  # fmt: skip
        self.said = ""
        self.lines = CommandLines()
        self.spaces = [self.first]

    def second(self) -> Space:
        space = Space(self.folder / "second", self.first.wheels)
        shutil.copytree(self.first.root, space.root)
        shutil.copy(self.first.folder / "uv.toml", space.folder / "uv.toml")
        del space.env["UV_FIND_LINKS"]
        kept = {name: self.first.env[name] for name in ("FEED_TOKEN", "CACHE_PASSWORD", "DEPLOY_TOKEN")}
        space.env |= kept
        self.spaces.append(space)
        return space

    def run(self, space: Space, *args: str, code: int | None = 0, **env: str) -> Result:
        result = space.process(*args, code=code, env=env)
        self.said += result.out + result.err
        return result

    def check(self) -> None:
        """Fail where a secret is anywhere."""
        places = [self.server.data, self.server.log, self.server.writes, *(space.folder for space in self.spaces)]
        lines = self.lines.text()
        assert b"buildrules" in lines, "nothing was watched"
        for canary in self.canaries:
            assert not canary.inside(self.said.encode()), self.said
            assert not canary.inside(lines)
            assert canary.found(*places) == []
        files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
        holding = [path for path in files if any(form in path.read_bytes() for form in KEY_FORMS)]
        assert holding == []
        assert not any(form in text for form in KEY_FORMS for text in (self.said.encode(), lines))


@pytest.fixture(params=["acmefeatures==1.0"])
def machines(
    private: Make, web: Nginx, server: CacheServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Machines:
    return Machines(private, web, server, tmp_path, request.param)


def test_nothing_secret_goes_into_the_cache(machines: Machines) -> None:
    first = machines.first
    with machines.lines:
        machines.run(first, "lock")
        trace = str(first.folder / "trace.json")
        built = machines.run(first, "build", APP, "--json", "-v", "--profile", trace)
        assert '"sent": 0' not in built.out
        second = machines.second()
        taken = machines.run(second, "build", APP, "--json", "-v")
        assert '"executed": 0' in taken.out, taken.out
        machines.run(second, "cache", "audit", code=None)
        machines.run(second, "cache", "verify")
        machines.run(second, "export", APP, "-o", str(second.folder / "out"))
        machines.run(second, "why", APP, code=None)
        for verb in (["audit"], ["info", "--remote"], ["verify", "--remote"]):
            machines.run(second, "cache", *verb, f"file://{machines.server.data}")
    assert len([path for path in machines.server.data.rglob("*") if path.is_file()]) > 5
    assert "ci" in machines.server.writes.read_text()
    machines.check()


def test_a_cache_that_refuses_them_does_not_show_them(machines: Machines) -> None:
    first = machines.first
    (machines.server.log.parent / "nginx/writers").write_text("ci:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    with machines.lines:
        machines.run(first, "lock")
        refused = machines.run(first, "build", APP, "-v")
        refused.said("warning")
        wrong = machines.canaries[2].text
        machines.run(
            first,
            "build",
            APP,
            "-v",
            "--json",
            SIGNING=f"{CI.text()}{wrong}",
            BUILDRULES_CACHE_DIR=str(first.folder / "2"),
        )
        machines.run(first, "build", APP, SIGNING=wrong, BUILDRULES_CACHE_DIR=str(first.folder / "3")).said(
            "no signing key"
        )
    machines.check()


@pytest.mark.parametrize("machines", ["acmefeatures==1.0, acmesource==1.0"], indirect=True)
def test_a_back_end_that_writes_its_environment_down_has_none_of_them(machines: Machines) -> None:
    """The wheel that it builds holds its whole environment, and is not sent."""
    with machines.lines:
        machines.run(machines.first, "lock")
        machines.run(machines.first, "build", APP, "-v")
    built = [
        path for path in machines.server.data.rglob("*") if path.is_file() and b"build_wheel/" in path.read_bytes()
    ]
    assert built == []
    machines.check()
