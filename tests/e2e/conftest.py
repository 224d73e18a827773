"""Each runner of packages in turn."""

from collections.abc import Iterator

import pytest

from tests.support.dockerlab import tidy
from tests.support.package_tests import RUNNERS
from tests.support.space import Space


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest, space: Space) -> Iterator[str]:
    if request.param == "docker":
        with tidy(request.getfixturevalue("engine"), space.name):
            yield "docker"
    else:
        yield request.param
