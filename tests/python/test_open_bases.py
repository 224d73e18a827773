"""An environment that names no base gets one by the Python that its files ask for."""

import shutil
from pathlib import Path

import pytest

from buildrules.actions.debian.locked import LockedPackage
from buildrules.authoring.release import ENDS, RELEASES, STANDALONE, DebianRelease, ended, python_for
from buildrules.engine.events import Event, Notice, Stream
from buildrules.errors import BuildrulesError, LoadError
from buildrules.locking.debian.lock import Lock, lock_name, write_lock
from buildrules.locking.debian.request import DebianRequest
from buildrules.net.session import Session
from buildrules.prepared import Prepared, prepare
from buildrules.rules.chain import LIBRARIES
from buildrules.store.store import Store
from tests.support.space import Space, wheel

ENV = "//:open"
CONDA = "dependencies:\n  - python={}\n  - pip:\n    - numlib==1.0\n"


def pin_debians(root: Path) -> None:
    """Locks that answer for every Debian that may be asked for: nobody needs to look at an archive."""
    for release in RELEASES:
        for packages, python in (((), True), (LIBRARIES, False)):
            request = DebianRequest("", release.suite, "amd64", tuple(packages), python)
            names = {"libc6": "2.36-9", **({f"python{release.minor}-minimal": f"{release.python}-1"} if python else {})}
            locked = [
                LockedPackage(name, version, "main", f"pool/{name}.deb", "0" * 64, 1) for name, version in names.items()
            ]
            name = lock_name(f"{release.suite}-{python}", "linux/amd64")
            write_lock(str(root / name), Lock(release.suite, "amd64", request.digest(), (), tuple(locked)))


@pytest.fixture
def space(workspace: Space) -> Space:
    workspace.append("BUILD.yaml", "  open: {rule: python_env, requirements: [numlib==1.0]}\n")
    pin_debians(workspace.root)
    return workspace


def settled(space: Space, *patterns: str, told: list[str] | None = None) -> Prepared:
    def listen(event: Event) -> None:
        if isinstance(event, Notice) and told is not None:
            told.append(event.message)

    with space.inside(".", {}):
        return prepare(str(space.root), "", list(patterns or [ENV]), {}, Store(), Stream(listen), Session())


def chosen(space: Space, env: str = ENV, told: list[str] | None = None) -> tuple[str, str, str]:
    """The rule of the base that was chosen, its Python, and why it has that."""
    (found,) = settled(space, env, told=told).locks.environments.values()
    base = found.base
    assert (
        base.target.label.package == "" and base.target.label.name == f"python@{'.'.join(base.python.split('.')[:2])}"
    )
    return base.target.rule.name, base.python, found.chosen


@pytest.mark.parametrize(
    ("specifier", "python"),
    [
        ("", "bookworm"),
        (">=3.9", "bookworm"),
        (">=3.12", "trixie"),
        ("==3.11.9", "bookworm"),  # the newest patch of a Debian
        ("==3.12.1.*", "3.12"),
        ("==3.12", "3.12"),
        ("==3.12.*", "3.12"),
        ("<3.11", "3.10"),
        (">=3.14", "3.15"),
        ("~=3.14.0", "3.14"),
        ("==3.7.*", None),
        (">=3.16", None),
    ],
)
def test_what_fits_a_specifier(specifier: str, python: str | None) -> None:
    found = python_for(specifier)
    assert (found.suite if isinstance(found, DebianRelease) else found) == python


def test_the_suite_of_the_workspace_comes_first() -> None:
    found = python_for(">=3.9", "trixie")
    assert isinstance(found, DebianRelease) and found.suite == "trixie"


def test_nothing_asks_for_a_python(space: Space) -> None:
    told: list[str] = []
    assert chosen(space, told=told) == ("debian_base", "3.11.2", "nothing asks for another")
    assert f"{ENV} gets Python 3.11.2: nothing asks for another" in told
    told.clear()
    chosen(space, told=told)
    assert not told, "it is said when the lock is made"


@pytest.mark.parametrize(
    ("asked", "rule", "python"),
    [("3.13", "debian_base", "3.13.5"), ("3.11.9", "debian_base", "3.11.2"), ("3.12", "python_standalone", "3.12.")],
)
def test_the_conda_file_chooses(space: Space, asked: str, rule: str, python: str) -> None:
    space.write("conda.yaml", CONDA.format(asked))
    space.edit(
        "BUILD.yaml", "{rule: python_env, requirements: [numlib==1.0]}", "{rule: python_env, conda_file: conda.yaml}"
    )
    found = chosen(space)
    assert found[0] == rule and found[1].startswith(python) and found[2] == f"the conda file asks for {asked}"


@pytest.mark.parametrize(("asked", "python"), [("3.12.4", "3.12."), ("==3.12.4", "3.12."), ("3.11.9", "3.11.2")])
def test_a_patch_release_in_the_targets_own_words_stands_for_its_minor_version(
    space: Space, asked: str, python: str
) -> None:
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]}", f'requirements: [numlib==1.0], python: "{asked}"}}')
    found = chosen(space)
    assert found[1].startswith(python) and found[2] == f"it asks for {asked}"


def test_a_conda_file_with_a_free_threaded_build_gets_one(space: Space) -> None:
    space.write("conda.yaml", CONDA.format("3.13=*_cp313t"))
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]}", "conda_file: conda.yaml}")
    (found,) = settled(space).locks.environments.values()
    assert found.base.target.rule.name == "python_standalone" and found.base.free_threaded
    assert (found.base.target.label.name, found.chosen) == ("python@3.13t", "the conda file asks for 3.13t")


def test_the_targets_own_words_ask_for_a_free_threaded_build(space: Space) -> None:
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]}", 'requirements: [numlib==1.0], python: "3.14.1t"}')
    (found,) = settled(space).locks.environments.values()
    assert (found.base.target.label.name, found.chosen) == ("python@3.14t", "it asks for 3.14.1t")
    assert found.lock.target.python_name == "3.14t"


def test_an_edit_of_the_conda_file_chooses_again(space: Space) -> None:
    space.write("conda.yaml", CONDA.format("3.11"))
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]}", "conda_file: conda.yaml}")
    assert chosen(space)[1] == "3.11.2"
    space.write("conda.yaml", CONDA.format("3.8"))
    told: list[str] = []
    assert chosen(space, told=told)[1].startswith("3.8.")
    assert any("since October 2024" in text for text in told), told


def test_pyproject_and_the_targets_own_word(space: Space) -> None:
    space.write("p/pyproject.toml", '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.12,<3.13"\n')
    space.write(
        "p/BUILD.yaml",
        "targets:\n  a: {rule: python_env, pyproject: pyproject.toml}\n"
        '  b: {rule: python_env, pyproject: pyproject.toml, python: "3.10"}\n',
    )
    rule, python, why = chosen(space, "//p:a")
    assert (rule, python[:5]) == ("python_standalone", "3.12.") and why == "the pyproject.toml asks for <3.13,>=3.12"
    rule, python, why = chosen(space, "//p:b")
    assert (rule, python[:5]) == ("python_standalone", "3.10.") and why == "it asks for 3.10"


def test_environments_of_one_python_share_a_base(space: Space) -> None:
    space.append("BUILD.yaml", "  other: {rule: python_env, requirements: [numlib==2.0]}\n")
    found = settled(space, ENV, "//:other").locks.environments.values()
    assert len({id(one.base) for one in found}) == 1
    assert (space.root / "debian.python@3.11-linux-amd64.lock").exists()


def test_there_is_no_such_python(space: Space) -> None:
    space.write("conda.yaml", CONDA.format("3.7"))
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]}", "conda_file: conda.yaml}")
    with pytest.raises(LoadError, match=r"asks for 3\.7, and there is no such Python: the oldest is 3\.8") as caught:
        chosen(space)
    assert str(caught.value.position).startswith("conda.yaml:2") and f'`python: "..."` on {ENV}' in str(
        caught.value.hint
    )
    space.edit("BUILD.yaml", "conda_file: conda.yaml}", 'conda_file: conda.yaml, python: "3.9"}')
    assert chosen(space)[1].startswith("3.9.")


MODEL = {
    "mlmodel/MLmodel": "flavors: {python_function: {loader_module: x, python_version: 3.12.4}}\n",
    "mlmodel/requirements.txt": "numlib==1.0\nmlflow-skinny\n",
}
PACKAGES = """\
  ml: {rule: model, path: mlmodel}
  alone: {rule: model_package, model: ":ml", server: ":server", code: ":code"}
  bare: {rule: model_package, model: ":m", server: ":server", code: ":code"}
"""


def test_a_package_of_an_mlflow_model_names_nothing(space: Space) -> None:
    for path, text in MODEL.items():
        space.write(path, text)
    links = shutil.copytree(space.wheels, space.folder / "links")
    for name in ("mlflow_skinny", "pandas", "numpy"):
        (links / f"{name}-3.1.0-py3-none-any.whl").write_bytes(wheel(name, "3.1.0")[1])
    space.env["UV_FIND_LINKS"] = str(links)
    space.append("BUILD.yaml", PACKAGES.rpartition("  bare")[0])
    (found,) = settled(space, "//:alone").locks.packages.values()
    assert found.env is not None and found.env.chosen == "the model was made with 3.12.4"
    assert found.base.target.rule.name == "python_standalone" and (found.base.python or "").startswith("3.12.")
    assert found.parts.base_part.user == "65532:65532" and found.parts.base_part.path == ["/opt/python/bin"]


def test_another_package_must_name_something(space: Space) -> None:
    space.append("BUILD.yaml", PACKAGES.splitlines(keepends=True)[-1])
    space.run("build", "//:bare", code=2).said("'//:bare' needs 'base_env'", "one MLflow model may leave it out")


def test_pythons_that_are_not_looked_after() -> None:
    from datetime import date

    assert set(STANDALONE) <= ENDS.keys() and list(ENDS.values()) == sorted(ENDS.values())
    assert ended("3.13", date(2026, 11, 30)) is None
    assert ended("3.99", date(2026, 11, 30)) is None
    assert ended("3.8", date(2024, 10, 7)) is None
    text = "Python 3.8 has had no fixes, not even of security holes, since October 2024; 3.11 is the oldest that has"
    assert ended("3.8", date(2026, 11, 30)) == text


GARBAGE = ("latest", "", " ", "3.x", "3.11.*", "==", "python3.11", ">=3.9,<x", "3.11 or later", "*")


@pytest.mark.parametrize("said", GARBAGE)
@pytest.mark.parametrize("base", ["", 'base: ":base", '])
def test_what_is_no_version_of_python(space: Space, said: str, base: str) -> None:
    made = "{rule: python_env, requirements: [numlib==1.0]}"
    space.edit("BUILD.yaml", made, f'{{rule: python_env, {base}requirements: [numlib==1.0], python: "{said}"}}')
    with pytest.raises(LoadError, match="is not a version of Python") as caught:
        settled(space)
    assert str(caught.value.position).startswith("BUILD.yaml:") and "'3.11'" in str(caught.value.hint)


@pytest.mark.parametrize("base", ["", ', base: ":base"'])
@pytest.mark.parametrize("said", GARBAGE)
def test_files_that_ask_for_what_is_no_version(space: Space, said: str, base: str) -> None:
    """Either the file is refused, or there is no such Python, or it is any."""
    for path, text, attribute in (
        ("conda.yaml", f"dependencies:\n  - python={said}\n  - pip:\n    - numlib==1.0\n", "conda_file"),
        ("pyproject.toml", f'[project]\nname = "p"\nversion = "1"\nrequires-python = "{said}"\n', "pyproject"),
    ):
        space.write(path, text)
        space.append("BUILD.yaml", f"  by_{attribute}: {{rule: python_env, {attribute}: {path}{base}}}\n")
        try:
            settled(space, f"//:by_{attribute}")
        except BuildrulesError as error:
            assert error.position is not None, error
    for name, text in MODEL.items():
        space.write(name, text.replace("3.12.4", said or '""'))
    space.append("BUILD.yaml", "  ml: {rule: model, path: mlmodel}\n")
    space.append("BUILD.yaml", f'  by_model: {{rule: python_env, model: ":ml"{base}}}\n')
    try:
        settled(space, "//:by_model")
    except BuildrulesError as error:
        assert error.message
