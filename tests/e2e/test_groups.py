"""One lock for many environments: each installs its own part of it, and a change reaches who has what changed."""

import contextlib
import os
import re
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import Space, make_base, make_wheels, wheel

BUILD = """\
workspace:
  name: acme
  platforms: [linux/amd64]
targets:
  base: {rule: oci_base, layout: base}
  m: {rule: model, path: weights}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
"""
PACKAGE = """\
  NAME_env: {rule: python_env, base: ":base", group: models, requirements: [REQUIREMENTS]}
  NAME: {rule: model_package, model: ":m", base_env: ":NAME_env", server: "//rules:tiny", code: ":code"}
"""
LOCK = "pylock.group@models-linux-amd64.toml"
ONE, TWO, THREE = "//:one", "//:two", "//:three"
MORE = (
    ("needs", "1.0", ("numlib", "joiner; extra == 'fast'\nProvides-Extra: fast", "absent; python_version < '3'")),
    ("joiner", "1.0", ()),
    ("joiner", "1.5", ()),
)


def add_wheels(folder: Path, *wheels: tuple[str, str, tuple[str, ...]]) -> None:
    for name, version, requires in wheels:
        filename, data = wheel(name, version, requires)
        (folder / filename).write_bytes(data)


@pytest.fixture
def space(new_space: Callable[..., Space], tmp_path: Path) -> Space:
    """Three packages in a group: `one` has numlib, `two` has joiner through an extra, `three` needs without it."""
    found = new_space(locked=False)
    found.wheels = make_wheels(tmp_path / "wheels")
    add_wheels(found.wheels, *MORE)
    found.env["UV_FIND_LINKS"] = str(found.wheels)
    found.write("BUILD.yaml", BUILD)
    for name, asked in (("one", "numlib"), ("two", '"needs[fast]"'), ("three", "needs, extra")):
        add_package(found, name, asked)
    return found


def add_package(space: Space, name: str, requirements: str) -> None:
    space.append("BUILD.yaml", PACKAGE.replace("NAME", name).replace("REQUIREMENTS", requirements))


def wheels_of(space: Space, label: str) -> set[str]:
    """The distributions, with versions, that a package's image has."""
    folder = f"{space.folder}/{label.strip('/:')}-{os.urandom(4).hex()}"
    space.run("export", label, "-o", folder)
    found = set()
    for blob in Path(folder, "blobs/sha256").iterdir():
        with contextlib.suppress(tarfile.ReadError), tarfile.open(blob) as archive:
            found |= {match[1] for name in archive.getnames() if (match := re.search(r"([^/]+)\.dist-info$", name))}
    return found


def groups_of(space: Space) -> dict[str, str]:
    """The rows of the group's lock."""
    return tomllib.loads(space.path(LOCK).read_text())["tool"]["buildrules"]["members"]


def test_each_installs_its_own_part_of_one_lock(space: Space) -> None:
    space.run("lock").said(f"wrote {LOCK}", "5 of 5 locks written")
    assert not list(space.root.glob("pylock.*_env-*"))
    assert set(groups_of(space).values()) == {"numlib", "joiner needs numlib", "extra needs numlib"}
    space.run("lock", "--check").said("5 locks are up to date")
    server = {"tinyserver-1.0", "extra-1.0"}
    assert wheels_of(space, ONE) == {"numlib-2.0", *server}
    assert wheels_of(space, TWO) == {"numlib-2.0", "needs-1.0", "joiner-1.5", *server}
    assert wheels_of(space, THREE) == {"numlib-2.0", "needs-1.0", *server}


def test_a_change_of_one_library_rebuilds_who_has_it(space: Space) -> None:
    before = space.build(ONE, TWO, THREE)
    add_wheels(space.wheels, ("joiner", "2.0", ()))
    tree = space.tree()
    said = space.run("lock", "--upgrade", "joiner", "--check", code=1)
    said.said("joiner 1.5 -> 2.0: //:two\n", "2 of 5 locks would be written")
    assert space.tree() == tree
    said = space.run("lock", "--upgrade", "joiner").said("joiner 1.5 -> 2.0: //:two\n", f"wrote {LOCK}")
    assert (said.out + said.err).count("wrote") == 2  # and of the server on two_env
    unchanged = space.build(ONE, THREE)
    assert unchanged.executed == 0
    after = space.build(ONE, TWO, THREE)
    assert {label for label in (ONE, TWO, THREE) if before.digests[label] != after.digests[label]} == {TWO}
    assert after.executed == 3  # joiner's layer, the look at what is installed, the image
    space.run("lock", "--upgrade", "joiner").said("nothing moves", "joiner stays 2.0: //:two")


def test_a_new_member_and_a_renamed_one_keep_versions_and_the_rest(space: Space) -> None:
    space.run("lock")
    before = space.build(ONE, TWO, THREE)
    add_wheels(space.wheels, ("numlib", "3.0", ()), ("joiner", "2.0", ()))
    add_package(space, "four", "joiner")
    said = space.run("build", "//:four", "--locked", code=1).said("it has nothing for what //:four_env asks for")
    assert "one_env" not in said.err
    said = space.run("lock", "--check", code=1).said(f"the lock '{LOCK}' of the group 'models' cannot be used")
    said.said("it has nothing for what //:four_env asks for")
    assert wheels_of(space, "//:four") == {"joiner-1.5", "tinyserver-1.0", "extra-1.0"}
    assert space.build(ONE, TWO, THREE).digests == before.digests
    text = space.path("BUILD.yaml").read_text()
    space.write("BUILD.yaml", text.replace("four_env", "other_env"))
    space.run("build", "//:four", "--locked", code=1).said("other_env+tiny", "missing").said("build")
    space.run("lock").said("as in pylock.four_env+tiny")
    space.run("build", "//:four", "--locked")


def test_who_is_gone_stays_until_the_group_is_locked(space: Space) -> None:
    space.run("lock")
    text = space.path("BUILD.yaml").read_text()
    space.write("BUILD.yaml", text[: text.index("  three_env")])
    space.run("build", "//...", "--locked")
    space.run("lock", "--check", code=1).said("the members of the group have changed")
    space.run("lock")
    assert set(groups_of(space).values()) == {"numlib", "joiner needs numlib"}


def test_a_conflict_names_both_requirements_and_both_targets(space: Space) -> None:
    add_package(space, "four", "numlib<2")
    add_package(space, "five", '"numlib>=2"')
    said = space.run("lock", code=1)
    print(said.err)
    said.said(
        "the requirements of the group 'models' (5 environments) on linux/amd64",
        "numlib<2: the environment //:four_env (BUILD.yaml:",
        "numlib>=2: the environment //:five_env (BUILD.yaml:",
        "hint: change what one of them asks for, or write `lock: own` on one of them",
    )
    space.edit("BUILD.yaml", "[numlib<2]", "[numlib<2], lock: own")
    space.run("lock")
    assert wheels_of(space, "//:four") == {"numlib-1.0", "tinyserver-1.0", "extra-1.0"}
    assert "numlib" in groups_of(space).values()


def test_environments_on_other_pythons_cannot_share(space: Space) -> None:
    make_base(space.path("other"), "3.11.4")
    space.append("BUILD.yaml", "  other: {rule: oci_base, layout: other}\n")
    add_package(space, "four", "numlib")
    space.edit(
        "BUILD.yaml", 'four_env: {rule: python_env, base: ":base"', 'four_env: {rule: python_env, base: ":other"'
    )
    said = space.run("lock", code=2)
    print(said.err)
    said.said(
        "//:four_env and //:one_env cannot have one lock: they stand on //:other with Python 3.11.4 and glibc",
        "hint: write lock: own on //:one_env, and 'buildrules lock --sync models' keeps both on equal versions",
    )


def test_a_server_takes_the_versions_of_the_group(space: Space) -> None:
    """Two packages bring joiner: one in its environment, the other as its server's."""
    add_wheels(space.wheels, ("tinyserver", "1.1", ("joiner",)), ("joiner", "2.0", ()))
    add_package(space, "four", '"joiner<2"')
    space.run("lock")
    assert "joiner-1.5" in wheels_of(space, "//:four")
    assert wheels_of(space, ONE) == {"numlib-2.0", "tinyserver-1.1", "joiner-1.5"}


def test_projects_by_path_count_for_who_reaches_them(space: Space) -> None:
    """`four` has lib by path; `five` reaches it through a wheel that needs one of that name."""
    add_wheels(space.wheels, ("reaches", "1.0", ("lib",)))
    space.write("lib/pyproject.toml", '[project]\nname = "lib"\nversion = "5.0"\ndependencies = ["joiner"]\n')
    add_package(space, "four", "./lib")
    add_package(space, "five", "reaches")
    space.run("lock", "//:four", "//:five")
    assert {"joiner lib", "joiner lib reaches"} <= set(groups_of(space).values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('" = "numlib"', '" = "numlib gone"', "a member gets 'gone', which is not in it"),
        ('= "numlib"', "= 1", "[tool.buildrules.members] are no names of packages"),
    ],
)
def test_a_lock_that_says_something_else_is_refused(space: Space, old: str, new: str, said: str) -> None:
    space.run("lock")
    space.edit(LOCK, old, new)
    space.run("build", ONE, code=1).said(said, "hint: run 'buildrules lock' to write it anew")
    space.run("lock")
    space.run("build", ONE, "--locked")


def own_lock(space: Space, name: str, requirements: str, base: str = "base") -> None:
    """A package whose environment is in the group and has a lock of its own."""
    add_package(space, name, requirements)
    space.edit(
        "BUILD.yaml",
        f'{name}_env: {{rule: python_env, base: ":base"',
        f'{name}_env: {{rule: python_env, base: ":{base}"',
    )
    space.edit(
        "BUILD.yaml",
        f"group: models, requirements: [{requirements}]",
        f"group: models, lock: own, requirements: [{requirements}]",
    )


def version_in(space: Space, lock: str, name: str) -> str:
    packages = tomllib.loads(space.path(f"pylock.{lock}-linux-amd64.toml").read_text())["packages"]
    return next(str(one["version"]) for one in packages if one["name"] == name)


def test_sync_brings_locks_of_their_own_to_the_versions_of_the_group(space: Space) -> None:
    make_base(space.path("other"), "3.11.4")
    space.append("BUILD.yaml", "  other: {rule: oci_base, layout: other}\n")
    own_lock(space, "four", "joiner, numlib", base="other")
    space.run("lock", "//:four")
    add_wheels(space.wheels, ("joiner", "2.0", ()), ("numlib", "3.0", ()))
    space.run("lock")
    assert version_in(space, "group@models", "joiner") == "2.0"
    assert version_in(space, "four_env", "joiner") == "1.5"
    tree = space.tree()
    said = space.run("lock", "--sync", "models", "--check", code=1)
    said.said("joiner 1.5 -> 2.0: //:four\n", "numlib 2.0 -> 3.0: //:four\n", "2 of 8 locks would be written")
    assert space.tree() == tree
    said = space.run("lock", "--sync", "models")
    assert "differs" not in said.out
    assert version_in(space, "four_env", "joiner") == "2.0"
    space.run("lock", "--sync", "models", "--check").said("nothing moves")


def test_sync_finds_the_versions_that_all_can_have(space: Space) -> None:
    own_lock(space, "four", '"joiner<1.5"')
    space.run("lock")
    assert version_in(space, "group@models", "joiner") == "1.5"
    said = space.run("lock", "--sync", "models").said("joiner 1.5 -> 1.0: //:two\n")
    assert "differs" not in said.out
    assert version_in(space, "group@models", "joiner") == "1.0"


def test_sync_says_what_cannot_be_equal_and_why(space: Space) -> None:
    own_lock(space, "four", '"numlib<2", joiner')
    add_package(space, "five", '"numlib>=2"')
    add_wheels(space.wheels, ("joiner", "2.0", ()))
    said = space.run("lock", "--sync", "models")
    said.said(
        "numlib differs: 2.0 in the group 'models', 1.0 in //:four_env",
        "//:four_env cannot have numlib 2.0:",
        "numlib<2: the environment //:four_env (BUILD.yaml:",
    )
    assert version_in(space, "four_env", "joiner") == version_in(space, "group@models", "joiner") == "2.0"
    space.run("lock", "--check")
    space.run("lock", "--sync", "models", "--check").said("nothing moves", "numlib differs")


def test_sync_and_upgrade_together(space: Space) -> None:
    own_lock(space, "four", '"joiner<3"')
    space.run("lock")
    add_wheels(space.wheels, ("joiner", "2.0", ()), ("joiner", "3.0", ()), ("numlib", "3.0", ()))
    space.run("lock", "--sync", "models", "--upgrade", "joiner").said("joiner 1.5 -> 2.0: //:four, //:two\n")
    assert version_in(space, "group@models", "numlib") == "2.0"


def test_a_group_that_there_is_not(space: Space) -> None:
    space.run("lock", "--sync", "modles", code=2).said("no environment has the group 'modles'", "models")
    space.run("lock", "--sync", "models", "//:one", code=2).said("leave out the patterns")


UV_LOCK = """\
version = 1
requires-python = ">=3.11"

[manifest]
members = ["first", "second"]

[[package]]
name = "joiner"
version = "JOINER"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "numlib"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
"""


def test_members_of_a_uv_workspace_share_its_lock(space: Space) -> None:
    space.write("pyproject.toml", '[tool.uv.workspace]\nmembers = ["first", "second"]\n')
    for name, asked in (("first", "numlib"), ("second", "needs[fast]")):
        space.write(
            f"{name}/pyproject.toml", f'[project]\nname = "{name}"\nversion = "1"\ndependencies = ["{asked}"]\n'
        )
    space.write("uv.lock", UV_LOCK.replace("JOINER", "1.0"))
    space.write("BUILD.yaml", BUILD)
    for name in ("first", "second"):
        add_package(space, name, "")
        space.edit("BUILD.yaml", "requirements: []", f"pyproject: {name}")
    before = space.build("//:first", "//:second")
    assert version_in(space, "group@models", "joiner") == "1.0"
    assert version_in(space, "group@models", "numlib") == "1.0"
    assert set(groups_of(space).values()) == {"numlib", "joiner needs numlib"}
    space.write("uv.lock", UV_LOCK.replace("JOINER", "1.5"))
    after = space.build("//:first", "//:second")
    assert version_in(space, "group@models", "joiner") == "1.5"
    assert {label for label in before.digests if before.digests[label] != after.digests[label]} == {"//:second"}
    assert after.executed == 3


def test_who_comes_into_a_group_keeps_the_versions_of_its_own_lock(space: Space) -> None:
    text = space.path("BUILD.yaml").read_text()
    space.write("BUILD.yaml", text.replace("group: models, ", ""))
    space.run("lock")
    add_wheels(space.wheels, ("joiner", "2.0", ()), ("numlib", "3.0", ()))
    space.write("BUILD.yaml", text)
    space.run("lock").said("no target has the lock 'pylock.one_env-linux-amd64.toml'")
    assert version_in(space, "group@models", "joiner") == "1.5"
    assert version_in(space, "group@models", "numlib") == "2.0"


@pytest.mark.parametrize("name", ["a/b", "a.b", "", ".", "../x", "-x", '"a\\nb"', "x" * 101, "{a: b}"])
def test_a_name_that_is_none_of_a_file_is_refused_where_it_stands(space: Space, name: str) -> None:
    space.edit("BUILD.yaml", "group: models", f"group: {name}")
    space.run("lock", ONE, code=2).said("BUILD.yaml:8:")
