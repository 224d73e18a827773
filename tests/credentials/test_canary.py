"""A canary token is used for everything, in success and in every failure, and found nowhere afterwards."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.support.canary import Canary, CommandLines
from tests.support.dockerlab import running_engine, tidy
from tests.support.feed import MOODS, MoodyFeed, Nginx
from tests.support.space import APP, Result, Space

pytestmark = pytest.mark.slow  # every command is watched, and everything it wrote is searched

Make = Callable[..., Space]
TOKEN = "{pat: {env: FEED_TOKEN}}"
PACKAGES = "acmefeatures==1.0, acmesource==1.0"


class Watched:
    """Runs commands with the canary in the environment, and keeps all they say and all that is started."""

    def __init__(self, space: Space, canary: Canary) -> None:
        self.space, self.canary = space, canary
        space.env["FEED_TOKEN"] = canary.text
        space.env["UV_HTTP_RETRIES"] = "1"  # of three each says the same, after a longer pause
        self.said = ""
        self.lines = CommandLines()

    def run(self, *args: str, code: int | None = 0, **more: str) -> Result:
        """A command in a process of its own, so that its command line and environment are its own."""
        result = self.space.process(*args, code=code, env=more)
        self.said += result.out + result.err
        return result

    def check(self) -> None:
        """Fail where the canary is anywhere."""
        assert not self.canary.inside(self.said.encode()), self.said
        assert not self.canary.inside(self.lines.text())
        assert b"buildrules" in self.lines.text(), "nothing was watched"
        assert self.canary.found(self.space.folder) == []


@pytest.fixture
def canary() -> Canary:
    """D3: with every printable character."""
    return Canary()


builds_from_source = pytest.mark.parametrize("canary", [Canary(plain=True)], ids=["plain"])
"""Its tools would read odd letters as something else, so it takes none."""


@pytest.fixture
def watched(private: Make, feed: MoodyFeed, canary: Canary) -> Watched:
    return Watched(private(feed.url, TOKEN, PACKAGES), canary)


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "odd"])
def test_the_canary_is_used_and_kept_nowhere(private: Make, web: Nginx, plain: bool) -> None:
    """A build from source takes no odd letters: its tools would read them as something else."""
    canary = Canary(plain=plain)
    web.let_in("__token__", canary.text)
    run = Watched(private(web.team, TOKEN, PACKAGES if plain else "acmefeatures==1.0"), canary)
    with run.lines:
        run.run("lock")
        folder = run.space.folder
        run.run("build", APP, "--verbose", "--profile", str(folder / "p.json"), "--events", str(folder / "e.jsonl"))
        run.run("build", APP, "--json")
        run.run("report")
        run.run("why", APP)
        run.run("query", "//...", "--output=json", code=None)
        for form in ("oci-layout", "oci-archive", "docker-archive"):
            run.run("export", APP, "--format", form, "-o", str(run.space.folder / f"out-{form}"))
        run.run("lock", "--upgrade")
        run.run("cache", "verify", code=None)
        fresh = str(run.space.folder / "second-store")
        run.run("build", APP, "-v", "--locked", BUILDRULES_CACHE_DIR=fresh)
    wanted = "acmeback" if plain else "acmefeatures"
    assert any(f"/team/files/{wanted}" in line and " 200 " in line for line in web.requests()), "nothing was fetched"
    run.check()
    assert run.canary.found(web.folder / "access.log") == []


@pytest.mark.parametrize("mood", MOODS[1:])
def test_failing_fetches_do_not_show_it(watched: Watched, feed: MoodyFeed, mood: str) -> None:
    with watched.lines:
        watched.run("lock")
        feed.mood = mood
        folder = watched.space.folder
        said = ["-v", "--profile", str(folder / "p.json"), "--events", str(folder / "e.jsonl"), "--progress", "json"]
        for number, options in enumerate((said, ["--json"])):
            store = str(watched.space.folder / f"store-{number}")
            result = watched.run("build", APP, *options, code=None, BUILDRULES_CACHE_DIR=store)
            assert result.code == (4 if mood in ("redirect", "elsewhere") else 1), result.err
            if mood in ("401", "403"):
                result.said("connection 'team' was refused", "FEED_TOKEN")
            watched.run("report", "-o", str(folder / f"{number}.html"), BUILDRULES_CACHE_DIR=store)
    watched.check()
    assert [path for path, _ in feed.stolen if not path.startswith("/gone")] == []
    assert not [path for path, given in feed.stolen if mood == "elsewhere"], "credentials went to another origin"


@pytest.mark.parametrize("mood", MOODS[1:])
def test_failing_locks_do_not_show_it(watched: Watched, feed: MoodyFeed, mood: str) -> None:
    feed.index_mood = mood
    with watched.lines:
        result = watched.run("lock", code=None)
        assert result.code, result.out
        if mood in ("401", "403"):
            result.said(f"connection 'team' was refused by {feed.url}", "FEED_TOKEN")
        watched.run("build", APP, "--json", code=None)
    watched.check()


@builds_from_source
@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_loaded_image_does_not_hold_it(watched: Watched) -> None:
    engine, name = running_engine(), f"buildrules-test-{os.urandom(4).hex()}"
    watched.space.edit("BUILD.yaml", "name: acme", f"name: {name}")
    with tidy(engine, name):
        with watched.lines:
            watched.run("load", APP, "-v")
        saved = watched.space.folder / "saved.tar"
        save = ["docker", "save", "-o", str(saved), f"{name}/app:latest"]
        subprocess.run(save, check=True, env={**os.environ, **watched.space.env})
        history = ["docker", "inspect", f"{name}/app:latest"]
        watched.said += subprocess.run(history, capture_output=True, text=True, check=True).stdout
    assert saved.stat().st_size > 10_000
    watched.check()


@builds_from_source
def test_a_source_that_cannot_be_built_does_not_show_it(watched: Watched, feed: MoodyFeed) -> None:
    with watched.lines:
        watched.run("lock")
        (feed.folder / "simple/acmeback/index.html").write_text("<html></html>")
        watched.run("build", APP, "-v", code=1).said("acmesource", "acmeback")
    watched.check()
