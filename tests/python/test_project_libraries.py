"""Projects of the workspace that environments install: versions that git would tell, extras, and what they need."""

import os
import tomllib
from typing import Any

import pytest

from tests.support.space import APP, Space

BACK = """\
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    version = {version}
    name, info = f"{name}-{{version}}-py3-none-any.whl", f"{name}-{{version}}.dist-info"
    metadata = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {{version}}\\n{requires}"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("{name}.py", "flavour = " + repr(os.environ.get("FLAVOUR")))
        archive.writestr(f"{{info}}/METADATA", metadata)
        archive.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{{info}}/RECORD", "")
    return name
"""
ASKS = 'os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION") or exit("unable to detect version for this: no git")'
PROJECT = """\
[project]
name = "{name}"
{version}
[project.optional-dependencies]
more = ["extra"]
[build-system]
requires = []
build-backend = "back"
backend-path = ["."]
[tool.uv.sources]
below = {{path = "../below"}}
"""


def lay(space: Space, name: str, *, version: str = "", requires: str = "", dynamic: str = "", back: str = ASKS) -> None:
    """A project in libs/NAME, whose version is written, or else what its back end says."""
    said = f'version = "{version}"' if version else f'dynamic = ["version"{dynamic}]'
    said += f"\ndependencies = [{requires!r}]" if requires and not dynamic else ""
    space.write(f"libs/{name}/pyproject.toml", PROJECT.format(name=name, version=said))
    needs = "".join(f"Requires-Dist: {one}\\n" for one in [requires] if one)
    needs += "Provides-Extra: more\\nRequires-Dist: extra; extra == 'more'\\n"
    text = BACK.format(name=name, version=repr(version) if version else back, requires=needs)
    space.write(f"libs/{name}/back.py", text)


def libraries(space: Space, text: str, named: str) -> None:
    space.write("libs/BUILD.yaml", "targets:\n" + text)
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]", f"requirements: [numlib==1.0]\n    libraries: [{named}]")


def lock(space: Space) -> dict[str, Any]:
    packages = tomllib.loads(space.path("pylock.env-linux-amd64.toml").read_text())["packages"]
    return {one["name"]: one for one in packages}


def origins(space: Space) -> set[str]:
    return {layer["origin"] for layer in space.build().targets[APP]["layers"]}


@pytest.mark.parametrize(("dynamic", "verb"), [("", "build"), (', "dependencies"', "lock")])  # which asks the back end
def test_a16_a_version_that_git_would_tell_is_declared(workspace: Space, dynamic: str, verb: str) -> None:
    lay(workspace, "scm", dynamic=dynamic)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./libs/scm]")
    said = workspace.run(verb, "//:env", code=1).said(
        "the version of 'scm' is to come from its repository, and a build sees none",
        "make the project a python_library with `project` and `version`",
        "name that in `libraries`",
    )
    assert str(workspace.store) not in said.err
    workspace.edit("BUILD.yaml", ", ./libs/scm]", "]")
    libraries(workspace, '  scm: {rule: python_library, project: scm, version: "1.4.0"}\n', "//libs:scm")
    workspace.run("lock", "//:env")
    entry = lock(workspace)["scm"]
    assert entry["version"] == "1.4.0"
    assert entry["tool"]["buildrules"]["variables"]["SETUPTOOLS_SCM_PRETEND_VERSION"] == "1.4.0"
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, ./libs/scm]")  # named twice it is once there
    workspace.edit("libs/BUILD.yaml", "1.4.0", "1.5.0")
    workspace.run("lock", "--check", "//:env", code=1).said("the requirements have changed")
    report = workspace.build("//:env")
    assert "scm 1.5.0" in {layer["origin"] for layer in report.targets["//:env"]["layers"]}
    assert workspace.clean_build("//:env", options=["--locked"]).digests == report.digests


def test_a16_variables_reach_the_back_end_and_its_key(workspace: Space) -> None:
    lay(workspace, "scm", version="1.0")
    libraries(workspace, "  scm: {rule: python_library, project: scm, variables: {FLAVOUR: plain}}\n", "//libs:scm")
    first = workspace.build()
    assert workspace.build(env={"FLAVOUR": "of the machine"}).digest == first.digest
    workspace.edit("libs/BUILD.yaml", "plain", "other")
    assert workspace.build().digest != first.digest
    workspace.edit("libs/BUILD.yaml", "other", "plain")
    assert workspace.build().digest == first.digest


@pytest.mark.parametrize(
    ("library", "code", "said"),
    [
        ('version: "2.0"', 1, "'scm' was built as version 1.0, and its python_library says 2.0"),
        ('version: "2.0.x"', 2, "'2.0.x' is not a version"),
        ("variables: {API_TOKEN: x}", 2, "'API_TOKEN' seems to be a secret"),
        ("variables: {UV_INDEX: x}", 2, "'UV_INDEX' is no variable that a build back end can be given"),
        ('import_as: scm, version: "1"', 2, "'import_as' has no effect without 'srcs'"),
        ('srcs: ["**"]', 2, "only one of 'srcs' and 'project' can be given"),
    ],
)
def test_a16_what_cannot_be_declared(workspace: Space, library: str, code: int, said: str) -> None:
    lay(workspace, "scm", version="1.0")
    libraries(workspace, f"  scm: {{rule: python_library, project: scm, {library}}}\n", "//libs:scm")
    workspace.run("build", APP, code=code).said(said)


def test_a16_a_version_that_nobody_knows_is_an_error(workspace: Space) -> None:
    """Versioneer says 0+unknown without a repository, and reads the version off the folder's name."""
    read = 'os.path.basename(os.getcwd()).partition("scm-")[2] or "0+unknown"'
    lay(workspace, "scm", back=read)
    libraries(workspace, "  scm: {rule: python_library, project: scm}\n", "//libs:scm")
    workspace.run("build", APP, code=1).said("the version of 'scm' is to come from its repository")
    workspace.edit("libs/BUILD.yaml", "project: scm", 'project: scm, version: "1.4.0"')
    assert "scm 1.4.0" in origins(workspace)


def test_a16_a_project_that_another_needs_by_path(workspace: Space) -> None:
    """Its declaration comes along by `deps`, and both are resolved with it."""
    lay(workspace, "below")
    lay(workspace, "above", version="3.0", requires="below>=2")
    text = '  above: {rule: python_library, project: above, deps: [":below"]}\n'
    text += '  below: {rule: python_library, project: below, version: "2.1"}\n'
    libraries(workspace, text, "//libs:above")
    assert {"above", "below 2.1"} <= origins(workspace)
    assert workspace.run("query", "rdeps(//..., //libs:below)").said("//:env", APP)


def test_a_project_brings_its_requirements_and_extras_to_all_who_use_it(workspace: Space) -> None:
    lay(workspace, "common", version="1.0", requires="numlib")
    text = "  common: {rule: python_library, project: common}\n"
    text += "  more: {rule: python_library, project: common, extras: [more]}\n"
    libraries(workspace, text, "//libs:common")
    other = "  env2: {rule: python_env, base: :base, libraries: [//libs:more]}\n".replace(":base", '":base"', 1)
    workspace.append("BUILD.yaml", other.replace("[//libs:more]", '["//libs:more"]'))
    report = workspace.build(APP, "//:env2")
    assert "extra" not in lock(workspace)
    text = workspace.path("pylock.env2-linux-amd64.toml").read_text()
    assert 'name = "extra"' in text and 'name = "numlib"' in text
    assert report.layer("common")["digest"] == report.layer("common", "//:env2")["digest"]
    workspace.append("libs/common/back.py", "# edited\n")
    assert workspace.build(APP, "//:env2").executed > 0


def test_a_project_is_installed_and_files_are_code(workspace: Space) -> None:
    """Each is refused where the other belongs, with the way out, which is followed here."""
    lay(workspace, "common", version="1.0")
    workspace.write("libs/dates.py", "day = 1\n")
    text = "  common: {rule: python_library, project: common}\n  dates: {rule: python_library, srcs: [dates.py]}\n"
    libraries(workspace, text, "//libs:dates")
    workspace.run("build", APP, code=2).said("//libs:dates is made of files", 'write `code: ["//libs:dates"]`')
    workspace.edit("BUILD.yaml", "    libraries: [//libs:dates]\n", "")
    workspace.edit("BUILD.yaml", "code: :code", 'code: [":code", "//libs:common"]')
    workspace.run("build", APP, code=2).said(
        "//libs:common is a project", 'write `libraries: ["//libs:common"]` on //:env, and leave it out here'
    )
    workspace.edit("BUILD.yaml", 'code: [":code", "//libs:common"]', 'code: [":code", "//libs:dates"]')
    workspace.edit("libs/BUILD.yaml", "srcs: [dates.py]", 'srcs: [dates.py], deps: [":common"]')
    workspace.run("build", APP, code=2).said(
        "//libs:common is a project", 'write `libraries: ["//libs:common"]` on //:env'
    )
    workspace.edit("BUILD.yaml", "[numlib==1.0]", '[numlib==1.0]\n    libraries: ["//libs:common"]')
    assert {"common", "library dates"} <= origins(workspace)


REAL = {
    "setuptools-scm": (
        'requires = ["setuptools>=64", "setuptools-scm>=8"]\nbuild-backend = "setuptools.build_meta"',
        "[tool.setuptools_scm]\n[tool.setuptools]\npackages = ['pkg']\n",
    ),
    "hatch-vcs": (
        'requires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"',
        '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.targets.wheel]\npackages = ["pkg"]\n',
    ),
}


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a16_with_real_back_ends(workspace: Space, name: str) -> None:
    """setuptools-scm and hatch-vcs, from the registry: what is missing is told, what is declared taken."""
    del workspace.env["UV_FIND_LINKS"]
    (workspace.folder / "uv.toml").write_text("")
    workspace.env |= {one: text for one, text in os.environ.items() if one.lower().endswith(("_proxy", "_cert_file"))}
    system, tool = REAL[name]
    text = f'[build-system]\n{system}\n[project]\nname = "lib-{name}"\ndynamic = ["version"]\n{tool}'
    workspace.write("libs/real/pyproject.toml", text)
    workspace.write("libs/real/pkg/__init__.py", "")
    build, _, _ = workspace.path("BUILD.yaml").read_text().partition("  env:\n")
    workspace.write("BUILD.yaml", build + '  env: {rule: python_env, base: ":base", libraries: ["//libs:lib"]}\n')
    workspace.write("libs/BUILD.yaml", "targets:\n  lib: {rule: python_library, project: real}\n")
    workspace.run("build", "//:env", code=1).said(f"the version of 'lib-{name}' is to come from its repository")
    workspace.edit("libs/BUILD.yaml", "project: real", 'project: real, version: "1.4.0"')
    layers = workspace.build("//:env").targets["//:env"]["layers"]
    assert f"lib-{name} 1.4.0" in {layer["origin"] for layer in layers}
