"""What an environment goes without, by names and by globs of names (row A17)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock
from buildrules.net.session import Session
from tests.support.space import Space, make_wheels, wheel

from .conftest import Asking, Index


@pytest.fixture
def charset(feed: Index) -> Index:
    feed.add("aa", "1.0", requires=["charset_normalizer", "bb; sys_platform == 'linux'", "gone-before>=1"])
    feed.add("bb", "1.0", requires=["charset-detector"])
    feed.add("charset_normalizer", "3.0")
    feed.add("charset_detector", "1.0")
    return feed


@pytest.mark.parametrize("glob", ["charset-*", "Charset_*", "charset-[dn]*", "char???-*"])
def test_a17_a_glob_leaves_out_whoever_asks(charset: Index, asking: Asking, glob: str) -> None:
    said: list[str] = []
    lock = make_lock(asking("aa", exclude=(glob, "gone-*")), Session(), warn=said.append)
    assert lock.versions() == {"aa": "1.0", "bb": "1.0"}
    assert said == []


def test_a17_a_glob_that_fits_nothing_leaves_out_nothing(charset: Index, asking: Asking) -> None:
    lock = make_lock(asking("bb", exclude=("charsets-*",)), Session())
    assert lock.versions() == {"bb": "1.0", "charset-detector": "1.0"}


@pytest.fixture
def unlocked(new_space: Callable[..., Space]) -> Space:
    return new_space(locked=False)


def test_a17_what_is_left_out_by_a_glob_is_missed_by_nobody(unlocked: Space, tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "more")
    unlocked.env["UV_FIND_LINKS"] = str(wheels)
    for name, requires in (("charset_x", ()), ("aa", ("charset-x",))):
        filename, data = wheel(name, "1.0", requires)
        (wheels / filename).write_bytes(data)
    unlocked.edit("BUILD.yaml", "requirements: [numlib==1.0]", 'requirements: [aa]\n    exclude: ["charset-*"]')
    unlocked.build()
    lock = unlocked.path("pylock.env-linux-amd64.toml").read_text()
    assert 'name = "aa"' in lock and "charset" not in lock
    assert unlocked.run("lock", "--check").code == 0


@pytest.mark.parametrize("wrong", ["numlib>=1", "a b", "../x", "--pre", ""])
def test_a17_what_is_no_name_is_refused_where_it_stands(unlocked: Space, wrong: str) -> None:
    unlocked.edit("BUILD.yaml", "requirements: [numlib==1.0]", f'requirements: [numlib]\n    exclude: ["x", "{wrong}"]')
    result = unlocked.run("lock", "//:env", code=2)
    result.said("BUILD.yaml:10:", f"{wrong!r} is not the name of a distribution", 'such as "nvidia-*"')


def test_a17_conda_packages_by_globs(root: Path) -> None:
    packages = "[r-base, r-essentials, _r-mutex, pip]"
    (root / "conda.yaml").write_text(f"dependencies: {packages}\n")
    found = collect(str(root), "", conda_file="conda.yaml", exclude=["r-*", "_R-mutex", "setup*"])
    assert [item.text for item in found.items] == ["pip"]
