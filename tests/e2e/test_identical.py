"""The same files give the same bytes: in any directory, for any user, under any settings of the host."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.quick import first_quick
from tests.support.space import APP, Report, Space

CAPS = "+dac_override,+dac_read_search"
MakeSpace = Callable[..., Space]

HOSTS: dict[str, Mapping[str, str]] = {
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "hash seed": {"PYTHONHASHSEED": "4711"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "other locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "another home": {"HOME": "/nonexistent"},
    "python settings": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "ignore"},
    "inside another environment": {"VIRTUAL_ENV": "/somewhere/venv", "CONDA_PREFIX": "/somewhere/conda"},
}


def report(space: Space, **more: object) -> Report:
    import json

    return Report(json.loads(space.process("build", "//...", "--json", **more).out))


def layout_of(space: Space, name: str = "out") -> dict[str, bytes]:
    """The exported image, every byte of it."""
    folder = space.folder / name
    space.run("export", APP, "-o", str(folder))
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def expected(new_space: MakeSpace) -> dict[str, str | None]:
    return new_space("reference").build("//...").digests


@pytest.mark.parametrize("host", first_quick(HOSTS.values()), ids=HOSTS)
def test_the_host_does_not_matter(workspace: Space, expected: dict[str, str | None], host: Mapping[str, str]) -> None:
    assert report(workspace, env=host).digests == expected


@pytest.mark.parametrize("umask", first_quick([0o000, 0o077, 0o027]))
def test_the_umask_does_not_matter(workspace: Space, expected: dict[str, str | None], umask: int) -> None:
    assert report(workspace, umask=umask).digests == expected


def test_modes_of_files_do_not_matter_beyond_the_executable_bit(
    workspace: Space, expected: dict[str, str | None]
) -> None:
    for path in workspace.root.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert workspace.build("//...").digests == expected


def test_times_of_files_do_not_matter(workspace: Space, expected: dict[str, str | None]) -> None:
    for path in workspace.root.rglob("*"):
        os.utime(path, (1, 1))
    assert workspace.build("//...").digests == expected


def test_the_order_files_were_written_in_does_not_matter(new_space: MakeSpace, expected: dict[str, str | None]) -> None:
    space = new_space()
    aside = space.folder / "aside"
    space.root.rename(aside)
    for path in sorted(aside.rglob("*"), reverse=True):
        if path.is_file():
            space.write(str(path.relative_to(aside)), path.read_bytes())
    assert space.build("//...").digests == expected


def test_the_directory_does_not_matter(workspace: Space, expected: dict[str, str | None]) -> None:
    for name in ("a place with spaces", "ort-mit-\u00e4", "deep/" * 20 + "down"):
        target = workspace.folder / name
        shutil.copytree(workspace.root, target)
        here, workspace.root = workspace.root, target
        assert workspace.clean_build("//...").digests == expected
        assert workspace.build("//...").digests == expected
        workspace.root = here


def test_a_workspace_reached_by_a_link(workspace: Space, expected: dict[str, str | None]) -> None:
    link = workspace.folder / "link"
    link.symlink_to(workspace.root)
    workspace.root = link
    assert workspace.build("//...").digests == expected


def test_jobs_do_not_matter(workspace: Space, expected: dict[str, str | None]) -> None:
    assert workspace.clean_build("//...", options=["-j", "1"]).digests == expected
    assert workspace.clean_build("//...", options=["-j", "16"]).digests == expected


def test_a_warm_store_of_another_workspace_gives_the_same_without_running_anything(new_space: MakeSpace) -> None:
    first, second = new_space("first"), new_space("second")
    expected = first.build("//...").digests
    second.env["BUILDRULES_CACHE_DIR"] = str(first.store)
    again = second.build("//...")
    assert again.digests == expected
    assert again.executed == 0
    assert again.data["bytes"]["fetched"] == 0


def test_exports_are_the_same_byte_for_byte(new_space: MakeSpace) -> None:
    first, second = new_space("first"), new_space("second")
    assert layout_of(first) == layout_of(second)


def test_locks_are_the_same_byte_for_byte(new_space: MakeSpace) -> None:
    first, second = new_space("first", locked=False), new_space("second", locked=False)
    first.run("lock")
    second.run("lock", env={"TZ": "Asia/Tokyo", "LC_ALL": "C"})
    assert first.tree() == second.tree()


def test_source_date_epoch_is_the_only_time_in_an_image(workspace: Space, expected: dict[str, str | None]) -> None:
    dated = workspace.build("//...", env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert dated.digests[APP] != expected[APP]
    assert dated.built == set() or dated.executed > 1
    assert workspace.build("//...").digests == expected


@pytest.fixture
def nobody(workspace: Space) -> Sequence[str]:
    """What to put before a command so that another user runs it; the workspace is opened for everyone."""
    if os.getuid():
        assert not os.environ.get("CI"), "CI runs as root"
        pytest.skip("only root can become somebody else")
    for path in [workspace.folder, *workspace.folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    # the capability lets the other user reach an interpreter that lies in root's home
    return [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        f"--inh-caps={CAPS}",
        f"--ambient-caps={CAPS}",
    ]


def test_the_user_does_not_matter(workspace: Space, expected: dict[str, str | None], nobody: Sequence[str]) -> None:
    assert report(workspace, prefix=nobody).digests == expected
    assert all(path.stat().st_uid == 65534 for path in workspace.store.rglob("*"))


REAL = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.xdist_group("examples")
def test_the_real_examples_are_the_same_in_two_places(tmp_path: Path, examples_store: Path) -> None:
    """Two directories and two stores; the second, an empty one, with another umask, locale, time zone and hash seed."""
    digests = []
    for number, host in enumerate(({}, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "99"})):
        folder = tmp_path / f"{'x' * number}workspace"
        shutil.copytree(REAL, folder, ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(
            [sys.executable, "-m", "buildrules", "build", "//...", "--json", "--locked"],
            cwd=folder,
            env={
                **os.environ,
                **host,
                "PYTHONPATH": str(REAL.parent),
                "BUILDRULES_CACHE_DIR": str(tmp_path / "store" if number else examples_store),
            },
            umask=0o077 if number else 0o022,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        import json

        digests.append(Report(json.loads(done.stdout)).digests)
    assert digests[0] == digests[1]
    assert len(digests[0]) == 9
