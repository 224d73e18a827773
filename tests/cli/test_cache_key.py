"""Keys are made, trusted and listed; their secret half is nobody else's to read."""

import os
from pathlib import Path

import pytest

from buildrules.credentials.secret import Secrets
from buildrules.errors import CredentialsError, UsageError
from buildrules.remote.keys import read_private
from buildrules.workspace.trust import open_signer, open_trust
from tests.support.space import Space


@pytest.fixture
def team(workspace: Space, tmp_path: Path) -> Space:
    """A workspace, and a user with a configuration of her own."""
    workspace.env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return workspace


def secret_of(team: Space, name: str) -> Path:
    return Path(team.env["XDG_CONFIG_HOME"]) / "buildrules/keys" / f"{name}.key"


def test_a_key_is_made_trusted_and_listed(team: Space) -> None:
    made = team.run("cache", "key", "new", "ci", "--namespace", "main", "--namespace", "pull-request/*")
    made.said("for main, pull-request/*", "public   keys/ci.pub", "next: buildrules cache key trust keys/ci.pub")
    before = team.path("BUILD.yaml").read_text()
    team.run("cache", "key", "trust", "keys/ci.pub").said("is trusted for main, pull-request/*")
    after = team.path("BUILD.yaml").read_text()
    assert after.replace("  cache:\n    public_keys: [keys/ci.pub]\n", "") == before
    team.run("cache", "key", "trust", "keys/ci.pub").said("is trusted already")
    team.run("cache", "key", "list").said("ci:", "trusted for main, pull-request/*, keys/ci.pub, secret half in")
    team.build()


def test_the_secret_half_is_for_its_owner_and_never_shown(team: Space) -> None:
    old = os.umask(0)
    try:
        made = team.run("cache", "key", "new", "ci")
    finally:
        os.umask(old)
    path = secret_of(team, "ci")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    secret = path.read_text().strip().rpartition(":")[2]
    team.run("cache", "key", "trust", "keys/ci.pub")
    shown = made.out + made.err + team.run("cache", "key", "list").out
    assert secret not in shown
    assert all(secret.encode() not in data for data in team.tree().values())


def test_a_key_of_another_checkout_is_copied(team: Space, tmp_path: Path) -> None:
    team.run("cache", "key", "new", "ci")
    elsewhere = tmp_path / "theirs.pub"
    team.path("keys/ci.pub").rename(elsewhere)
    team.run("cache", "key", "trust", str(elsewhere)).said("commit keys/ci.pub and BUILD.yaml")
    assert team.path("keys/ci.pub").read_bytes() == elsewhere.read_bytes()
    secret_of(team, "ci").unlink()
    team.path("keys/ci.pub").rename(tmp_path / "old.pub")
    team.run("cache", "key", "new", "ci")
    team.run("cache", "key", "trust", str(elsewhere), code=2).said("'keys/ci.pub' is another key of that name")


def test_nothing_is_written_over(team: Space) -> None:
    team.run("cache", "key", "new", "ci")
    secret, public = secret_of(team, "ci").read_bytes(), team.path("keys/ci.pub").read_bytes()
    team.run("cache", "key", "new", "ci", code=2).said("already")
    team.run("cache", "key", "new", "ci", "--private", "other.key", code=2).said("there is a 'keys/ci.pub' already")
    assert (secret_of(team, "ci").read_bytes(), team.path("keys/ci.pub").read_bytes()) == (secret, public)
    assert not team.path("other.key").exists()


@pytest.mark.parametrize(
    "arguments", [["../ci"], ["a b"], ["ci", "--namespace", "*"], ["ci", "--namespace", "../main"]]
)
def test_odd_names_are_refused(team: Space, arguments: list[str]) -> None:
    team.run("cache", "key", "new", *arguments, code=2).said("error: ")
    assert not team.path("keys").exists()


def test_what_is_no_key_is_not_trusted(team: Space) -> None:
    before = team.path("BUILD.yaml").read_bytes()
    team.run("cache", "key", "trust", "src/score.py", code=2).said("'src/score.py' is no public key: ", "key new")
    team.run("cache", "key", "new", "ci")
    secret = secret_of(team, "ci")
    found = team.run("cache", "key", "trust", str(secret), code=2)
    found.said("is no public key: ")
    assert secret.read_text().strip().rpartition(":")[2] not in found.out + found.err
    assert team.path("BUILD.yaml").read_bytes() == before


def test_a_key_that_is_trusted_and_gone_is_said(team: Space) -> None:
    team.run("cache", "key", "new", "ci")
    team.run("cache", "key", "trust", "keys/ci.pub")
    team.path("keys/ci.pub").unlink()
    team.run("cache", "key", "list", code=2).said("the public key 'keys/ci.pub' cannot be read: no such file")


def test_a_link_does_not_lead_out_of_the_workspace(team: Space, tmp_path: Path) -> None:
    team.run("cache", "key", "new", "ci")
    team.path("keys/ci.pub").rename(tmp_path / "ci.pub")
    team.path("keys/ci.pub").symlink_to(tmp_path / "ci.pub")
    with pytest.raises(UsageError, match="leads out of the workspace"):
        open_trust({"signatures": "require", "public_keys": ["keys/ci.pub"]}, str(team.root))
    open_trust({"signatures": "off", "public_keys": ["keys/ci.pub"]}, str(team.root))


def test_a_signing_key_comes_from_where_the_settings_say(team: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    team.run("cache", "key", "new", "ci")
    path = secret_of(team, "ci")
    secrets, root = Secrets(str(team.root)), str(team.root)
    signer = open_signer({"signing_key": {"file": str(path)}}, secrets, root)
    assert signer is not None and signer.writer == read_private(path.read_text()).writer
    monkeypatch.setenv("SIGNING", path.read_text())
    assert open_signer({"signing_key": {"env": "SIGNING"}}, secrets, root).writer == signer.writer  # type: ignore[union-attr]
    assert open_signer({}, secrets, root) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_signing_key_that_others_can_read_is_refused(team: Space, mode: int) -> None:
    team.run("cache", "key", "new", "ci")
    path = secret_of(team, "ci")
    path.chmod(mode)
    with pytest.raises(CredentialsError, match="can be read by others") as caught:
        open_signer({"signing_key": {"file": str(path)}}, Secrets(str(team.root)), str(team.root))
    assert caught.value.hint == f"chmod 600 {path}"


def test_what_is_no_signing_key_is_said_without_it(team: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING", "hunter2-hunter2")
    with pytest.raises(CredentialsError, match="it is no signing key") as caught:
        open_signer({"signing_key": {"env": "SIGNING"}}, Secrets(str(team.root)), str(team.root))
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"
