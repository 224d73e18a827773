"""A file of another kind than the attribute takes is said to be that, with the attribute that takes it."""

from pathlib import Path

import pytest

from buildrules.errors import LoadError, Position
from buildrules.locking.python.requirements import collect

CONDA = "name: x\ndependencies:\n  - python=3.11\n  - idna\n"
PROJECT = '[project]\nname = "a"\nversion = "1"\ndependencies = ["idna"]\n'
EXPLICIT = "# platform: linux-64\n@EXPLICIT\nhttps://conda.example/linux-64/python-3.11.4-h1.conda#abc\n"
EXPORTED = "# platform: linux-64\nidna=3.10=pyhd8ed1ab_0\n"
CONDA_LOCK = "version: 1\nmetadata: {}\npackage:\n- name: idna\n  version: '3.10'\n  manager: conda\n"


@pytest.mark.parametrize(
    ("attribute", "name", "text", "what", "hint"),
    [
        ("requirements_file", "environment.yml", CONDA, "a conda file", "`conda_file`"),
        ("requirements_file", "deps.txt", "dependencies: [idna]\n", "a conda file", "`conda_file`"),
        ("requirements_file", "pyproject.toml", PROJECT, "the description of a project", "`pyproject`"),
        ("requirements_file", "uv.lock", "version = 1\n", "a lock of another tool", "`pyproject`"),
        ("requirements_file", "pylock.dev.toml", 'lock-version = "1.0"\n', "a lock of another tool", "`pyproject`"),
        ("requirements_file", "Pipfile", '[packages]\nidna = "*"\n', "a file of pipenv", "`pipenv requirements`"),
        ("requirements_file", "setup.py", "import setuptools\n", "part of a project", "`requirements`: ./lib"),
        ("requirements_file", "packages.txt", EXPORTED, "a list of conda's builds", "--from-history"),
        ("conda_file", "requirements.txt", "idna\n", "requirements", "`requirements_file`"),
        ("conda_file", "linux.txt", EXPLICIT, "a list of conda's builds", "--from-history"),
        ("conda_file", "conda-lock.yml", CONDA_LOCK, "a lock of conda", "--from-history"),
        ("conda_file", "pyproject.toml", PROJECT, "the description of a project", "`pyproject`"),
        ("pyproject", "Pipfile.lock", "{}\n", "a file of pipenv", "`pipenv requirements`"),
        ("pyproject", "setup.cfg", "[options]\n", "part of a project", "`requirements`: ./lib"),
        ("pyproject", "requirements.txt", "idna\n", "requirements", "`requirements_file`"),
        ("pyproject", "environment.yml", CONDA, "a conda file", "`conda_file`"),
    ],
)
def test_a17_a_file_of_another_kind(root: Path, attribute: str, name: str, text: str, what: str, hint: str) -> None:
    (root / "lib").mkdir()
    (root / "lib" / name).write_text(text)
    with pytest.raises(LoadError) as caught:
        collect(str(root), "", place=lambda *_: Position("BUILD.yaml", 6, 9), **{attribute: f"lib/{name}"})
    assert caught.value.message.startswith(f"'lib/{name}' is {what}, not ")
    assert hint in (caught.value.hint or "")
    assert str(caught.value.position) == "BUILD.yaml:6:9"


def test_a17_the_ways_out_work(root: Path) -> None:
    (root / "lib").mkdir()
    for name, text in {"environment.yml": CONDA, "pyproject.toml": PROJECT, "r.txt": "idna\n"}.items():
        (root / "lib" / name).write_text(text)
    for given in (
        {"conda_file": "lib/environment.yml"},
        {"pyproject": "lib/pyproject.toml"},
        {"requirements_file": "lib/r.txt"},
    ):
        assert [item.text for item in collect(str(root), "", **given).items] == ["idna"]
    assert [item.text for item in collect(str(root), "", requirements=["./lib"]).items] == ["lib"]


@pytest.mark.parametrize("line", ['requires-python=">=3.11"', "requires-python='>=3.11'", 'readme="a=b=c"'])
def test_a_project_without_spaces_is_no_list_of_builds(root: Path, line: str) -> None:
    (root / "r.md").write_text("")
    text = f'[project]\nname="a"\nversion="1"\n{line}\ndependencies=["idna"]\n'
    (root / "pyproject.toml").write_text(text.replace("a=b=c", "r.md") + '[tool.x]\ntext="""\na=b=c\n"""\n')
    assert [item.text for item in collect(str(root), "", pyproject="pyproject.toml").items] == ["idna"]


@pytest.mark.parametrize(
    "text",
    [
        "# dependencies:\nidna\n",
        "# platform: linux-64\nidna==3.10  # [project]\n",
        "idna\n  # package:\n",
        "dependencies\n",
        "package\nplatform\n",
    ],
)
def test_requirements_stay_requirements(root: Path, text: str) -> None:
    (root / "r").write_text(text)
    assert collect(str(root), "", requirements_file="r").items


def test_a17_a_file_of_requirements_in_a_list_of_them(root: Path) -> None:
    (root / "r.txt").write_text("idna\n")
    with pytest.raises(LoadError, match=r"'r\.txt' is a file of requirements") as caught:
        collect(str(root), "", requirements=["r.txt"])
    assert "`requirements_file`" in (caught.value.hint or "")
    assert [item.text for item in collect(str(root), "", requirements=["zope.in"]).items] == ["zope.in"]
