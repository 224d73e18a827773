"""A conda environment from its file to layers: locks, solving, the pip list on top."""

import hashlib
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.plan.partition import BUCKETS
from tests.conda.conftest import FILE
from tests.e2e.test_steps import built
from tests.support.conda import MINOR, Channel
from tests.support.space import FILES, Space
from tests.support.steps import OtherProcess

PACKAGE = """\
  m: {rule: model, path: weights}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  server: {rule: //rules:tiny}
  app: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":code"}
"""
LOCK = "conda.env-linux-amd64.lock"


def packages(space: Space, lock: str = LOCK) -> dict[str, str]:
    """name -> version in the conda lock."""
    return {row["name"]: row["version"] for row in tomllib.loads(space.path(lock).read_text())["packages"]}


def test_packages_are_solved_and_laid_and_the_pip_list_lies_on_top(space: Space) -> None:
    report = space.build("//:env")
    assert set(report.data["bytes"]["moved"]) == {"index"} and report.data["bytes"]["read"] > 0  # the wheel alone
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


def test_its_steps_can_be_run_by_another_process(space: Space, tmp_path: Path) -> None:
    space.run("lock")
    here = built(space, tmp_path / "one", None)
    other = OtherProcess(space.root, {**space.env, "BUILDRULES_CACHE_DIR": str(tmp_path / "two")})
    there = built(space, tmp_path / "two", other)
    assert {name: one.outputs for name, one in there.outcomes.items()} == {
        name: one.outputs for name, one in here.outcomes.items()
    }
    assert "conda_layer" in other.ran


def test_what_cannot_be_had_together_is_said_in_words_at_its_line(space: Space) -> None:
    space.edit("environment.yml", "native=1", "native=2")
    said = space.run("build", "//:env", code=None)
    said.said("environment.yml:6:5", "cannot be had together on linux/amd64 with glibc 2.28", "native-base")
    space.edit("environment.yml", "native=2", "native=1.1")
    space.run("build", "//:env", code=None).said("__glibc", ">=2.99")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"python={MINOR}\n", "native\n", ("environment.yml:5:5", "has no Python", "such as python=3.12")),
        ("native=1\n", "native=>x<\n", ("environment.yml:6:5", "'native=>x<' is not a conda package")),
        ("dependencies:", "depends:", ("environment.yml:1:1: 'dependencies' of a conda file must be a list",)),
        ("  - ./channel", "  - [a]", ("environment.yml:3:5", "expected a channel")),
        ("./channel", "./chanel", ("environment.yml:3:5", "does not exist", "did you mean './channel'?")),
        ("./channel", "file:///nochan", ("environment.yml:3:5", "'/nochan' is a folder that", "write the address of")),
        ("- needy", "- {a: b}", ("environment.yml:9:7",)),
        (
            "- needy",
            "- numlib<2",
            ("environment.yml:9:7", "'numlib<2' asks for another numlib than conda brings", " is 2.5"),
        ),
        (f"python={MINOR}", f"python={MINOR}.*=*_pypy", ("environment.yml:5:5", "is PyPy or free-threaded")),
    ],
)
def test_what_is_wrong_with_a_file_is_said_at_its_place(
    space: Space, old: str, new: str, said: tuple[str, ...]
) -> None:
    channel = Channel(space.root / "channel", keep=True)
    channel.add("python", f"{MINOR}.9", build="0_73_pypy")
    channel.rows["linux-64"][f"python-{MINOR}.9-0_73_pypy.conda"]["track_features"] = "pypy"  # the other is preferred
    channel.write()
    if "has no Python" in said[1:2]:
        space.edit("environment.yml", "  - pure\n", "")
    space.edit("environment.yml", old, new)
    space.run("build", "//:env", code=None).said(*said)


def test_slips_in_keys_and_lists_without_packages(space: Space) -> None:
    space.edit("environment.yml", "channels:", "chanels:")
    space.run("build", "//:env", code=None).said(
        "environment.yml:2:1: 'chanels' is not a key of a conda file", "did you mean 'channels'?"
    )
    space.write("environment.yml", "name: x\ndependencies:\n")
    space.run("build", "//:env", code=None).said("environment.yml:2:1: 'dependencies' of a conda file must be a list")
    space.write("environment.yml", "name: x\nodd: 1\nchannels: [./none]\ndependencies: [python]\n")
    space.run("build", "//:env", code=None).said("'odd' is not a key of a conda file", "a folder that does not exist")


def test_keys_that_mean_nothing_here_are_said(space: Space) -> None:
    space.append("environment.yml", "variables:\n  A: b\nodd: 1\n")
    space.run("build", "//:env").said(
        "variables of a conda file are no part of an environment", "'odd' is not a key of a conda file"
    )


def test_without_the_solver_a_lock_still_builds(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    space.run("build", "//:env", code=2).said("py-rattler, which is not installed", "pip install 'buildrules[conda]'")
    monkeypatch.undo()
    space.run("lock")
    monkeypatch.setitem(sys.modules, "rattler", None)
    space.run("build", "//:env", "--locked")


def test_what_is_left_out_is_not_solved(space: Space) -> None:
    space.edit("environment.yml", "native=1", "mkl=2024")
    space.edit("BUILD.yaml", "environment.yml}", "environment.yml, exclude: [mkl]}")
    space.run("build", "//:env").said("conda package 'mkl' is left out, as asked (environment.yml:6:5)")


def test_a_locked_lock_is_refused_where_it_is_stale_or_wrong(space: Space) -> None:
    space.run("build", "//:env", "--locked", code=None).said("conda.env-linux-amd64.lock", "it is missing")
    space.run("lock")
    text = space.path(LOCK).read_text()
    for old, new in (
        ('path = "channel/noarch', 'path = "../noarch'),
        ('path = "channel/noarch/pure-2.0', 'path = "channel/noarch/other-2.0'),
        ("size = ", "size = -"),
        ('name = "pure"\n', ""),
        ("version = 1\n", "version = 9\n"),
    ):
        space.write(LOCK, text.replace(old, new, 1))
        space.run("build", "//:env", "--locked", code=None).said(f"'{LOCK}'", "cannot be")
    space.write(LOCK, text)
    space.edit("environment.yml", "native=1", "native")
    space.run("build", "//:env", "--locked", code=None).said("what it is asked to hold has changed")


def test_a_server_stands_on_it_and_what_does_not_go_together_is_said(space: Space) -> None:
    for path in ("rules/tiny.yaml", "src/score.py", "weights/model.txt"):
        space.write(path, FILES[path])
    space.append("BUILD.yaml", PACKAGE)
    report = space.build("//:app")
    environment = space.config(report.targets["//:app"]["digest"])["Env"]
    assert "CONDA_PREFIX=/opt/conda" in environment
    origins = {layer["origin"] for layer in report.targets["//:app"]["layers"]}
    assert any(origin.startswith("tiny: small wheels") for origin in origins)
    assert space.path("pylock.env+server-linux-amd64.toml").read_text().count('"numlib"') == 0
    channel = Channel(space.root / "channel", keep=True)
    numlib = f"lib/python{MINOR}/site-packages/numlib-1.9.dist-info/METADATA"
    channel.add("numlib", "2.6", {numlib: b"Name: numlib\n"}, depends=["python"])  # a package that is not what it says
    space.run("lock", "--upgrade-package", "numlib")
    space.run("build", "//:app", code=None).said("needy 1.0 requires 'numlib>=2', and there is numlib 1.9")


@pytest.mark.parametrize(
    ("module", "text", "clash"),
    [
        ("tinyserver/__init__.py", b"a = 1\n", "tinyserver"),
        ("tinyserver.py", b"a = 1\n", "tinyserver"),
        ("tinyserver/__init__.py", b"", None),  # many may have one that is empty
        ("tinyserver/app.py", b"a = 1\n", "tinyserver.app"),
        ("tests/tinyserver.py", b"a = 1\n", None),
    ],
)
def test_a_wheel_over_modules_of_a_conda_package_is_an_error(
    space: Space, module: str, text: bytes, clash: str | None
) -> None:
    channel = Channel(space.root / "channel", keep=True)
    channel.add("odd", "1.2", {f"lib/python{MINOR}/site-packages/{module}": text}, depends=["python"])
    space.edit("environment.yml", "native=1", "odd")
    space.edit("environment.yml", "- needy", "- tinyserver")
    for path in ("rules/tiny.yaml", "src/score.py", "weights/model.txt"):
        space.write(path, FILES[path])
    space.append("BUILD.yaml", PACKAGE)
    if clash is None:
        space.build("//:app")
        return
    space.run("build", "//:app", code=None).said(
        f"tinyserver 1.0 is installed over the module '{clash}' of the conda package odd-1.2-0.conda",
        "with `exclude: [tinyserver]`",
    )


def test_a_wheel_of_the_name_of_a_conda_package_is_an_error(space: Space) -> None:
    for path in ("rules/tiny.yaml", "src/score.py", "weights/model.txt"):
        space.write(path, FILES[path])
    space.append("BUILD.yaml", PACKAGE)
    site = f"lib/python{MINOR}/site-packages/needy-1.0.dist-info/METADATA"
    Channel(space.root / "channel", keep=True).add("other", "1", {site: b"Name: needy\n"}, depends=["python"])
    space.edit("environment.yml", "native=1", "other")
    space.run("build", "//:app", code=None).said("needy 1.0 is installed over the conda package needy 1.0")


def test_files_laid_over_conda_packages_are_said(space: Space) -> None:
    for path in ("rules/tiny.yaml", "src/score.py", "weights/model.txt"):
        space.write(path, FILES[path])
    space.append("BUILD.yaml", PACKAGE)
    place = f"/opt/conda/lib/python{MINOR}/site-packages/score.py"
    space.edit("BUILD.yaml", 'code: ":code"}', f'code: ":code", files: {{{place}: src/score.py}}}}')
    said = f"//:app: 'files {place}' may lie over conda packages, whose bytecode is used"
    space.run("build", "//:app").said(said)


def test_what_asks_for_a_driver_is_had_for_gpus(space: Space) -> None:
    Channel(space.root / "channel", keep=True).add("cudalib", "1.0", depends=["__cuda >=12"])
    space.edit("environment.yml", "native=1", "cudalib")
    space.run("build", "//:env", code=None).said("environment.yml:6:5", "__cuda", 'gpu: {cuda: "12"}', 'cuda: "12.4"')
    space.edit("BUILD.yaml", "environment.yml}", 'environment.yml, gpu: {cuda: "12"}}')
    space.run("build", "//:env")
    space.edit("BUILD.yaml", 'gpu: {cuda: "12"}', 'cuda: "11.8"')
    space.run("build", "//:env", code=None).said("__cuda")


def test_packages_that_bring_one_path_and_scripts_that_are_not_run(space: Space) -> None:
    channel = Channel(space.root / "channel", keep=True)
    first, second = [name for name in (f"two-{number}" for number in range(20)) if bucket(name) == 0][:2]
    channel.add(first, "1", {"share/same": b"same", "share/x": b"x", "share/y": b"y"})
    channel.add(second, "1", {"share/same": b"same", "share/x": b"z", "bin/.two-post-link.sh": b"#!/bin/sh"})
    space.edit("environment.yml", "native=1", f"{first}\n  - {second}")
    said = space.run("build", "//:env").said(
        f"conda packages {first}-1-0.conda and {second}-1-0.conda both bring 'share/x'; the files",
        "the script bin/.two-post-link.sh of a conda package is not run",
    )
    assert "share/same" not in said.err


def bucket(name: str) -> int:
    """Which of the layers of small packages it is in, see `plan.partition`."""
    return hashlib.sha256(name.encode()).digest()[0] % BUCKETS


def test_a_base_that_is_left_out_is_a_small_debian_without_python(space: Space) -> None:
    space.edit("BUILD.yaml", 'base: ":base", ', "")
    space.run("build", "//:env", "--locked", code=None).said(
        "the lock 'debian.system@conda-linux-amd64.lock' of //:system@conda", f"'{LOCK}'"
    )


ENV = 'rule: conda_env, base: ":base", conda_file: environment.yml'


def test_a_python_env_takes_the_way_of_wheels_until_it_chooses_conda(conda: Callable[..., Space]) -> None:
    space, same = conda("one"), conda("two")
    space.edit("BUILD.yaml", ENV, "rule: python_env, conda_file: environment.yml")
    space.edit("environment.yml", "native=1", "gdal")
    space.run("build", "//:env", code=None).said(
        "'gdal' is not a Python package", "`solver: conda` beside `conda_file`"
    )
    space.edit("environment.yml", "gdal", "native=1")
    space.edit("BUILD.yaml", "python_env,", 'python_env, solver: conda, base: ":base",')
    digest = space.build("//:env").digests
    assert digest == same.build("//:env").digests
    assert space.path(LOCK).read_text() == same.path(LOCK).read_text()
    space.edit("BUILD.yaml", "solver: conda", "channels: [conda-forge]")
    space.run("build", "//:env", code=None).said("BUILD.yaml:6:", "'channels' has no effect on wheels")


def test_all_other_requirements_of_a_python_env_come_on_top(space: Space) -> None:
    space.write("more.txt", "tinyserver\n")
    space.write("environment.yml", "channels: [./channel]\ndependencies: [python=3.2, numlib]\n")
    asked = f'python: "{MINOR}", requirements_file: more.txt, constraints: [tinyserver<2], '
    space.edit("BUILD.yaml", ENV, f'rule: python_env, solver: conda, {asked}base: ":base", conda_file: environment.yml')
    space.build("//:env")
    assert packages(space) == {"python": f"{MINOR}.4", "numlib": "2.5"}
    wheels = tomllib.loads(space.path("pylock.env-linux-amd64.toml").read_text())["packages"]
    assert [row["name"] for row in wheels] == ["extra", "tinyserver"]


def test_the_conda_file_of_an_mlflow_model_can_be_solved(space: Space) -> None:
    flavour = "{env: {conda: conda.yaml, virtualenv: python_env.yaml}, loader_module: x}"
    space.write("model/MLmodel", f"flavors: {{python_function: {flavour}}}\nmlflow_version: 3.1.0\n")
    space.write("model/conda.yaml", FILE.replace("./channel", "../channel"))
    space.write("model/requirements.txt", "tinyserver\n")
    space.edit("BUILD.yaml", ENV, 'rule: python_env, base: ":base", model: ":m", solver: conda')
    space.append("BUILD.yaml", "  m: {rule: model, path: model}\n")
    space.build("//:env")
    assert packages(space).keys() == {"python", "native", "pure", "numlib"}
    space.run("build", "//:env").said("unchanged")
    space.edit("model/conda.yaml", "native=1", "native=1.0")
    space.run("build", "//:env", "--locked", code=None).said("what it is asked to hold has changed")
    space.edit("BUILD.yaml", "solver: conda", "solver: conda, conda_file: environment.yml")
    space.run("build", "//:env", code=None).said("BUILD.yaml:6:", "conda's solver takes one conda file")
    space.edit("BUILD.yaml", ", conda_file: environment.yml", "")
    space.remove("model/conda.yaml")
    space.run("build", "//:env", code=None).said("the model //:m has no conda.yaml")


def test_what_asks_for_no_conda_package_is_an_error(space: Space) -> None:
    space.edit("BUILD.yaml", ENV, 'rule: python_env, base: ":base", requirements: [needy], solver: conda')
    space.run("build", "//:env", code=None).said("//:env asks for no conda package", "name a `conda_file`")
