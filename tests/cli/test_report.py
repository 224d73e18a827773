"""What a build says of what it did not have to make."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.cli.test import Row, write_junit
from buildrules.engine.build import Outcome
from buildrules.engine.events import Status
from buildrules.engine.plan import Goal
from buildrules.errors import PackageTestError
from tests.support.space import APP, Space


def test_only_what_the_last_build_made_is_unchanged(built: Space) -> None:
    first = built.build().digest
    built.run("build", APP).said(first, "41.4 kB, unchanged)")
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    assert built.build().digest != first
    built.edit("BUILD.yaml", "numlib==2.0", "numlib==1.0")
    back = built.run("build", APP).said(first, "numlib 2.0 -> 1.0", "reused 5 layers, 24.4 kB, unchanged")
    (exchanged,) = [line for line in back.out.splitlines() if "small wheels 2" in line]
    assert exchanged.split()[0] == "reused"
    assert exchanged.endswith("from the store")
    back.said("41.4 kB, from the store)", "0 built, 8 reused")
    built.run("build", APP).said(first, "41.4 kB, unchanged)", "0 built")


@pytest.mark.parametrize("path", ["src/score.py", "BUILD.yaml"])
def test_an_edit_taken_back_is_not_unchanged(built: Space, path: str) -> None:
    old, new = ("return data", "return 7") if path == "src/score.py" else ("srcs: [", "exclude: [src/h*], srcs: [")
    for _ in range(2):
        built.edit(path, old, new)
        built.run("build", APP)
        built.edit(path, new, old)
        said = built.run("build", APP).said("191 B  code code  from the store", "6 layers, 41.4 kB, from the store)")
        assert said.out.count("unchanged") == 1, "the other five layers"


def test_an_exchanged_layer_is_listed_beside_one_that_was_built(built: Space) -> None:
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    built.build()
    built.edit("BUILD.yaml", "numlib==2.0", "numlib==1.0")
    built.append("src/score.py", "# more\n")
    said = built.run("build", APP).said("reused 4 layers", "code code  file src/score.py changed", "2 built, 6 reused")
    said.said("small wheels 2  from the store")


def test_nothing_is_unchanged_in_a_workspace_that_was_never_built(
    new_space: Callable[..., Space], built: Space
) -> None:
    second = new_space("second")
    second.env["BUILDRULES_CACHE_DIR"] = str(built.store)
    said = second.run("build", APP).said("41.4 kB, from the store)", "0 built, 8 reused")
    assert "unchanged" not in said.out
    second.run("build", APP).said("41.4 kB, unchanged)")


@pytest.mark.parametrize(
    ("path", "old", "new", "reason"),
    [
        ("rules/tiny.yaml", "[8080]", "[8080, 8081]", "ports changed: [8080] -> [8080, 8081]"),
        ("rules/tiny.yaml", "liveness: 8080/healthz", "liveness: 8080/h", "routes.liveness changed"),
        ("rules/tiny.yaml", "[tinyserver,", "[tinyserver, -v,", "entrypoint changed: "),
        ("BUILD.yaml", "code: :code", "code: :code\n    environment: {A: b}", "environment.A is new"),
    ],
)
def test_the_reason_is_given_where_only_the_image_step_ran(
    built: Space, path: str, old: str, new: str, reason: str
) -> None:
    built.edit(path, old, new)
    said = built.run("build", APP).said("reused 6 layers", "unchanged", f"\n      {reason}", "1 built, 7 reused")
    assert said.out.count(" changed: ") + said.out.count(" is new") == 1


def test_an_environment_whose_layers_are_there_says_what_was_built(built: Space) -> None:
    built.run("build", "//:env").said("3 layers, 14.3 kB, put together now", "1 built, 3 reused")
    built.run("build", "//:env").said("3 layers  (14.3 kB, unchanged)", "0 built, 4 reused")
    built.run("build", "//:base").said("1 layer  (136 B, unchanged)")


def test_what_a_package_logs_again_and_again_is_shown_once(tmp_path: Path) -> None:
    probes = [f"2026-01-31 09:30:{n},101 127.0.0.1:{4000 + n} GET /healthz 404" for n in range(10, 20)]
    log = "\n".join(["epoch 1", "epoch 2", "epoch 3", "epoch 4", *probes, "again", "again", "end"])
    error = PackageTestError("it fails", [{"kind": "never ready", "message": "m", "log": log}])
    path = tmp_path / "junit.xml"
    row = Row(Goal("//:app", "linux/amd64", "a", "test"), "failed", "", 0.0, Outcome(Status.FAILED, error=error))
    write_junit(str(path), [row])
    shown = [line.strip() for line in path.read_text().splitlines()]
    begin = shown.index("epoch 2")
    assert shown[begin : begin + 5] == ["epoch 2", "epoch 3", "epoch 4", probes[0], "... 9 more"]
    assert [line.partition("<")[0] for line in shown[begin + 5 : begin + 8]] == ["again", "again", "end"]
