"""Generated workspaces are the same every time, and build without network, index or engine."""

from pathlib import Path

from benchmarks.workspace import generate, name_of
from tests.support.space import Space


def test_the_same_numbers_make_the_same_workspace_and_it_builds_as_it_is(tmp_path: Path, wheelhouse: Path) -> None:
    first, second = Space(tmp_path / "first", wheelhouse), Space(tmp_path / "second", wheelhouse)
    for space in (first, second):
        generate(space.root, 3, 2)
    assert first.tree() == second.tree()
    package = [path for path in first.tree() if path.startswith(f"{name_of(2)}/")]
    assert len(package) == 11
    assert len(set(first.tree().values())) == len(first.tree())  # no step is saved by a file that equals another
    nowhere = {"UV_FIND_LINKS": str(tmp_path / "nothing")}
    report = first.build("//...", options=["--locked"], env=nowhere)
    assert {label for label in report.targets if label.startswith("//p")} == {f"//p000{n}:p000{n}" for n in range(3)}
    assert first.tree() == second.tree()
