"""A workspace is planned as it is at a revision, and held against what lies here."""

from buildrules.cli.revision import Comparing, at
from buildrules.engine.changes import differences
from buildrules.net.session import Session
from buildrules.revisions.working import Differing, changes
from buildrules.store.store import Store
from tests.support.repository import Repository
from tests.support.space import APP, Space


def other(space: Space, revision: str) -> dict[str, list[str]]:
    """The actions below //:app that are made of something else since `revision`, and what of them is."""
    with space.inside(".", {}):
        store = Store()
        comparing = Comparing(str(space.root), "", {}, store, Session())
        with at(str(space.root), revision, store) as (tree, folder):
            there = comparing.there([APP], tree, folder)
            differ = Differing(str(space.root), tree.commit).paths()
            here = comparing.here([APP], lambda: tree, changes(str(space.root), differ))
    return {
        here.plan.actions[name].title: differences(
            here.plan.actions[name], dict(there.shapes[name].sees) if name in there.shapes else {}, dict(shape.sees)
        )
        for name, shape in here.shapes.items()
        if there.shapes.get(name) != shape
    }


def test_what_differs_from_a_revision(workspace: Space) -> None:
    space = workspace
    repository = Repository(space.root)
    repository.commit()
    assert other(space, "HEAD") == {}
    space.append("src/score.py", "# more\n")
    space.write("weights/new.txt", "bird\n")
    found = other(space, "HEAD")
    assert found["code code"] == ["file src/score.py changed: 31 -> 38 bytes"]
    assert "file weights/new.txt is new" in [line for lines in found.values() for line in lines]
    repository.commit()
    assert other(space, "HEAD") == {}
    assert other(space, "HEAD~1") == found
    space.edit("rules/tiny.yaml", "default: 2", "default: 3")
    (changed,) = (title for title in other(space, "HEAD"))
    assert changed == "image of //:app"
