"""`python_standalone` from a target to layers, with archives that only look like a Python."""

import pytest

from tests.support.space import Space
from tests.support.standalone import filename, mirror

PY = "//:py"


@pytest.fixture
def space(workspace: Space) -> Space:
    """The usual workspace, whose environment stands on a Python that stands on the base."""
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {mirror: pythons, bytecode: false}\n")
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    mirror(workspace.root / "pythons", "3.12.1", "3.12.0", "3.11.9")
    return workspace


def test_the_newest_patch_is_locked_and_laid(space: Space) -> None:
    space.run("lock")
    lock = (space.root / "python.py-linux-amd64.lock").read_text()
    assert 'python = "3.12.1"' in lock and f'path = "pythons/{filename("3.12.1")}"' in lock
    report = space.build()
    layer = report.layer("python 3.12.1")
    app = [one["digest"] for one in report.targets["//:app"]["layers"]]
    assert app.index(layer["digest"]) == 1, "directly on the base"
    config = space.config(report.digest)
    assert "/opt/venv/bin:/opt/python/bin:" in next(one for one in config["Env"] if one.startswith("PATH="))


def test_a_new_patch_makes_one_layer_and_no_layer_of_wheels(space: Space) -> None:
    space.run("lock")
    space.build()
    mirror(space.root / "pythons", "3.12.2")
    space.run("lock", "//...").said("python 3.12.1 -> 3.12.2")
    report = space.build()
    assert report.built == {"python 3.12.2", "virtual environment"}


def test_another_digest_than_locked_is_an_error(space: Space) -> None:
    space.run("lock")
    (space.root / "pythons" / filename("3.12.1")).write_bytes(b"something else")
    space.run("build", PY, code=1).said("is not the file in python.py-linux-amd64.lock", "buildrules lock //:py")
