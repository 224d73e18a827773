"""A conda environment from its file to layers: locks, solving, the pip list on top."""

import tomllib
from collections.abc import Callable

from tests.support.conda import MINOR
from tests.support.space import Space

LOCK = "conda.env-linux-amd64.lock"


def packages(space: Space, lock: str = LOCK) -> dict[str, str]:
    """name -> version in the conda lock."""
    return {row["name"]: row["version"] for row in tomllib.loads(space.path(lock).read_text())["packages"]}


def test_packages_are_solved_and_laid_and_the_pip_list_lies_on_top(space: Space) -> None:
    report = space.build("//:env")
    # 1.1 wants a newer glibc than the base has
    assert packages(space) == {"python": f"{MINOR}.4", "native": "1.0", "pure": "2.0", "numlib": "2.5"}
    # conda's numlib serves the wheel that needs it
    wheels = tomllib.loads(space.path("pylock.env-linux-amd64.toml").read_text())["packages"]
    assert [row["name"] for row in wheels] == ["needy"]
    again = space.clean_build("//:env")
    assert again.digests == report.digests
    text = space.path(LOCK).read_text()
    assert str(space.root) not in text and 'path = "channel/noarch/pure-2.0-0.conda"' in text
    space.run("build", "//:env", "--locked").said("unchanged")


def test_another_checkout_makes_the_same(conda: Callable[..., Space]) -> None:
    one, two = conda("one"), conda("elsewhere/two")
    assert one.build("//:env").digests == two.build("//:env").digests
    assert one.path(LOCK).read_text() == two.path(LOCK).read_text()


def test_what_cannot_be_had_together_is_said_in_words_at_its_line(space: Space) -> None:
    space.edit("environment.yml", "native=1", "native=2")
    said = space.run("build", "//:env", code=None)
    said.said("environment.yml:6:5", "cannot be had together on linux/amd64 with glibc 2.28", "native-base")
    space.edit("environment.yml", "native=2", "native=1.1")
    space.run("build", "//:env", code=None).said("__glibc", ">=2.99")
