"""Environments from private Python feeds: real nginx, real uv."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.canary import Canary
from tests.support.feed import MoodyFeed, Nginx
from tests.support.space import APP, Space

Make = Callable[..., Space]
TOKEN = "{pat: {env: FEED_TOKEN}}"
LOGIN = "{username: reader, password: {file: secrets/team}}"
LOCK = "pylock.env-linux-amd64.toml"


def test_a_private_wheel_is_locked_and_fetched(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", canary.text)
    space = private(web.team, TOKEN, "acmefeatures==1.0, shared")
    space.env["FEED_TOKEN"] = canary.text
    report = space.build()
    lock = space.path(LOCK).read_text()
    assert f"{web.team.removesuffix('simple')}files/acmefeatures" in lock
    assert "shared-1.0" in lock, "a public package of the same name, even if newer, is never taken"
    assert space.clean_build().digest == report.digest
    space.run("lock", "--check")


def test_all_is_in_the_store_so_the_token_is_not_needed(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("reader", canary.text)
    space = private(web.team, LOGIN)
    space.write("secrets/team", canary.text + "\n")
    space.build()
    before = len(web.requests())
    space.remove("secrets/team")
    space.append("src/score.py", "# edited\n")
    space.build()
    assert len(web.requests()) == before


def test_a_missing_variable_is_said_before_any_request(private: Make, web: Nginx) -> None:
    space = private(web.team, TOKEN)
    before = len(web.requests())
    said = space.run("build", APP, code=1).said("connection 'team': the environment variable 'FEED_TOKEN' is not set")
    assert "set FEED_TOKEN" in said.err
    assert len(web.requests()) == before


def test_a_plan_that_is_kept_keeps_the_connections(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", canary.text)
    space = private(web.team, TOKEN)
    space.env["FEED_TOKEN"] = canary.text
    export = ("export", APP, "--format", "oci-archive", "-o", str(space.folder / "app.tar"))
    space.run("lock")
    space.settle(*export)
    before = len(web.requests())
    for path in space.blobs().values():
        path.unlink()
    space.run(*export)
    assert [line for line in web.requests()[before:] if "/team/files/acmefeatures" in line and " 200 " in line]
    assert not [line for line in web.requests()[before:] if "/simple/" in line], "it was planned anew"


def test_a_wrong_token_when_locking(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", "another")
    space = private(web.team, TOKEN)
    space.env["FEED_TOKEN"] = canary.text
    said = space.run("build", APP, code=1).said(
        f"connection 'team' was refused by {web.team}: 401 Unauthorized",
        "the environment variable 'FEED_TOKEN'",
        "may have expired",
    )
    assert not canary.inside((said.out + said.err).encode())


def test_a_wrong_token_when_fetching(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", canary.text)
    space = private(web.team, TOKEN)
    space.env["FEED_TOKEN"] = canary.text
    space.run("lock")
    web.let_in("__token__", "renewed")
    space.run("build", APP, code=1).said(
        f"connection 'team' was refused by {web.team}: ",
        "answered 401 Unauthorized",
        "the environment variable 'FEED_TOKEN'",
    )


def test_an_environment_may_name_its_feeds(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", canary.text)
    space = private(web.team, TOKEN, "shared", env="\n    connections: []")
    space.build()
    assert "shared-9.0" in space.path(LOCK).read_text()
    space.run("lock", "--check")
    space.env["FEED_TOKEN"] = canary.text
    space.edit("BUILD.yaml", "connections: []", "connections: [team]")
    space.run("lock", "--check", code=1).said("the requirements have changed")
    space.run("lock", "--upgrade")
    assert "shared-1.0" in space.path(LOCK).read_text()
    space.edit("BUILD.yaml", "connections: [team]", "connections: [tema]")
    space.run("build", APP, code=2).said("there is no connection 'tema'", "BUILD.yaml:")


def test_an_index_named_in_a_conda_file(private: Make, web: Nginx, canary: Canary) -> None:
    """As Azure has it: a git connection to the organisation, and the feed in the pip section."""
    web.let_in("__token__", canary.text)
    space = private(web.team.removesuffix("/simple"), TOKEN)
    space.edit("BUILD.yaml", "type: python_feed", "type: git")
    space.edit("BUILD.yaml", "requirements: [numlib==1.0, acmefeatures==1.0]", "conda_file: conda.yaml")
    pip = f"  - --extra-index-url {web.team}\n  - acmefeatures\n  - numlib\n"
    space.write("conda.yaml", f"dependencies:\n- pip\n- pip:\n{pip}")
    space.env["FEED_TOKEN"] = canary.text
    space.build()
    assert "acmefeatures-1.0" in space.path(LOCK).read_text()
    assert space.clean_build().digest


def test_portable_locks_hold_no_address(private: Make, web: Nginx, canary: Canary) -> None:
    web.let_in("__token__", canary.text)
    space = private(web.team, TOKEN)
    space.env["FEED_TOKEN"] = canary.text
    space.edit("BUILD.yaml", "  platforms", "  locks: {portable: true}\n  platforms")
    digest = space.build().digest
    assert "127.0.0.1" not in space.path(LOCK).read_text()
    assert space.clean_build().digest == digest


@pytest.mark.parametrize("way", ["netrc", "keyring", "uv"])
def test_logins_of_the_machine_go_on_working(
    private: Make, web: Nginx, canary: Canary, tmp_path: Path, way: str
) -> None:
    web.let_in("reader", canary.text)
    space = private(web.team, "{}")
    if way == "netrc":
        netrc = space.folder / "home/.netrc"
        netrc.write_text(f"machine 127.0.0.1 login reader password {canary.text}\n")
        netrc.chmod(0o600)
    elif way == "uv":
        space.env.update(UV_INDEX_TEAM_USERNAME="reader", UV_INDEX_TEAM_PASSWORD=canary.text)
    else:
        program = tmp_path / "bin/keyring"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\n[ "$2 $3" = "team-feed reader" ] && echo {canary.text}\n')
        program.chmod(0o755)
        space.edit("BUILD.yaml", "{}", "{username: reader, password: {keyring: team-feed/reader}}")
        space.env["PATH"] = f"{program.parent}:{space.env['PATH']}"
    digest = space.build().digest
    assert space.clean_build().digest == digest


def test_a_feed_shares_its_host_with_strangers(private: Make, feed: MoodyFeed, canary: Canary) -> None:
    """A lock that was tampered with does not carry the token elsewhere."""
    space = private(feed.url, TOKEN)
    space.env["FEED_TOKEN"] = canary.text
    space.build()
    space.edit(LOCK, "/team/files/acmefeatures", "/others/files/acmefeatures")
    assert json.loads(space.run("build", APP, "--json").out)  # the store has the files
    space.run("build", APP, env={"BUILDRULES_CACHE_DIR": str(space.folder / "empty")})
    assert feed.stolen == []
