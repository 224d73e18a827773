"""What is read of pyproject.toml: sources, pins and what other tools wrote; nothing in silence."""

import re
import subprocess
from pathlib import Path

import pytest

from buildrules.actions.python.uv_settings import CHOOSING, CHOOSING_VARIABLES, PASSED_VARIABLES
from buildrules.actions.python.uvtool import uv_binary
from buildrules.errors import LoadError, ResolutionError
from buildrules.locking.python import formats
from buildrules.locking.python.conda import check_python
from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock
from buildrules.net.session import Session

from .conftest import AMD64, Index, make_wheel
from .test_projects import READS, lay, static


def request(root: Path, folder: str = ""):  # type: ignore[no-untyped-def]
    from buildrules.locking.python.request import EnvironmentRequest

    found = collect(str(root), folder, pyproject=folder or ".")
    return EnvironmentRequest("env", str(root), folder, AMD64, found)


def fails(root: Path, text: str, folder: str = "app", **files: str) -> LoadError:
    lay(root / folder, text, **files)
    with pytest.raises(LoadError) as caught:
        collect(str(root), folder, pyproject=folder)
    return caught.value


@pytest.mark.parametrize(
    ("source", "top"),
    [
        ('{path = "../six"}', ""),
        ('[{path = "../six", marker = "sys_platform == \'linux\'"}]', ""),
        ("{workspace = true}", '[tool.uv.workspace]\nmembers = ["six", "app"]\n'),
        ("", '[tool.uv.workspace]\nmembers = ["six", "app"]\n[tool.uv.sources]\nsix = {path = "six"}\n'),
    ],
)
def test_a2_sources_say_where_a_dependency_comes_from(feed: Index, root: Path, source: str, top: str) -> None:
    feed.add("six", "9.0")
    lay(root / "six", static("six"), back_py=READS)
    if top:
        (root / "pyproject.toml").write_text(top)
    lay(root / "app", static("app", '"six[fast]>=1"', f"[tool.uv.sources]\nsix = {source}\n" if source else ""))
    (package,) = make_lock(request(root, "app"), Session()).packages
    assert (package.name, package.directory) == ("six", "six")


def test_a2_a_wheel_and_an_address_as_source(feed: Index, root: Path) -> None:
    feed.add("six", "9.0")
    filename, data = make_wheel("six", "1.0")
    lay(root / "app", static("app", '"six"', f'[tool.uv.sources]\nsix = {{path = "../{filename}"}}\n'))
    (root / filename).write_bytes(data)
    assert make_lock(request(root, "app"), Session()).versions() == {"six": "1.0"}
    address = feed.file_url(feed.add("six", "2.0"))
    lay(root / "app", static("app", '"six"', f'[tool.uv.sources]\nsix = {{url = "{address}"}}\n'))
    assert make_lock(request(root, "app"), Session()).versions() == {"six": "2.0"}


def test_a2_a_source_does_not_lift_a_limit(feed: Index, root: Path) -> None:
    lay(root / "six", static("six"), back_py=READS)
    lay(root / "app", static("app", '"six>=2"', '[tool.uv.sources]\nsix = {path = "../six"}\n'))
    with pytest.raises(ResolutionError):
        make_lock(request(root, "app"), Session())


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            '{git = "https://github.com/a/six", rev = "abc"}',
            "is a repository",
            "six @ https://github.com/a/six/archive/abc.tar.gz",
        ),
        ("{workspace = true}", "no such member", "members of"),
        ('{path = "../../six"}', "leaves the workspace", "copy it"),
        ('{path = "../other"}', "asked for, and 'other' is 'other'", ""),
        ('{index = "internal"}', "there is no index 'internal'", "workspace.connections"),
        ("{}", "says no path", ""),
    ],
)
def test_a2_a_source_that_cannot_be_taken(root: Path, source: str, message: str, hint: str) -> None:
    lay(root / "other", static("other"))
    error = fails(root, static("app", '"six"', f"[tool.uv.sources]\nsix = {source}\n"))
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.position is not None and error.position.line > 1


def test_a2_settings_of_uv_that_are_read_and_that_are_not(root: Path) -> None:
    table = '[tool.uv]\nconstraint-dependencies = ["aa<2"]\nexclude-dependencies = ["bb"]\nnew-key = 1\n'
    lay(root / "app", static("app", '"aa"', table + 'prerelease = "allow"\n'))
    found = collect(str(root), "app", pyproject="app/pyproject.toml")
    assert ([item.text for item in found.constraints], found.exclude, found.prerelease) == (["aa<2"], ["bb"], True)
    assert found.notes == ["app/pyproject.toml: [tool.uv] new-key is not known, and left out"]
    for line in (
        'override-dependencies = ["aa==1"]',
        'resolution = "lowest"',
        'exclude-newer = "2020-01-01T00:00:00Z"',
    ):
        error = fails(root, static("app", '"aa"', f"[tool.uv]\n{line}\n"))
        assert line.split()[0] in error.message and "uv.toml" in (error.hint or "")


def test_a2_settings_of_a_uv_workspace_hold_for_its_members(root: Path) -> None:
    lay(root / "py", '[tool.uv]\nconstraint-dependencies = ["aa<2"]\n[tool.uv.workspace]\nmembers = ["*"]\n')
    lay(root / "py/app", static("app", '"aa"'))
    found = collect(str(root), "", pyproject="py/app")
    assert [item.text for item in found.constraints] == ["aa<2"]
    assert "py/uv.toml" in found.files
    lay(root / "py", '[tool.uv]\nresolution = "lowest"\n[tool.uv.workspace]\nmembers = ["*"]\n')
    with pytest.raises(LoadError, match=r"'resolution' of \[tool\.uv\] is not taken from here") as caught:
        collect(str(root), "", pyproject="py/app")
    assert str(caught.value.position) == "py/pyproject.toml:2:1"


def test_a2_a_uv_toml_beside_a_project_counts_instead_of_its_table(root: Path) -> None:
    lay(root / "app", static("app", '"aa"', '[tool.uv]\nconstraint-dependencies = ["aa<3"]\n'))
    (root / "app/uv.toml").write_text('constraint-dependencies = ["aa<2"]\nnew-key = 1\n')
    found = collect(str(root), "", pyproject="app")
    assert [item.text for item in found.constraints] == ["aa<2"]
    assert found.notes == ["app/uv.toml: new-key is not known, and left out"]
    (root / "app/uv.toml").write_text("\n[pip]\nno-deps = true\n")
    with pytest.raises(LoadError, match="'pip' is not taken from here") as caught:
        collect(str(root), "", pyproject="app")
    assert str(caught.value.position) == "app/uv.toml:2:2"


def test_a2_dev_dependencies_of_uv_are_in_the_group(root: Path) -> None:
    groups = '[dependency-groups]\ndev = ["bb"]\n[tool.uv]\ndev-dependencies = ["cc"]\n'
    lay(root / "app", static("app", '"aa"', groups))
    found = collect(str(root), "", pyproject="app", groups=("dev",))
    assert [item.text for item in found.items] == ["bb", "cc"]


@pytest.mark.parametrize("table", ["tool.pdm.resolution", "tool.rye.sources", "tool.pixi.pypi-options"])
def test_a2_what_other_tools_choose_versions_by_is_said(root: Path, table: str) -> None:
    lay(root / "app", static("app", '"aa"', f"[{table}]\nx = 1\n"))
    assert collect(str(root), "", pyproject="app").notes == [f"app/pyproject.toml: [{table}] is not read"]


def test_a2_settings_at_the_root_are_read_by_uv_and_are_part_of_the_lock(feed: Index, root: Path) -> None:
    feed.add("aa", "1.0")
    feed.add("aa", "2.0")
    lay(root, static("app", '"aa"'))
    before = request(root).digest()
    assert make_lock(request(root), Session()).versions() == {"aa": "2.0"}
    lay(root, static("app", '"aa"', '[tool.uv]\nresolution = "lowest"\n'))
    assert request(root).digest() != before
    assert make_lock(request(root), Session()).versions() == {"aa": "1.0"}


@pytest.mark.parametrize(
    ("text", "files", "named"),
    [
        ('[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\npython = "^3.11"\nsix = "*"\n', {}, "tool.poetry.dep"),
        ("[build-system]\nrequires = ['setuptools']\n", {"setup_cfg": "[options]\n"}, "setup.cfg"),
        ("[build-system]\nrequires = ['setuptools']\n", {"setup_py": ""}, "setup.py"),
        ("[tool.pdm]\ndependencies = []\n", {}, "[tool.pdm.dependencies]"),
        ("[tool.flit.metadata]\nrequires = []\n", {}, "[tool.flit.metadata]"),
        ("[tool.ruff]\n", {}, "has no [project] table"),
    ],
)
def test_a4_a_file_without_dependencies_that_can_be_read(
    root: Path, text: str, files: dict[str, str], named: str
) -> None:
    error = fails(root, text, **files)
    assert named in error.message
    assert ("requirements: [./app]" in (error.hint or "")) == ("ruff" not in text)


def test_a4_the_way_out_works(feed: Index, root: Path) -> None:
    from buildrules.locking.python.request import EnvironmentRequest

    feed.add("aa", "1.0")
    lay(
        root / "app",
        static("x").partition("[build-system]")[1] + static("x").partition("[build-system]")[2],
        back_py=READS,
        data__asked_txt="aa\n",
        setup_cfg="[options]\n",
    )
    found = collect(str(root), "", requirements=["./app"])
    lock = make_lock(EnvironmentRequest("env", str(root), "app", AMD64, found), Session())
    assert lock.versions() == {"aa": "1.0", "dyn": ""}


def test_a4_tables_of_other_tools_beside_a_project(root: Path) -> None:
    error = fails(root, static("app", '"six"', '[tool.poetry.dependencies]\nsix = {path = "../six"}\n'))
    assert "[tool.poetry.dependencies] says where 'six' comes from" in error.message


@pytest.mark.parametrize(
    ("table", "noted"),
    [
        ('poetry.dependencies]\nsix = "1.15.0"', True),
        ('poetry.dependencies]\nsix = {version = "1.15.0", extras = ["x"]}', True),
        ('poetry.dependencies]\npython = "^3.9"\nsix = {extras = ["x"]}', False),
        ('pixi.dependencies]\npython = "3.11.*"\nnumpy = "*"', True),
        ('pixi.pypi-dependencies]\nnumpy = "*"', True),
        ('pixi.dependencies]\npython = "3.11.*"', False),
    ],
)
def test_a4_tables_that_ask_for_more_than_the_project(root: Path, table: str, noted: bool) -> None:
    lay(root, static("app", '"six"', f"[tool.{table}\n"))
    name = table.partition("]")[0]
    assert collect(str(root), "", pyproject="").notes == [f"pyproject.toml: [tool.{name}] is not read"] * noted


def test_a5_a_group_has_a_limit_of_its_own(root: Path) -> None:
    groups = '[dependency-groups]\nserve = ["six"]\nold = []\n[tool.uv.dependency-groups]\n'
    limit = 'serve = {requires-python = ">=3.12"}\nold = {requires-python = "<3.9"}\n'
    lay(root, static("app", "", groups + limit).replace("dependencies = []", 'requires-python = ">=3.10"'))
    check_python(collect(str(root), "", pyproject="").python, "3.11.2")
    pin = collect(str(root), "", pyproject="", groups=["serve"]).python
    check_python(pin, "3.12.4")
    with pytest.raises(ResolutionError, match=r"asks for Python >=3.10,>=3.12, and the base has Python 3.11.2"):
        check_python(pin, "3.11.2")


def test_a5_requires_python_is_a_pin(root: Path) -> None:
    lay(root, '[project]\nname = "a"\nrequires-python = ">=3.12,<3.13"\n')
    pin = collect(str(root), "", pyproject="pyproject.toml").python
    check_python(pin, "3.12.4")
    with pytest.raises(
        ResolutionError, match=r"the pyproject.toml asks for Python <3.13,>=3.12, and the base has"
    ) as e:
        check_python(pin, "3.11.2")
    assert str(e.value.position).startswith("pyproject.toml:3:")
    check_python(pin, "3.11.2", override="3.11")
    lay(root, '[project]\nname = "a"\nrequires-python = "new"\n')
    with pytest.raises(LoadError, match="is no version specifier"):
        collect(str(root), "", pyproject="pyproject.toml")


def test_every_setting_of_uv_has_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text("unheard-of = 1\n")
    command = [uv_binary(), "--config-file", str(tmp_path / "uv.toml"), "pip", "compile", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    known = set(re.findall(r"`([a-z-]+)`", said.partition("expected one of")[2]))
    assert len(known) > 50
    assert known == set(formats.UV)


def test_every_key_of_an_index_has_a_verdict(tmp_path: Path) -> None:
    """uv refuses a key that it knows where the value makes no sense, and passes over any other."""
    file, known = tmp_path / "uv.toml", set()
    for key in (*formats.INDEX, "unheard-of"):
        address = "" if key == "url" else "url = 'https://x.example/'\n"
        file.write_text(f"[[index]]\n{address}{key} = {{api = 1}}\n")
        command = [uv_binary(), "--config-file", str(file), "pip", "compile", "/dev/null"]
        known |= {key} if subprocess.run(command, capture_output=True, check=False).returncode else set()
    assert known == set(formats.INDEX)


@pytest.mark.parametrize("line", ['format = "flat"', 'exclude-newer = "2020-01-01"'])
def test_a2_an_index_that_cannot_be_taken_as_it_is(root: Path, line: str) -> None:
    table = f'[[tool.uv.index]]\nname = "mine"\nurl = "https://x.example/simple"\nexplicit = true\n{line}\n'
    error = fails(root, static("app", '"six"', f'[tool.uv.sources]\nsix = {{index = "mine"}}\n{table}'))
    assert error.message == f"{line.split(maxsplit=1)[0]!r} of the index 'mine' is not supported"
    assert str(error.position).startswith("app/pyproject.toml:15:")
    table = table.replace(line, 'format = "simple"\nfrob = 1')
    lay(root, static("app", '"six"', f'[tool.uv.sources]\nsix = {{index = "mine"}}\n{table}'))
    assert collect(str(root), "", pyproject="").notes == ["pyproject.toml:10:1: 'frob' of the index 'mine' is not read"]


def test_every_option_of_requirements_files_has_a_verdict() -> None:
    from pip._internal.req import req_file

    options = {make().get_opt_string() for make in (*req_file.SUPPORTED_OPTIONS, *req_file.SUPPORTED_OPTIONS_REQ)}
    assert options == set(formats.REQUIREMENTS)


def test_every_variable_of_the_resolver_has_a_verdict() -> None:
    said = subprocess.run([uv_binary(), "help", "pip", "compile"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"\[env: [`\"]?(UV_[A-Z_]+)", said))
    assert len(known) > 20
    hidden = {"UV_PROJECT", "UV_SYSTEM_PYTHON"}
    assert known - hidden <= CHOOSING_VARIABLES | PASSED_VARIABLES
    assert not CHOOSING_VARIABLES & PASSED_VARIABLES


def test_every_setting_that_is_not_harmless_chooses_or_says_where() -> None:
    where = formats.ELSEWHERE | {"index-strategy", "pip"}
    assert {name for name, verdict in formats.UV.items() if verdict != formats.HARMLESS} - where <= CHOOSING
