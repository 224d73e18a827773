"""What tools leave in the folders of projects and libraries is neither packaged nor looked at (row A17)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import Space

BACK = """
import base64, hashlib, os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    found = {}
    for folder, _, names in os.walk("."):
        for name in names if not folder.endswith("__pycache__") else ():
            path = os.path.relpath(os.path.join(folder, name))
            found["common_files/" + path] = open(path, "rb").read()
    found["common-1.0.dist-info/METADATA"] = b"Metadata-Version: 2.1\\nName: common\\nVersion: 1.0\\n"
    found["common-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    found["common-1.0.dist-info/RECORD"] = "".join(f"{name},,\\n" for name in found).encode()
    with zipfile.ZipFile(os.path.join(wheel_directory, "common-1.0-py3-none-any.whl"), "w") as archive:
        for name in sorted(found):
            archive.writestr(zipfile.ZipInfo(name), found[name])
    return "common-1.0-py3-none-any.whl"
"""
PROJECT = (
    '[project]\nname = "common"\nversion = "1.0"\n[build-system]\nrequires = []\nbuild-backend = "back"\n'
    'backend-path = ["."]\n'
)
DYNAMIC = PROJECT.replace('version = "1.0"\n', 'version = "1.0"\ndynamic = ["dependencies"]\n')


@pytest.fixture
def project(new_space: Callable[..., Space]) -> Space:
    """A local project of an environment, and a library of the package's code."""
    space = new_space(locked=False)
    for path, text in (("pyproject.toml", PROJECT), ("back.py", BACK), ("common.py", "answer = 42\n")):
        space.write(f"libs/common/{path}", text)
    space.write("libs/BUILD.yaml", 'targets:\n  shared: {rule: python_library, srcs: ["shared/**"]}\n')
    space.write("libs/shared/rows.py", "rows = 1\n")
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: [numlib==1.0, ./libs/common]")
    space.edit("BUILD.yaml", "code: :code\n", 'code: [":code", "//libs:shared"]\n')
    return space


def make_venv(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "bin/python").symlink_to("/usr/bin/python3")
    (folder / "lib/python3.11/site-packages/idna").mkdir(parents=True)
    (folder / "lib/python3.11/site-packages/idna/core.py").write_text("x = 1\n")


@pytest.mark.parametrize("text", [PROJECT, DYNAMIC], ids=["static", "dynamic"])
def test_a17_what_tools_leave_changes_nothing(project: Space, text: str) -> None:
    project.write("libs/common/pyproject.toml", text)
    before = project.build()
    for place in (
        "libs/common/venv",
        "libs/common/.venv",
        "libs/common/tools/env-3.11",
        "libs/shared/venv",
        "src/venv",
    ):
        make_venv(project.path(place))
    for path in (
        "libs/common/node_modules/x/index.js",
        "libs/common/common.egg-info/SOURCES.txt",
        "libs/common/build/lib/common.py",
        "libs/common/build/lib/gone.py",
        "libs/common/build/lib.linux-x86_64-cpython-311/gone.so",
        "libs/common/build/bdist.linux-x86_64/x.txt",
        "libs/common/dist/common-1.0-py3-none-any.whl",
        "libs/common/dist/common-1.0.tar.gz",
        "libs/common/.tox/log/1.log",
        "libs/common/.mypy_cache/x.json",
        "libs/common/__pycache__/common.cpython-311.pyc",
    ):
        project.write(path, "left")
    assert project.run("lock", "--check").code == 0
    after = project.build(options=["--locked"])
    assert (after.digest, after.executed) == (before.digest, 0)
    assert before.digest in project.clean_run("build", "//:app", "--locked", "--json").out


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("build/steps.py", ("build/__init__.py",)),
        ("build/steps.py", ()),
        ("build/lib/steps.py", ("build/__init__.py", "build/lib/__init__.py")),
        ("build/Dockerfile", ("build/lib/left.py",)),
        ("dist/index.js", ("dist/common-1.0-py3-none-any.whl",)),
        ("venv/__init__.py", ()),
        ("env/rooms.py", ("env/__init__.py",)),
    ],
)
def test_a17_what_is_source_counts_whatever_it_is_called(project: Space, path: str, more: tuple[str, ...]) -> None:
    for name in more:
        project.write(f"libs/common/{name}", "")
    project.write(f"libs/common/{path}", "step = 1\n")
    first = project.build("//:env")
    project.write(f"libs/common/{path}", "step = 2\n")
    second = project.build("//:env")
    assert any(origin.startswith("common") for origin in second.built), second.built
    assert first.digests != second.digests


def test_a17_a_folder_that_becomes_a_build_tree_is_seen(project: Space) -> None:
    before = project.build("//:env")
    project.write("libs/common/build/CMakeFiles/x.o", "left")
    assert project.build("//:env").digests != before.digests
    project.write("libs/common/build/CMakeCache.txt", "left")
    assert project.build("//:env").digests == before.digests


def test_a17_a_virtual_environment_that_is_named_is_packaged(new_space: Callable[..., Space]) -> None:
    space = new_space()
    before = space.build()
    space.write("src/venv/pyvenv.cfg", "home = /usr/bin\n")
    space.write("src/venv/data.txt", "1")
    assert space.build().digest == before.digest
    space.edit("BUILD.yaml", 'srcs: ["src/**"]', 'srcs: ["src/**", "src/venv/**"]')
    assert space.build().built == {"code code"}
