"""Locks on the command line: made where missing, renewed where stale, refused with --locked."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from buildrules.cli.planning import Planning
from buildrules.engine.events import Stream
from buildrules.engine.key import explain
from buildrules.engine.step import step_of
from buildrules.locking.debian import lock as debian
from buildrules.locking.debian.request import Request
from buildrules.locking.oci.lock import ImageLock, inputs_digest, read_lock, write_lock
from buildrules.net.session import Session
from buildrules.store.store import Store
from tests.support.space import APP, Space, make_base, make_wheels, wheel

A = "sha256:" + "a" * 64
LOCKS = {"oci.base-linux-amd64.lock", "pylock.env-linux-amd64.toml", "pylock.env+server-linux-amd64.toml"}


@pytest.fixture
def unlocked(new_space: Callable[..., Space]) -> Space:
    return new_space(locked=False)


def test_a_build_makes_missing_locks_and_says_so(unlocked: Space) -> None:
    result = unlocked.run("build", APP)
    for lock in LOCKS:
        result.said(f"wrote {lock}")
        assert unlocked.path(lock).exists()
    before = unlocked.tree()
    assert unlocked.run("build", APP).err == ""
    assert unlocked.tree() == before


def test_a_locked_build_refuses_a_missing_lock(unlocked: Space) -> None:
    before = unlocked.tree()
    unlocked.run("build", APP, "--locked", code=1).said("lock", "missing", "hint: run 'buildrules lock'")
    assert unlocked.tree() == before


def test_a_locked_build_works_with_fresh_locks(workspace: Space) -> None:
    workspace.run("build", APP, "--locked")


def test_a_locked_build_refuses_a_stale_lock(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    before = workspace.tree()
    workspace.run("build", APP, "--locked", code=1).said("pylock.env-linux-amd64.toml", "the requirements have changed")
    assert workspace.tree() == before


def test_a_locked_build_after_an_unlocked_one_is_not_answered_from_what_it_kept(workspace: Space) -> None:
    workspace.run("build", APP)
    workspace.remove("pylock.env-linux-amd64.toml")
    workspace.run("build", APP, "--locked", code=1).said("missing")


def test_lock_check_reads_and_never_writes(workspace: Space) -> None:
    workspace.run("lock", "--check").said("3 locks are up to date")
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    before = workspace.tree()
    workspace.run("lock", "--check", code=1).said("the requirements have changed", "hint:")
    assert workspace.tree() == before
    workspace.run("lock")
    workspace.run("lock", "--check")


def test_locking_again_changes_nothing(workspace: Space) -> None:
    before = workspace.tree()
    workspace.run("lock").said("0 of 3 locks written")
    assert workspace.tree() == before


def test_versions_stay_until_an_upgrade_is_asked_for(workspace: Space, tmp_path: Path) -> None:
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib")
    workspace.run("lock")
    lock = workspace.path("pylock.env-linux-amd64.toml")
    assert 'version = "1.0"' in lock.read_text()
    workspace.run("lock")
    assert 'version = "1.0"' in lock.read_text()
    workspace.run("lock", "--upgrade-package", "numlib")
    assert 'version = "2.0"' in lock.read_text()
    more = make_wheels(tmp_path / "more")
    filename, data = wheel("numlib", "3.0")
    (more / filename).write_bytes(data)
    workspace.env["UV_FIND_LINKS"] = str(more)
    workspace.run("lock")
    assert 'version = "2.0"' in lock.read_text()
    workspace.run("lock", "--upgrade")
    assert 'version = "3.0"' in lock.read_text()


def test_an_upgrade_works_without_a_network_too(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib")
    workspace.run("lock", "--upgrade", env={"UV_OFFLINE": "1"})
    assert 'version = "2.0"' in workspace.path("pylock.env-linux-amd64.toml").read_text()


def test_what_is_locked_is_built_whatever_is_newer(workspace: Space, tmp_path: Path) -> None:
    digest = workspace.build().digest
    more = make_wheels(tmp_path / "more")
    for name in ("tinyserver", "extra"):
        filename, data = wheel(name, "1.9")
        (more / filename).write_bytes(data)
    workspace.env["UV_FIND_LINKS"] = str(more)
    assert workspace.clean_build().digest == digest


def test_a_base_image_that_moved_stays_where_it_is_locked(workspace: Space) -> None:
    first = workspace.build().digest
    lock = workspace.path("oci.base-linux-amd64.lock")
    before = read_lock(str(lock))
    make_base(workspace.path("base"), files={"etc/os-release": b"ID=newer\n"})
    assert workspace.build().digest == first
    said = workspace.run("lock")
    after = read_lock(str(lock))
    assert before is not None
    assert after is not None
    said.said(f"wrote oci.base-linux-amd64.lock\n  digest {before.digest[:19]} -> {after.digest[:19]}\n")
    report = workspace.build()
    assert report.digest != first
    assert report.executed == 2  # the base and the image: every other layer is what it was


def test_a_server_that_contradicts_the_environment_is_refused(workspace: Space) -> None:
    workspace.edit("rules/tiny.yaml", "tinyserver~=1.0", "needy==1.0")
    before = workspace.tree()
    result = workspace.run("build", APP, code=1)
    result.said("numlib", "needy")
    assert workspace.tree() == before


@pytest.mark.parametrize(
    "text", ["", "garbage [", 'lock-version = "9.0"\n', "lock-version = 1\n[[packages]]\nname = 3\n"]
)
def test_a_damaged_lock_is_an_error_or_made_again(workspace: Space, text: str) -> None:
    lock = workspace.path("pylock.env-linux-amd64.toml")
    good = lock.read_text()
    lock.write_text(text)
    workspace.run("build", APP, "--locked", code=1).said("pylock.env-linux-amd64.toml", "hint:")
    assert lock.read_text() == text
    workspace.run("lock", code=None)
    if lock.read_text() != text:
        assert lock.read_text() == good


def test_uv_that_cannot_start_is_not_taken_for_a_file_that_is_gone(workspace: Space) -> None:
    workspace.path("uv.toml").write_text("no-index = [")
    result = workspace.run("build", APP, env={"UV_CONFIG_FILE": str(workspace.path("uv.toml"))}, code=1)
    result.said("uv could not look for locked files", "uv.toml")


PROJECT = """\
[project]
name = "lib"
version = "1.0"
dependencies = []
[build-system]
requires = []
build-backend = "back"
backend-path = ["."]
"""


def test_a_new_dependency_of_a_local_project_makes_the_lock_stale(workspace: Space) -> None:
    workspace.write("lib/pyproject.toml", PROJECT)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./lib]")
    workspace.run("lock")
    workspace.run("lock", "--check")
    assert "extra" not in workspace.path("pylock.env-linux-amd64.toml").read_text()
    workspace.edit("lib/pyproject.toml", "dependencies = []", "dependencies = ['extra']")
    workspace.run("lock", "--check", code=1).said("the requirements have changed")
    workspace.run("lock")
    assert "extra" in workspace.path("pylock.env-linux-amd64.toml").read_text()


def test_what_builds_a_local_project_is_part_of_its_key(unlocked: Space) -> None:
    shutil.rmtree(unlocked.path("base"))
    make_base(unlocked.path("base"), python=platform.python_version())
    unlocked.write("lib/pyproject.toml", '[project]\nname = "lib"\nversion = "1"\n')
    unlocked.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./lib]")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in unlocked.env.items():
            patch.setenv(name, value)
        plan = Planning(str(unlocked.root), "", ["//:env"], {}, Store(str(unlocked.store)), Stream(), Session()).plan()
    (action,) = [action for action in plan.actions.values() if action.kind == "build_wheel"]
    assert action.params["builder"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert f'"{action.params["builder"]}"' in explain(step_of(action, 1, [[]], [])).values()


def test_another_default_registry_makes_the_lock_of_a_base_stale(unlocked: Space) -> None:
    unlocked.edit("BUILD.yaml", "layout: base", "image: team/base")
    unlocked.edit("BUILD.yaml", "name: acme", "name: acme\n  default_registry: 127.0.0.1:1")
    lock = ImageLock("127.0.0.1:1/team/base:latest", "linux/amd64", A, "", "")
    lock = replace(lock, inputs=inputs_digest(lock.reference, lock.platform))
    write_lock(str(unlocked.path("oci.base-linux-amd64.lock")), lock)
    first = unlocked.run("build", "//:base", "--locked", code=None)
    assert "cannot be used" not in first.err  # nothing answers at that address, and that is all
    unlocked.edit("BUILD.yaml", "127.0.0.1:1", "127.0.0.1:2")
    unlocked.run("build", "//:base", "--locked", code=1).said("it is for another image")


def test_another_time_of_the_debian_archive_makes_its_lock_stale(unlocked: Space) -> None:
    unlocked.edit("BUILD.yaml", "oci_base, layout: base", "debian_base, suite: bookworm")
    unlocked.edit("BUILD.yaml", "name: acme", "name: acme\n  debian: {snapshot: 20250101T000000Z}")
    request = Request("base", "bookworm", snapshot="20250101T000000Z")
    lock = debian.Lock("bookworm", "amd64", request.digest(), (), ())
    debian.write_lock(lock, str(unlocked.path("debian.base-linux-amd64.lock")))
    unlocked.run("lock", "--check", "//:base")
    unlocked.edit("BUILD.yaml", "20250101", "20250201")
    unlocked.run("lock", "--check", "//:base", code=1).said("has changed")


def test_settings_without_effect_are_told_once(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  platforms", "  cache: {upload: never}\n  platforms")
    said = workspace.run("build", APP).err
    assert said.count("warning: workspace.cache has no effect yet") == 1


def test_what_an_environment_leaves_out_its_server_leaves_out(workspace: Space) -> None:
    assert 'name = "extra"' in workspace.path("pylock.env+server-linux-amd64.toml").read_text()
    workspace.edit(
        "BUILD.yaml", "    requirements: [numlib==1.0]\n", "    requirements: [numlib==1.0]\n    exclude: [extra]\n"
    )
    workspace.run("lock")
    lock = workspace.path("pylock.env+server-linux-amd64.toml").read_text()
    assert 'name = "tinyserver"' in lock
    assert 'name = "extra"' not in lock
