"""`select` in attributes: by platform, and by configurations that the command line names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label
from tests.support.space import APP, Space, make_base

BOTH = ("linux/amd64", "linux/arm64")
CONFIGURED = """\
workspace:
  name: acme
  platforms: [linux/amd64]
  configurations: [gpu, debug]
targets:
  base: {rule: oci_base, layout: base}
  env:
    rule: python_env
    base: :base
    requirements: [{select: {gpu: [numlib==2.0, extra], default: [numlib==1.0]}}]
  other: {rule: python_env, base: ":base", requirements: [numlib==1.0]}
  m: {rule: model, path: {select: {gpu: heavy, default: weights}}}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  server: {rule: //rules:tiny, threads: {select: {debug: 1, default: null}}}
  app:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :code
    environment:
      MODE: {select: {gpu: fast, debug: slow, default: plain}}
      LOG: {select: {debug: all, default: null}}
"""


@pytest.fixture
def configured(new_space: Callable[..., Space]) -> Space:
    space = new_space()
    space.write("BUILD.yaml", CONFIGURED)
    space.write("heavy/model.txt", "heavy weights\n")
    return space


def variables(space: Space, *options: str) -> dict[str, str]:
    config = space.config(space.build(options=options).digest)
    return dict(item.split("=", 1) for item in config["Env"])


def test_a_configuration_chooses_values(configured: Space) -> None:
    plain, gpu = variables(configured), variables(configured, "--config", "gpu")
    assert (plain["MODE"], gpu["MODE"]) == ("plain", "fast")
    debug = variables(configured, "--config=debug")
    assert (debug["MODE"], debug["LOG"]) == ("slow", "all") and "LOG" not in plain
    both = configured.build(options=["--config", "debug", "--config", "gpu"])
    config = configured.config(both.digest)
    assert "--threads=1" in config["Entrypoint"]
    assert '"2.0"' in configured.path("pylock.env@gpu-linux-amd64.toml").read_text()
    assert {"MODE=fast", "LOG=all"} <= {*config["Env"]}  # the first case that holds, in the order of the file


def test_each_configuration_has_locks_and_a_state_of_its_own(configured: Space) -> None:
    options = ([], ["--config", "gpu"], ["--config", "gpu", "--config", "debug"])
    first = [configured.build(options=chosen).digest for chosen in options]
    assert len({*first}) == 3
    locks = {path.name for path in configured.root.glob("pylock.*")}
    assert {"pylock.env-linux-amd64.toml", "pylock.env@gpu-linux-amd64.toml"} <= locks
    assert {name for name in locks if "debug" in name} == {"pylock.env@gpu+server@debug-linux-amd64.toml"}
    tree = configured.tree()
    for chosen in options * 2:  # back and forth: nothing is locked or built again
        configured.settle("build", APP, *chosen)
    for chosen, digest in zip(options, first, strict=True):
        assert configured.run("build", APP, "--locked", *chosen).said("unchanged", digest)
        assert configured.clean_build(options=["--locked", *chosen]).digest == digest
    assert configured.tree() == tree
    configured.write("heavy/model.txt", "heavier weights\n")
    assert configured.build().digest == first[0]
    assert configured.build(options=["--config", "gpu"]).digest != first[1]
    configured.build("//...")
    configured.run("lock", "--check")
    assert "no target has" not in configured.run("lock").out
    configured.run("why", APP, "--config", "gpu").said("up to date")


def test_what_does_not_vary_shares_its_lock(configured: Space) -> None:
    before = {path.name for path in configured.root.glob("*.toml")}
    configured.build("//:other", options=["--config", "gpu"])
    after = {path.name for path in configured.root.glob("*.toml")}
    assert not [name for name in after - before if "@" in name]


PLATFORMS = """\
workspace: {name: acme, platforms: [linux/amd64, linux/arm64]}
targets:
  base: {rule: oci_base, layout: base}
  server: {rule: //rules:plain}
  m: {rule: model, path: {select: {linux/arm64: small, default: large}}}
  code:
    rule: scoring_code
    srcs: ["src/**", {select: {linux/arm64: ["arm/**"], linux/amd64: "amd/**"}}]
    entry_script: src/score.py
  app:
    rule: model_package
    model: :m
    base_env: :base
    server: {select: {linux/arm64: ":server", default: ":server2"}}
    code: :code
  server2: {rule: //rules:plain, port: 9000}
  same: {rule: model_package, base_env: ":base", server: ":server", code: ":fixed"}
  fixed: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
"""


@pytest.fixture
def platforms(new_space: Callable[..., Space], tmp_path: Path) -> Space:
    space = Space(tmp_path / "other", new_space().wheels)
    space.write("BUILD.yaml", PLATFORMS)
    from tests.e2e.test_templates import RULE

    space.write("rules/plain.yaml", RULE)
    for path in ("src/score.py", "arm/extra.py", "amd/extra.py", "small/w.txt", "large/w.txt"):
        space.write(path, f"# {path}\n")
    make_base(space.path("base"), platforms=BOTH)
    return space


def of(space: Space, platform: str, *options: str) -> str:
    rows = space.build(options=options).data["targets"]
    (digest,) = [row["digest"] for row in rows if row["label"] == APP and row["platform"] == platform]
    return str(digest)


def test_a_platform_chooses_values(platforms: Space) -> None:
    """All platforms in one command, one alone, from nothing and from the state: the same images."""
    both = [of(platforms, platform) for platform in BOTH]
    ports = [[*platforms.config(digest)["ExposedPorts"]] for digest in both]
    assert ports == [["9000/tcp"], ["8080/tcp"]]
    for platform, digest in zip(BOTH, both, strict=True):
        assert of(platforms, platform, "--platform", platform) == digest
    for _ in range(2):
        platforms.settle("build", "//...")
        for platform in BOTH:
            platforms.settle("build", APP, "--platform", platform)
    platforms.write("small/w.txt", "smaller\n")
    small = [of(platforms, platform, "--platform", platform) for platform in BOTH]
    assert small[0] == both[0] and small[1] != both[1]
    assert [of(platforms, platform) for platform in BOTH] == small
    platforms.edit("BUILD.yaml", "port: 9000", "port: 9001")
    after = [of(platforms, platform) for platform in BOTH]
    assert after[0] != small[0] and after[1] == small[1]
    fresh = platforms.clean_build(APP).data["targets"]
    assert {row["digest"] for row in fresh if row["platform"] in BOTH} == {*after}
    index = [row for row in fresh if row["platform"] == ",".join(BOTH)]
    assert len(index) == 1


WRONG = [
    (
        ("gpu: [numlib", "gpuu: [numlib"),
        ["BUILD.yaml:10:30: there is no configuration or platform 'gpuu'", "mean 'gpu'?"],
    ),
    (("gpu: heavy", "turbo: heavy"), ["no configuration or platform 'turbo'", "`configurations: [turbo]`"]),
    (("gpu: heavy", "linux/arm: heavy"), ["no configuration or platform 'linux/arm'", "did you mean 'linux/arm64'?"]),
    (
        ("gpu: heavy, default: weights", "gpu: heavy"),
        ["12:27: no case of this select holds for linux/amd64", "`default:`"],
    ),
    (("{gpu: heavy, default: weights}", "[heavy]"), ["the cases of `select` are a map, not a list"]),
    (("debug: 1, default: null", "debug: 1, default: 0"), ["0 is too small"]),
    (("[gpu, debug]", "[gpu, default]"), ["'default' is not the name of a configuration"]),
    (("[gpu, debug]", '["g u"]'), ["'g u' is not the name of a configuration"]),
]


@pytest.mark.parametrize(("edit", "said"), WRONG)
def test_mistakes(configured: Space, edit: tuple[str, str], said: list[str]) -> None:
    configured.edit("BUILD.yaml", *edit)
    configured.run("build", "//...", code=2).said(*said)


def test_a_configuration_that_is_not_there(configured: Space) -> None:
    configured.run("build", APP, "--config", "gpux", code=2).said("no configuration 'gpux'", "did you mean 'gpu'?")
    configured.edit("BUILD.yaml", "  configurations: [gpu, debug]\n", "")
    configured.write("BUILD.yaml", configured.path("BUILD.yaml").read_text().split("targets:")[0] + "targets: {}\n")
    configured.run("build", "//...", "--config", "x", code=2).said("no configuration 'x'", "`configurations: [...]`")


def test_what_is_free_of_form_has_no_select(configured: Space) -> None:
    configured.append(
        "BUILD.yaml",
        "  t: {rule: package_test, package: ':app', requests: [{json: {select: {a: 1}}}]}\n",
    )
    configured.run("query", "//:t").said("package_test")


def test_a_file_of_a_folder_may_choose(configured: Space) -> None:
    """Also where neither the template nor anything else in its file does."""
    configured.write("more/x/model/w.txt", "x\n")
    configured.write("more/x/own.yaml", "x: {path: {select: {gpu: 'x/fast', default: 'x/model'}}}\n")
    configured.write(
        "more/BUILD.yaml",
        'for_each: {folders: "*", override_file: own.yaml, targets: {"{name}": {rule: model, path: "{folder}"}}}\n',
    )
    loaded = Loaded(Disk(str(configured.root)), options=Options(configurations=("gpu",)))
    assert loaded.resolution.of(Label("more", "x")).values["path"] == "more/x/fast"


def test_a_group_has_a_lock_for_each_configuration(configured: Space) -> None:
    configured.edit(
        "BUILD.yaml",
        "    base: :base\n    requirements",
        "    base: :base\n    group: g\n    lock: shared\n    requirements",
    )
    configured.edit("BUILD.yaml", "requirements: [numlib==1.0]}", "requirements: [numlib], group: g, lock: shared}")
    options = ([], ["--config", "gpu"])
    first = [configured.build(options=chosen).digest for chosen in options]
    locks = {path.name for path in configured.root.glob("pylock.group*")}
    assert locks == {"pylock.group@g-linux-amd64.toml", "pylock.group@g@gpu-linux-amd64.toml"}
    for chosen, digest in zip(options, first, strict=True):
        configured.run("build", "//...", "--locked", *chosen).said(digest)


def test_the_way_to_a_missing_lock_names_the_configuration(configured: Space) -> None:
    chosen = ["--config", "gpu"]
    configured.run("build", APP, "--locked", *chosen, code=1).said("hint: run 'buildrules lock --config gpu', and")
    configured.run("lock", *chosen)
    configured.run("build", APP, "--locked", *chosen)
    lock = next(configured.root.glob("pylock*@gpu-*.toml"))
    lock.write_text("nothing")  # whose reader knows of no configuration
    way = "hint: run 'buildrules lock --config gpu' to write it anew"
    configured.run("build", APP, *chosen, code=1).said(way)
    configured.run("lock", "--check", *chosen, code=None).said(way)
    configured.run("lock", *chosen)


def test_the_report_of_a_configuration(configured: Space) -> None:
    digest = configured.build(options=["--config", "gpu"]).digest
    configured.run("report", "--config", "gpu", "-o", "r.json").said("r.json (--config gpu): ")
    found = json.loads(configured.path("r.json").read_text())
    assert digest in str(found["images"]) and found["configurations"] == ["gpu"] and found["build"]["verb"] == "build"
    configured.run("report", "--config", "debug", code=2).said(
        "nothing was built in this workspace with --config debug yet", "buildrules build --config debug //..."
    )
