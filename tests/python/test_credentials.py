"""Configuration files of uv that are not as uv's own are: what can be read of them counts, and uv says the rest."""

from pathlib import Path

import pytest

from buildrules.actions.python.credentials import IndexLogins
from buildrules.credentials import secret
from buildrules.errors import CredentialsError
from buildrules.net.session import Session

GOOD = "https://feed.example/simple"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.toml", 'index = ["x"]\n'),
        ("uv.toml", "index = 5\n"),
        ("uv.toml", "pip = 1\n"),
        ("uv.toml", "index-url = 5\n"),
        ("uv.toml", "extra-index-url = {a = 1}\n"),
        ("uv.toml", 'find-links = ["http://[bad"]\n'),
        ("uv.toml", 'index-url = "https://host:port/simple"\n'),
        ("uv.toml", '[[index]]\nname = 3\nurl = ["x"]\n'),
        ("pyproject.toml", "tool = 1\n"),
        ("pyproject.toml", "[tool]\nuv = [1]\n"),
    ],
)
def test_odd_files_of_uv_are_no_crash(tmp_path: Path, isolated: None, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    logins = IndexLogins(Session())
    assert logins.indexes(str(tmp_path)) == []
    assert logins.authorize(f"{GOOD}/a.whl", str(tmp_path)) == f"{GOOD}/a.whl"


def test_what_is_well_beside_something_odd_counts(
    tmp_path: Path, isolated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text('pip = 1\nindex-url = "https://me:word@feed.example/simple"\n')
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "http://[bad")
    assert (
        IndexLogins(Session()).authorize(f"{GOOD}/a.whl", str(tmp_path)) == "https://me:word@feed.example/simple/a.whl"
    )


def test_a_keyring_that_waits_for_somebody_is_an_error(
    tmp_path: Path, isolated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "keyring"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "subprocess")
    monkeypatch.setenv("UV_INDEX_URL", "https://me@feed.example/simple")
    monkeypatch.setattr(secret, "_PATIENCE", 0.2)
    with pytest.raises(CredentialsError, match=f"the index '{GOOD}': the keyring did not answer") as caught:
        IndexLogins(Session()).authorize(f"{GOOD}/a.whl", str(tmp_path))
    assert "unlock it" in (caught.value.hint or "")


def test_a_store_of_uv_that_does_not_answer_is_an_error(
    tmp_path: Path, isolated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CREDENTIALS_DIR", str(tmp_path))
    assert IndexLogins(Session()).authorize(f"{GOOD}/a.whl", str(tmp_path)) == f"{GOOD}/a.whl"
    monkeypatch.setattr(secret, "_PATIENCE", 1e-6)  # no program is as fast
    with pytest.raises(CredentialsError, match=r"the index 'https://feed.example:443': uv's own store did not answer"):
        IndexLogins(Session()).authorize(f"{GOOD}/a.whl", str(tmp_path))
