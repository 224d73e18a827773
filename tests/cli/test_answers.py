"""What `why`, `lock`, `query`, `build` and `help-rule` answer."""

import shutil
from pathlib import Path

from buildrules.locking.keeper import moves
from tests.support.space import APP, SMALL_MODEL, Space


def test_why_says_that_a_stale_lock_would_be_made_again(built: Space) -> None:
    before = built.tree()
    built.edit("BUILD.yaml", "numlib==1.0", "numlib>=1")
    result = built.run("why", APP)
    result.said("would lock //:env again: the requirements have changed")
    result.said("would lock the server //rules:tiny on env again if //:env comes out otherwise")
    result.said("5 steps depend on the new lock", "3 steps are up to date")
    assert "image of //:app" not in result.out, "what it was last built for is no answer"
    built.append("src/score.py", "# edited\n")
    built.run("why", APP).said("code code: would run", "5 steps depend on the new lock", "2 steps are up to date")
    built.run("why", APP, "--verbose").said("image of //:app: depends on the new lock", "model m: up to date")
    built.edit("src/score.py", "# edited\n", "")
    built.edit("BUILD.yaml", "numlib>=1", "numlib==1.0")
    assert built.tree() == before


def test_why_says_that_a_missing_lock_would_be_made(built: Space) -> None:
    for path in built.root.glob("pylock.env-*.toml"):
        path.unlink()
    result = built.run("why", APP)
    result.said("would lock //:env: it is missing")
    assert not list(built.root.glob("pylock.env-*.toml"))


def test_why_shows_what_would_run_and_counts_the_rest(built: Space) -> None:
    built.append("src/score.py", "# edited\n")
    result = built.run("why", APP)
    result.said("code code: would run", "file src/score.py changed", "steps are up to date; --verbose shows them")
    assert ": up to date" not in result.out
    assert ": up to date" in built.run("why", APP, "--verbose").out


def test_why_says_that_a_stale_lock_of_a_server_would_be_made_again(built: Space) -> None:
    built.edit("rules/tiny.yaml", "tinyserver~=1.0", "tinyserver>=1")
    result = built.run("why", APP).said("would lock the server //rules:tiny on env again: the requirements have")
    result.said("3 steps depend on the new lock", "5 steps are up to date")
    assert "would lock //:env" not in result.out


def test_why_and_build_agree_where_records_are_gone(built: Space) -> None:
    """The state of the workspace knows what was made; the table of records is not needed for that."""
    shutil.rmtree(built.store / "table")
    built.run("why", APP).said("8 steps are up to date")
    built.run("build", APP).said("0 built, 8 reused")
    built.append("src/score.py", "# edited\n")
    result = built.run("why", APP).said("code code: would run", "image of //:app: depends on", "6 steps are up to date")
    assert "gone" not in result.out
    built.run("build", APP).said("2 built, 6 reused")


def test_why_and_build_agree_where_content_is_gone(built: Space) -> None:
    digest = built.build().layer(SMALL_MODEL)["digest"]
    built.blobs()[digest].unlink()
    built.append("src/score.py", "# edited\n")
    result = built.run("why", APP).said("code code: would run", "model m: would run", "5 steps are up to date")
    result.said(f"{digest[:19]} is missing from the store")
    built.run("build", APP).said("3 built, 5 reused", f"{digest[:19]} is missing from the store")


def test_locking_again_says_what_moved(built: Space) -> None:
    built.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: [numlib==2.0, extra]")
    built.run("build", APP).said("  + extra 1.0", "  numlib 1.0 -> 2.0")


def test_what_moved_is_told_by_name() -> None:
    assert moves({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "3"}) == ["b 1 -> 2", "- c 1", "+ d 3"]


def test_only_what_is_locked_can_be_upgraded(workspace: Space) -> None:
    before = workspace.tree()
    workspace.run("lock", "--upgrade-package", "numlibb", code=2).said(
        "no lock has a package 'numlibb'", "did you mean 'numlib'?"
    )
    assert workspace.tree() == before
    workspace.run("lock", "--upgrade-package", "NumLib")


def test_a_build_of_nothing_names_the_pattern_for_everything(workspace: Space) -> None:
    workspace.run("build", code=2).said("buildrules build //...")


def test_help_rule_shows_what_comes_into_the_image(workspace: Space) -> None:
    result = workspace.run("help-rule", "//rules:tiny")
    result.said("/srv/model", "MODEL_DIR={layout.model}", "ports", "8080", "8080/score")


def test_all_rules_are_listed(workspace: Space) -> None:
    listed = [line.split()[0] for line in workspace.run("rules").out.partition("\n\n")[0].splitlines()]
    files = sorted(path.stem for path in (Path(__file__).parents[2] / "rules").glob("*.yaml"))
    assert len(files) > 15
    assert sorted(listed) == sorted([*files, "//rules:tiny"])
    assert listed.index("oci_base") < listed.index("python_env") < listed.index("model_package")
