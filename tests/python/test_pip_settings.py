"""pip's settings on the machine: nothing of them counts, and that is said (row A17)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.actions.python.pip_settings import not_read
from tests.support.space import Space

SECRET = "canary-5517ee"
FEED = "https://feed.example/simple"


@pytest.fixture
def unlocked(new_space: Callable[..., Space]) -> Space:
    space = new_space(locked=False)
    space.env["PIP_CONFIG_FILE"] = str(space.folder / "pip.conf")
    return space


def warnings(space: Space) -> list[str]:
    result = space.run("lock")
    assert SECRET not in result.err + result.out
    assert " locks written" in result.out
    return [text for text in result.err.split("warning: ")[1:] if "is not asked" in text]


@pytest.mark.parametrize("way", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "index-url", "extra_index_url"])
def test_a17_an_index_of_pip_is_said_once_with_the_connection_to_write(unlocked: Space, way: str) -> None:
    address = FEED.replace("//", f"//me:{SECRET}@")
    if way.isupper():
        unlocked.env[way] = address
    else:
        (unlocked.folder / "pip.conf").write_text(f"[global]\n{way} = {address}\n")
    (text,) = warnings(unlocked)  # there are two locks
    assert text.startswith(f"{FEED} of ")
    assert (way if way.isupper() else f"'{way.replace('_', '-')}' in ") in text
    start = text.index("`feed: ") + 1
    unlocked.edit(
        "BUILD.yaml", "workspace:\n", f"workspace:\n  connections:\n    {text[start : text.index('`', start)]}\n"
    )
    unlocked.env["UV_OFFLINE"] = "1"
    assert warnings(unlocked) == []


def test_a17_what_uv_knows_as_well_is_not_said(unlocked: Space) -> None:
    unlocked.env |= {"PIP_FIND_LINKS": unlocked.env["UV_FIND_LINKS"], "PIP_INDEX_URL": "https://pypi.org/simple/"}
    unlocked.env |= {"PIP_CONFIG_FILE": "/dev/null", "PIP_TIMEOUT": "5"}
    assert warnings(unlocked) == []
    unlocked.env["PIP_FIND_LINKS"] = "/srv/wheels"
    (text,) = warnings(unlocked)
    assert text.startswith("/srv/wheels of PIP_FIND_LINKS is not asked") and "find-links in a uv.toml" in text


def test_a17_the_lock_is_the_same_whatever_pip_has(unlocked: Space) -> None:
    unlocked.run("lock")
    locks = {path.name: path.read_bytes() for path in unlocked.root.glob("*.toml")}
    unlocked.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    unlocked.run("lock", "--upgrade")
    assert {path.name: path.read_bytes() for path in unlocked.root.glob("*.toml")} == locks


def test_a17_settings_of_pip_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    for folder, number in (("xdg/pip", 1), (".pip", 2), ("config/pip", 3)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pip.conf").write_text(
            f"[global]\nindex-url = https://i{number}.example/simple\n[install]\nfind-links =\n  /a{number}\n  /b\n"
        )
    (text,) = not_read(["https://x.example"])
    assert text.startswith("https://i3.example/simple, /a3, /b of 'index-url' in ~/config/pip/pip.conf and ")
    assert not_read(["https://i3.example/simple/", "/a3", "/b"]) == []
    (tmp_path / "config/pip/pip.conf").write_text("[global\nnonsense")
    (text,) = not_read([])
    assert text.startswith("https://i2.example/simple, /a2, /b of 'index-url' in ~/.pip/pip.conf")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert not_read([]) == []
