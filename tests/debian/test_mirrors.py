"""Where archives are: settings, and apt's own configuration through apt-config."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.actions.debian import mirrors
from buildrules.errors import UsageError

Configure = Callable[..., None]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Give apt a configuration of its own: the text of mirrors.list, files of its parts, more settings."""

    def configure(main: str = "", settings: str = "", **parts: str) -> None:
        folder = tmp_path / "apt"
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        (folder / "mirrors.list").write_text(main)
        for name, text in parts.items():
            (folder / "parts" / name.replace("_", ".")).write_text(text)
        config = folder / "apt.conf"
        config.write_text(
            f'Dir::Etc::sourcelist "{folder}/mirrors.list";\nDir::Etc::sourceparts "{folder}/parts";\n'
            f'Dir::Etc::parts "{folder}/none";\nAcquire::Check-Valid-Until "true";\n{settings}\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(config))

    return configure


def places(suite: str, **settings: str | None) -> list[tuple[str, str, str]]:
    return [(one.archive, one.suite, one.uri) for one in mirrors.find_sources(suite, settings)]


def test_mirror_settings() -> None:
    assert places("bookworm", mirror="http://m.test/debian/", security_mirror="http://s.test/sec") == [
        ("main", "bookworm", "http://m.test/debian"),
        ("main", "bookworm-updates", "http://m.test/debian"),
        ("security", "bookworm-security", "http://s.test/sec"),
    ]
    assert [one[1] for one in places("bookworm", mirror="http://m.test/debian")] == ["bookworm", "bookworm-updates"]
    assert [one[1] for one in places("sid", mirror="http://m.test/debian")] == ["sid"]
    with pytest.raises(UsageError, match="security_mirror is set without a mirror"):
        places("bookworm", security_mirror="http://s.test")


@pytest.mark.parametrize(
    ("settings", "main", "security"),
    [
        ({"mirror": "http://s.test/archive/debian/"}, "debian", "debian-security"),
        ({"mirror": "http://s.test/archive/d", "security_mirror": "http://s.test/archive/s"}, "d", "s"),
    ],
)
def test_a_snapshot_names_both_archives_and_is_not_too_old(settings: dict[str, str], main: str, security: str) -> None:
    found = mirrors.find_sources("bookworm", {**settings, "snapshot": "20250101T000000Z"})
    assert [(one.archive, one.uri) for one in found] == [
        ("main", f"http://s.test/archive/{main}/20250101T000000Z"),
        ("main", f"http://s.test/archive/{main}/20250101T000000Z"),
        ("security", f"http://s.test/archive/{security}/20250101T000000Z"),
    ]
    assert not any(one.check_date for one in found)


def test_a_time_alone_is_no_snapshot() -> None:
    with pytest.raises(UsageError, match="snapshot is set without a mirror"):
        places("bookworm", snapshot="20250101T000000Z")


def test_packages_come_from_each_place_once(apt: Configure) -> None:
    apt("deb http://m.test/debian bookworm main\ndeb http://m.test/debian bookworm-updates main\n")
    assert mirrors.base_uris("bookworm", {}) == {"main": [("http://m.test/debian", True)], "security": []}
    dated = {"mirror": "http://m.test/debian", "snapshot": "20250101T000000Z"}
    assert mirrors.base_uris("bookworm", dated) == {
        "main": [("http://m.test/debian/20250101T000000Z", False)],
        "security": [("http://m.test/debian-security/20250101T000000Z", False)],
    }


def test_one_line_style(apt: Configure) -> None:
    apt(
        "# deb http://no.test/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg check-valid-until=no] http://m.test/debian/ bookworm main contrib # comment\n"
        "deb-src http://src.test/debian bookworm main\n"
        "deb http://m.test/debian bookworm-updates main\n"
        "deb http://s.test/debian-security bookworm-security main\n"
        "deb http://flat.test/ ./\n"
        "deb http://other.test/linux bookworm stable\n"
    )
    found = mirrors.find_sources("bookworm", {})
    assert [(one.archive, one.suite, one.uri) for one in found] == [
        ("main", "bookworm", "http://m.test/debian"),
        ("main", "bookworm-updates", "http://m.test/debian"),
        ("security", "bookworm-security", "http://s.test/debian-security"),
    ]
    assert (found[0].keys, found[0].check_date, found[0].by_apt) == (("/k.gpg",), False, True)
    assert found[1].check_date


def test_deb822_style(apt: Configure) -> None:
    apt(
        debian_sources="# a comment\nTypes: deb deb-src\nURIs: http://m.test/debian http://n.test/debian/\n"
        "Suites: bookworm bookworm-updates\n# inside\nComponents: main\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://s.test/sec\nSuites: bookworm-security\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC KEY BLOCK-----\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.test\nSuites: bookworm\nComponents: main\n",
    )
    found = mirrors.find_sources("bookworm", {})
    assert [one.uri for one in found if one.suite == "bookworm"] == ["http://m.test/debian", "http://n.test/debian"]
    assert found[-1].archive == "security"
    assert found[-1].keys == ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabcd\n-----END PGP PUBLIC KEY BLOCK-----\n",)


def test_another_suite_is_sought_where_the_machines_own_is(apt: Configure) -> None:
    apt(
        "deb http://m.test/debian stable main\ndeb http://m.test/debian stable-updates main\n"
        "deb http://s.test/sec stable-security main\n"
    )
    assert places("trixie") == [
        ("main", "trixie", "http://m.test/debian"),
        ("main", "trixie-updates", "http://m.test/debian"),
        ("security", "trixie-security", "http://s.test/sec"),
    ]


def test_nothing_configured(apt: Configure) -> None:
    apt("deb http://other.test/ noble main\n")
    with pytest.raises(UsageError, match="no source for the suite 'bookworm'") as caught:
        places("bookworm")
    assert "workspace.debian.mirror" in (caught.value.hint or "")


def test_the_keyring_of_the_settings_wins(apt: Configure, tmp_path: Path) -> None:
    apt("deb [signed-by=/k.gpg] http://m.test/debian bookworm main\n")
    found = mirrors.find_sources("bookworm", {"keyring": "keys/mine.gpg"}, workspace=str(tmp_path))
    assert found[0].keys == (str(tmp_path / "keys/mine.gpg"),)


def test_fingerprints_restrict_who_may_sign(apt: Configure) -> None:
    apt(f"deb [signed-by={'ab' * 20}!] http://m.test/debian bookworm main\n")
    assert mirrors.find_sources("bookworm", {})[0].signers == ("AB" * 20,)


def test_apts_own_word_on_expiry_holds(apt: Configure) -> None:
    apt("deb http://m.test/debian bookworm main\n", 'Acquire::Check-Valid-Until "false";')
    assert not mirrors.find_sources("bookworm", {})[0].check_date
