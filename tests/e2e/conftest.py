"""Each runner of packages in turn; a team with a shared cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dockerlab import tidy
from tests.support.package_tests import RUNNERS
from tests.support.space import Space
from tests.support.team import CI, Team


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest, space: Space) -> Iterator[str]:
    if request.param == "docker":
        with tidy(request.getfixturevalue("engine"), space.name):
            yield "docker"
    else:
        yield request.param


@pytest.fixture
def team(workspace: Space, tmp_path: Path) -> Team:
    return Team(workspace, tmp_path)


@pytest.fixture
def filled(team: Team) -> Team:
    """A team whose cache was filled by one who may."""
    assert team.built(team.writer("ci", CI)).data["cache"]["sent"] > 0
    return team
