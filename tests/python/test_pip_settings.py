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
    return [text for text in result.err.split("warning: ")[1:] if "not asked" in text]


@pytest.mark.parametrize("way", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "index-url", "extra_index_url"])
def test_a17_an_index_of_pip_is_said_once_with_the_connection_to_write(unlocked: Space, way: str) -> None:
    address = FEED.replace("//", f"//me:{SECRET}@")
    if way.isupper():
        unlocked.env[way] = address
    else:
        (unlocked.folder / "pip.conf").write_text(f"[global]\n{way} = {address}\n")
    (text,) = warnings(unlocked)  # there are two locks
    assert text.startswith(f"not asked, since pip's settings are no part of the workspace: {FEED} (")
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
    unlocked.env["PIP_FIND_LINKS"] = "/srv/none"  # not there, and no loss
    assert warnings(unlocked) == []


def test_a17_folders_are_not_said_again_once_the_hint_is_followed(unlocked: Space) -> None:
    more, index = unlocked.folder / "more", unlocked.folder / "index/simple"
    more.mkdir()
    index.mkdir(parents=True)
    unlocked.env |= {"PIP_FIND_LINKS": str(more), "PIP_EXTRA_INDEX_URL": index.as_uri(), "XDG_CONFIG_HOME": "/none"}
    said = unlocked.run("lock").err
    text = said.split("warning: ")[-1]
    assert text.startswith(f"not asked, since pip's settings are no part of the workspace: {index.as_uri()}, {more} (")
    assert text.count("in a uv.toml") == 1
    assert warnings(unlocked) == []  # nothing new was resolved
    assert said.endswith(text) and "locking" not in text  # it stands last
    kept = Path(unlocked.env.pop("UV_CONFIG_FILE"))  # of all tests
    lines = [*text.split("`")[1::2], kept.read_text() if kept.exists() else ""]
    unlocked.write("uv.toml", "\n".join(lines))
    assert warnings(unlocked) == []


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
    b, *folders = [tmp_path / name for name in ("b", "a0", "a1", "a2", "a3")]
    for one in (b, *folders):
        one.mkdir()
    root, said = str(tmp_path), "not asked, since pip's settings are no part of the workspace: "
    for folder, number in (("xdg/pip", 1), (".pip", 2), ("config/pip", 3)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pip.conf").write_text(
            f"[global]\nindex-url = https://i{number}.example/simple\n"
            f"[install]\nfind-links =\n  {folders[number]}\n  {b}\n"
        )
    text = not_read(root, ["https://x.example"]) or ""
    shown = f"https://i3.example/simple, {folders[3]}, {b} ('index-url' in ~/config/pip/pip.conf and "
    assert text.startswith(said + shown)
    assert not_read(root, ["https://i3.example/simple/", str(folders[3]), str(b)]) is None
    (tmp_path / "config/pip/pip.conf").write_text("[global\nnonsense")
    text = not_read(root, []) or ""
    assert text.startswith(f"{said}https://i2.example/simple, {folders[2]}, {b} ('index-url' in ~/.pip/pip.conf")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert not_read(root, []) is None
