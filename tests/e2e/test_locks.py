"""Locks on the command line: made where missing, renewed where stale, refused with --locked."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from buildrules.engine.events import Stream
from buildrules.engine.key import walk
from buildrules.engine.step import step_of
from buildrules.locking.debian import lock as debian
from buildrules.locking.debian.request import DebianRequest
from buildrules.locking.oci.lock import ImageLock, inputs_digest, read_lock, write_lock
from buildrules.net.session import Session
from buildrules.prepared import prepare
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


@pytest.mark.parametrize("command", [("build", APP, "--locked"), ("lock", "--check"), ("build", "//...", "--locked")])
def test_every_lock_that_cannot_be_used_is_named(unlocked: Space, command: tuple[str, ...]) -> None:
    before = unlocked.tree()
    said = unlocked.run(*command, code=1).said("3 locks cannot be used", "hint: run 'buildrules lock'")
    for lock in LOCKS:
        said.said(f"the lock '{lock}' of ")
    assert said.err.count("it is missing") == 3
    assert unlocked.tree() == before
    unlocked.run("lock")
    unlocked.path("pylock.env-linux-amd64.toml").write_text("garbage [")
    unlocked.remove("pylock.env+server-linux-amd64.toml")
    said = unlocked.run(*command, code=1).said("2 locks cannot be used", "'pylock.env-linux-amd64.toml' cannot be read")
    said.said("'pylock.env+server-linux-amd64.toml' of the server //rules:tiny on env cannot be used: it is missing")


def test_an_environment_without_its_base_is_named_too(unlocked: Space) -> None:
    said = unlocked.run("build", "//:env", "--locked", code=1).said("2 locks cannot be used")
    said.said("'oci.base-linux-amd64.lock' of //:base", "'pylock.env-linux-amd64.toml' of //:env")


def test_a_server_says_which_lock_below_it_has_changed(workspace: Space) -> None:
    lock, server = workspace.path("pylock.env-linux-amd64.toml"), workspace.path("pylock.env+server-linux-amd64.toml")
    text = lock.read_text()
    at = text.index('sha256 = "') + len('sha256 = "')
    lock.write_text(text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :])
    said = workspace.run("lock", "--check", code=1)
    said.said(
        "'pylock.env+server-linux-amd64.toml'", "the lock 'pylock.env-linux-amd64.toml' that it stands on has changed"
    )
    assert "requirements" not in said.err
    lock.write_text(text)
    workspace.run("lock", "--check")
    workspace.edit("rules/tiny.yaml", "tinyserver~=1.0", "tinyserver>=1.0")
    said = workspace.run("lock", "--check", code=1).said("the requirements have changed")
    assert "stands on" not in said.err
    server.write_text(
        "".join(row for row in server.read_text().splitlines(keepends=True) if not row.startswith("base ="))
    )
    workspace.run("lock", "--check", code=1).said(
        "have changed, or the lock 'pylock.env-linux-amd64.toml' that it stands on"
    )


def test_another_name_takes_the_locks_over_and_asks_nobody(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib")
    workspace.run("lock")
    digest = workspace.build().digest
    old = {name: workspace.path(name).read_text() for name in LOCKS}
    assert 'version = "1.0"' in old["pylock.env-linux-amd64.toml"]  # and the index has a newer one
    text = workspace.path("BUILD.yaml").read_text()
    for name, new in (("base", "root"), ("env", "numbers"), ("server", "tiny")):
        text = text.replace(f"\n  {name}:", f"\n  {new}:").replace(f": :{name}\n", f": :{new}\n")
    workspace.path("BUILD.yaml").write_text(text)
    said = workspace.run("build", APP, env={"UV_FIND_LINKS": "/nowhere"})
    said.said("as in oci.base-linux-amd64.lock", "as in pylock.env+server-linux-amd64.toml")
    said.said("wrote pylock.numbers-linux-amd64.toml")
    assert "it is missing" not in said.err
    assert workspace.build().digest == digest
    said = workspace.run("lock", "--check").said("3 locks are up to date")
    said.said(*(f"no target has the lock '{name}'" for name in LOCKS), "hint: remove what nobody needs: rm ")
    for name in LOCKS:
        assert workspace.path(name).read_text() == old[name]
        workspace.remove(name)
    assert "no target" not in workspace.run("lock", "--check").out
    assert workspace.clean_build().digest == digest


def test_locks_of_others_and_of_other_platforms_are_not_called_nobodys(workspace: Space) -> None:
    workspace.write("pylock.dev-linux-amd64.toml", "lock-version = '1.0'\n")
    text = workspace.path("pylock.env-linux-amd64.toml").read_text()
    workspace.write("pylock.env-linux-arm64.toml", text)
    workspace.run("lock")
    assert "no target" not in workspace.run("lock").out
    workspace.write("pylock.gone-linux-amd64.toml", text)
    assert "no target" not in workspace.run("lock", APP).out
    workspace.run("lock").said("no target has the lock 'pylock.gone-linux-amd64.toml'")


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
    workspace.run("lock", "--upgrade", "numlib")
    assert 'version = "2.0"' in lock.read_text()
    more = make_wheels(tmp_path / "more")
    filename, data = wheel("numlib", "3.0")
    (more / filename).write_bytes(data)
    workspace.env["UV_FIND_LINKS"] = str(more)
    workspace.run("lock")
    assert 'version = "2.0"' in lock.read_text()
    workspace.run("lock", "--upgrade")
    assert 'version = "3.0"' in lock.read_text()


def test_an_upgrade_is_checked_with_the_bases_that_move(workspace: Space) -> None:
    """They are not stale, and `--upgrade` asks for what there is now of them, too."""
    before = workspace.tree()
    workspace.run("lock", "--upgrade", "--check").said("nothing moves", "3 locks are up to date")
    shutil.rmtree(workspace.path("base"))
    make_base(workspace.path("base"), variables={"NEW": "1"})
    said = workspace.run("lock", "--upgrade", "--check", code=1).said("1 of 3 locks would be written")
    assert "//:base moves: digest sha256:" in said.err
    assert {
        path for path, content in workspace.tree().items() if before.get(path) != content and "base/" not in path
    } == set()
    workspace.run("lock", "--upgrade")
    workspace.run("lock", "--upgrade", "--check").said("3 locks are up to date")


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
BACK_END = """\
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(wheel_directory, "lib-1.0-py3-none-any.whl"), "w") as archive:
        info = "lib-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: lib\\nVersion: 1.0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", "")
    return "lib-1.0-py3-none-any.whl"
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
        plan = prepare(str(unlocked.root), "", ["//:env"], {}, Store(str(unlocked.store)), Stream(), Session()).plan()
    (action,) = [action for action in plan.actions.values() if action.kind == "build_wheel"]
    assert action.params["builder"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert f'"{action.params["builder"]}"' in walk(step_of(action, 1, [[]], [])).sees.values()


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
    request = DebianRequest("base", "bookworm", snapshot="20250101T000000Z")
    lock = debian.Lock("bookworm", "amd64", request.digest(), (), ())
    debian.write_lock(str(unlocked.path("debian.base-linux-amd64.lock")), lock)
    unlocked.run("lock", "--check", "//:base")
    unlocked.edit("BUILD.yaml", "20250101", "20250201")
    unlocked.run("lock", "--check", "//:base", code=1).said("has changed")


def test_what_an_environment_leaves_out_its_server_leaves_out(workspace: Space) -> None:
    assert 'name = "extra"' in workspace.path("pylock.env+server-linux-amd64.toml").read_text()
    workspace.edit(
        "BUILD.yaml", "    requirements: [numlib==1.0]\n", "    requirements: [numlib==1.0]\n    exclude: [extra]\n"
    )
    workspace.run("lock")
    lock = workspace.path("pylock.env+server-linux-amd64.toml").read_text()
    assert 'name = "tinyserver"' in lock
    assert 'name = "extra"' not in lock


NAMELESS = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
"""Runs a program as a user without an entry in passwd, as OpenShift and Jenkins do."""


@pytest.mark.parametrize("home, prefix", [("/", ()), (None, ()), (None, NAMELESS)])
def test_a8_all_that_is_kept_lies_in_the_store(workspace: Space, home: str | None, prefix: tuple[str, ...]) -> None:
    workspace.write("lib/pyproject.toml", PROJECT)
    workspace.write("lib/back.py", BACK_END)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./lib]")
    before = {path for path in workspace.folder.rglob("*") if not path.is_relative_to(workspace.store)}
    outside = {Path("/", name) for name in (".cache", ".local", ".config")}
    there = {path for path in outside if path.exists()}
    del workspace.env["UV_CACHE_DIR"], workspace.env["HOME"]
    if home is not None:
        workspace.env["HOME"] = home
    workspace.process("lock", prefix=prefix)
    workspace.process("build", APP, prefix=prefix)
    assert (workspace.store / "uv/CACHEDIR.TAG").exists()
    assert {path for path in workspace.folder.rglob("*") if not path.is_relative_to(workspace.store)} == before
    assert {path for path in outside if path.exists()} == there
    workspace.process("cache", "gc", "--keep", "0s")
    assert not (workspace.store / "uv").exists()


def test_a19_what_is_named_is_locked_anew_and_the_rest_if_it_is_stale(workspace: Space) -> None:
    result = workspace.run("lock", "//:env").said("locking //:env: asked to")
    assert "//:base" not in result.err
    result = workspace.run("lock", APP).said("locking //:env: asked to", "locking the server")
    assert "//:base" not in result.err
    workspace.run("lock").said("locking //:base: asked to", "locking //:env: asked to")
    workspace.run("lock", "//:base").said("locking //:base: asked to")
    workspace.remove("oci.base-linux-amd64.lock")
    workspace.run("lock", "//:env").said("locking //:base: it is missing")


def test_c8_a_wrong_digest_of_a_base_is_said_of_the_package_too(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "layout: base}", f"layout: base, digest: 'sha256:{'0' * 64}'}}")
    for command in (("build", APP), ("build", APP, "--locked"), ("lint",), ("lock", "--check"), ("build", "//:base")):
        said = workspace.run(*command, code=4).said("BUILD.yaml:5:48: layout 'base' has no blob sha256:0000")
        assert "requirements have changed" not in said.err and "run 'buildrules lock'" not in said.err
    workspace.edit("BUILD.yaml", f", digest: 'sha256:{'0' * 64}'", "")  # the way out that the hint names
    workspace.run("build", APP)


def test_an_environment_in_which_nothing_is_asked_for_is_no_warning(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: []")
    assert "warning" not in workspace.run("build", APP).err
