"""Two machines that share each of the places: what one built, the other takes; and what it takes while all fails."""

import shutil
from pathlib import Path

import pytest

from tests.remote.servers.place import Place
from tests.support.space import Space


def sharing(space: Space, place: Place, upload: str) -> Space:
    space.env |= {**place.environment, "BUILDRULES_CACHE": place.url, "BUILDRULES_CACHE_UPLOAD": upload}
    return space


def second(space: Space, folder: Path, place: Place) -> Space:
    """The same workspace on another machine, which only reads."""
    other = Space(folder, space.wheels)
    shutil.copytree(space.root, other.root)
    return sharing(other, place, "never")


def test_what_one_machine_built_another_one_takes(workspace: Space, place: Place, tmp_path: Path) -> None:
    workspace.write("src/place.py", f"place = {place.url!r}\n")
    first = sharing(workspace, place, "always").build()
    assert first.executed > 0
    assert first.data["cache"]["sent"] > 0
    taken = second(workspace, tmp_path / "second", place).build()
    assert taken.executed == 0
    assert taken.digest == first.digest
    assert taken.data["cache"]["requests"] > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_failing_place_changes_no_digest(workspace: Space, proxied: Place, tmp_path: Path, seed: int) -> None:
    workspace.write("src/place.py", f"place = {proxied.url!r}, {seed}\n")
    clean = workspace.build()
    kinds = ("reset", "flip", "answer", "length") if proxied.http else ("reset", "flip")
    rate = 0.4 if proxied.http else 1.0  # of connections: elsewhere there is one for all requests
    with proxied.failing(seed=seed, rate=rate, kinds=kinds, largest=4096) as (proxy, _):
        behind = proxied.behind(proxy.host)
        other = Space(tmp_path / "writer", workspace.wheels)
        shutil.copytree(workspace.root, other.root)
        assert sharing(other, behind, "always").build().digest == clean.digest
        assert second(workspace, tmp_path / "second", behind).build().digest == clean.digest
        assert proxy.applied
    after = second(workspace, tmp_path / "third", proxied).build()
    assert after.digest == clean.digest
