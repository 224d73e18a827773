"""Packages that belong to one index: of a connection, or as a pyproject.toml says in [tool.uv.sources]."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.space import APP, WHEELS, Space, wheel

from .conftest import Index

LOCK = "pylock.env-linux-amd64.toml"
CONNECTIONS = """\
  connections:
    cpu: {{type: python_feed, target: "{cpu}", packages: [{packages}]{more}}}
targets:
"""


@pytest.fixture
def indexes() -> Iterator[tuple[Index, Index]]:
    """The row's: `main` is everybody's, `cpu` has other builds, and an old helper."""
    main, cpu = Index(), Index()
    main.files.update(dict(wheel(name, version, requires) for name, version, requires in WHEELS))
    main.add("torchlike", "2.1.0", requires=["helper"])
    main.add("helper", "2.0")
    main.add("vision", "1.0", requires=["torchlike>=2", "numlib"])
    main.add("acme_inner", "9.0")
    cpu.add("torchlike", "2.1.0+cpu", requires=["helper"])
    cpu.add("helper", "1.0")
    cpu.add("acme_inner", "1.0")
    yield main, cpu
    main.close()
    cpu.close()


Make = Callable[..., Space]


@pytest.fixture
def make(tmp_path: Path, wheelhouse: Path, indexes: tuple[Index, Index]) -> Make:
    """A workspace whose connection `cpu` is the one index of `packages`."""

    def make(env: str, packages: str = "Torch.Like, torchlike", more: str = "") -> Space:
        space = Space(tmp_path / "space", wheelhouse).populate()
        section = CONNECTIONS.format(cpu=indexes[1].url, packages=packages, more=more) if packages else "targets:\n"
        space.edit("BUILD.yaml", "targets:\n", section)
        space.edit("BUILD.yaml", "requirements: [numlib==1.0]", env)
        del space.env["UV_FIND_LINKS"]
        (space.folder / "uv.toml").write_text(f'[[index]]\nurl = "{indexes[0].url}"\ndefault = true\n')
        return space

    return make


def locked(space: Space, path: str = LOCK) -> dict[str, str]:
    return {one["name"]: one.get("version", "") for one in table(space, path)["packages"]}


def table(space: Space, path: str = LOCK) -> dict[str, Any]:
    return tomllib.loads(space.path(path).read_text())


WRITTEN = """\
  local: {rule: python_env, base: ":base", requirements: [torchlike==2.1.0+cpu]}
  file: {rule: python_env, base: ":base", requirements_file: requirements.txt}
  conda: {rule: python_env, base: ":base", conda_file: c.yaml}
  another: {rule: python_env, base: ":base", requirements: [vision]}
  project: {rule: python_env, base: ":base", requirements: [./lib]}
  trained: {rule: model, path: trained}
  mlflow: {rule: python_env, base: ":base", model: ":trained", exclude: [mlflow-skinny, pandas, numpy]}
"""
FILES = {
    "requirements.txt": "--extra-index-url {cpu}\nTorchlike>=2\n",  # the same index, and still no other's
    "trained/MLmodel": "flavors:\n  python_function:\n    env: conda.yaml\n    loader_module: mlflow.sklearn\n"
    "    python_version: 3.11.2\n",
    "trained/conda.yaml": "dependencies:\n- python=3.11.2\n- pip:\n  - torchlike==2.1.0\n",
    "trained/requirements.txt": "torchlike==2.1.0\n",
    "c.yaml": "dependencies:\n- python=3.11\n- pip:\n  - torchlike==2.1.0\n",
    "lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\ndependencies = ["torchlike>=2"]\n'
    '[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n',
}


def test_a3_a_listed_package_comes_from_its_index_and_all_others_do_not(
    make: Make, indexes: tuple[Index, Index]
) -> None:
    space = make("requirements: [torchlike]")
    for path, text in FILES.items():
        space.write(path, text.replace("{cpu}", indexes[1].url))
    build, _, _ = space.path("BUILD.yaml").read_text().partition("  m: ")
    space.write("BUILD.yaml", build + WRITTEN)
    space.run("lock", "//...")
    for env in ("env", "local", "file", "conda", "another", "project", "mlflow"):
        found = locked(space, f"pylock.{env}-linux-amd64.toml")
        assert (found["torchlike"], found["helper"]) == ("2.1.0+cpu", "2.0"), env
    main, cpu = indexes
    assert not any("torchlike" in line for line in main.seen), "nobody else is asked for it"
    assert not any("helper" in line for line in cpu.seen)
    (entry,) = [one for one in table(space)["packages"] if one["name"] == "torchlike"]
    assert entry["tool"]["buildrules"]["index"] == "cpu"
    space.run("lock", "--check", "//...")


def test_a3_with_a_server_a_login_and_a_lock_without_addresses(make: Make, indexes: tuple[Index, Index]) -> None:
    """The server asks for a package of the environment, and for one of its own, and both come from their index."""
    main, cpu = indexes
    cpu.login = ("__token__", "s3cret-canary")
    main.files = {name: data for name, data in main.files.items() if not name.startswith("tinyserver")}
    main.add("tinyserver", "1.0", requires=["torchlike", "acme_inner"])
    space = make("requirements: [vision]", "torchlike, acme-inner", ", credentials: {pat: {env: CPU_TOKEN}}")
    space.edit("BUILD.yaml", "  platforms", "  locks: {portable: true}\n  platforms")
    space.env["CPU_TOKEN"] = "s3cret-canary"
    first = space.build()
    assert locked(space)["torchlike"] == "2.1.0+cpu"
    assert "acme-inner" not in locked(space), "only what is asked for"
    assert locked(space, "pylock.env+server-linux-amd64.toml")["acme-inner"] == "1.0"
    assert not any("inner" in line or "torchlike" in line for line in main.seen)
    assert "canary" not in space.path(LOCK).read_text() and "http" not in space.path(LOCK).read_text()
    assert space.clean_build(APP, options=["--locked"]).digest == first.digest


def test_a3_a_lock_is_stale_where_a_package_of_it_has_another_index(make: Make) -> None:
    space = make("requirements: [vision]", "acme-inner")
    space.run("lock", "//:env")
    assert locked(space)["torchlike"] == "2.1.0"
    space.edit("BUILD.yaml", "packages: [acme-inner]", "packages: [torchlike]")
    space.run("lock", "--check", "//:env", code=1).said("torchlike comes from 'cpu' now")
    space.run("lock", "//:env")
    assert (locked(space)["torchlike"], locked(space)["helper"]) == ("2.1.0+cpu", "2.0")
    space.edit("BUILD.yaml", "packages: [torchlike]", "packages: [torchlike, acme-inner]")
    space.run("lock", "--check", "//:env")  # nothing of the lock is meant
    space.edit("BUILD.yaml", ", packages: [torchlike, acme-inner]", ", packages: [acme-inner]")
    space.run("build", "//:env", "--locked", code=1).said("torchlike comes from any index now")


def test_a3_a_package_that_its_index_does_not_have(make: Make, indexes: tuple[Index, Index]) -> None:
    space = make("requirements: [vision]", "torchlike, numlib")
    space.run("lock", "//:env", code=1).said(
        "connection 'cpu' does not have 'numlib', which comes from there only",
        "publish it there, or take 'numlib' out of workspace.connections.cpu.packages",
    )
    space.edit("BUILD.yaml", "torchlike, numlib", "torchlike")
    space.edit("BUILD.yaml", "[vision]", "[vision, torchlike==3]")
    said = space.run("lock", "//:env", code=1).said("torchlike comes from connection 'cpu' only").err
    assert "you require torchlike==3" in said and "packages-of-connections" not in said
    space.edit("BUILD.yaml", "torchlike==3", "torchlike")
    space.run("lock", "//:env")


def test_a3_two_connections_with_one_package_are_chosen_between(make: Make, indexes: tuple[Index, Index]) -> None:
    space = make("requirements: [torchlike]")
    more = f'    other: {{type: python_feed, target: "{indexes[0].url}/", packages: [torchlike]}}\n'
    space.edit("BUILD.yaml", "targets:\n", more + "targets:\n")
    space.run("lock", "//:env", code=2).said(
        "'torchlike' is to come from connection 'cpu', and from connection 'other'", "`connections` of the python_env"
    )
    space.edit("BUILD.yaml", "requirements: [torchlike]", "requirements: [torchlike]\n    connections: [other]")
    space.run("lock", "//:env")
    assert locked(space)["torchlike"] == "2.1.0"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[torchlike]", '["nvidia-*"]', "'nvidia-*' is not the name of a package"),
        ("[torchlike]", "[torchlike==1]", "write each name by itself"),
        ("python_feed", "http", "is no Python feed, and takes no packages"),
    ],
)
def test_a3_what_no_connection_can_list(make: Make, old: str, new: str, said: str) -> None:
    space = make("requirements: [torchlike]", "torchlike")
    space.edit("BUILD.yaml", old, new)
    space.run("lock", "//:env", code=2).said(said)


PYPROJECT = """\
[project]
name = "app"
version = "1"
dependencies = [{dependencies}]
[project.optional-dependencies]
cpu = ["torchlike"]
[dependency-groups]
train = ["torchlike"]
[[tool.uv.index]]
name = "wheels-cpu"
url = "{cpu}"
explicit = true
[tool.uv.sources]
torchlike = {source}
"""


SOURCES = [
    ('"torchlike"', '{index = "wheels-cpu"}', "", "2.1.0+cpu"),
    ('"torchlike"', "[{index = 'wheels-cpu', marker = \"sys_platform == 'linux'\"}]", "", "2.1.0+cpu"),
    ('"torchlike"', "{index = 'wheels-cpu', marker = \"sys_platform == 'darwin'\"}", "", "2.1.0"),
    ('"numlib"', '[{index = "wheels-cpu", extra = "cpu"}]', "extras: [cpu]", "2.1.0+cpu"),
    ('"torchlike"', '{index = "wheels-cpu", extra = "cpu"}', "extras: []", "2.1.0"),
    ('"numlib"', '{index = "wheels-cpu", group = "train"}', "groups: [train]", "2.1.0+cpu"),
]


def test_a3_uv_s_own_explicit_indexes_and_sources(make: Make, indexes: tuple[Index, Index]) -> None:
    """In a pyproject.toml at the workspace's root, which uv reads itself, and in those of folders."""
    space = make("pyproject: .", packages="")
    build, _, _ = space.path("BUILD.yaml").read_text().partition("  m: ")
    for number, (dependencies, source, more, _) in enumerate(SOURCES):
        text = PYPROJECT.format(cpu=indexes[1].url, source=source, dependencies=dependencies)
        space.write(f"app{number}/pyproject.toml", text)
        build += f'  env{number}:\n    rule: python_env\n    base: ":base"\n    pyproject: app{number}\n'
        build += f"    {more}\n" if more else ""
        if not number:
            space.write("pyproject.toml", text)
    space.write("BUILD.yaml", build)
    space.run("lock", "//...")
    for name, (_, _, _, version) in (("", SOURCES[0]), *((str(n), row) for n, row in enumerate(SOURCES))):
        found = locked(space, f"pylock.env{name}-linux-amd64.toml")
        assert (found["torchlike"], found["helper"]) == (version, "2.0"), name
    space.run("lock", "--check", "//...")


def test_a3_the_way_out_of_a_source_without_an_index(make: Make) -> None:
    """`index` of a source may name a connection, which then is the one index of that package in this environment."""
    text = '[project]\nname = "app"\nversion = "1"\ndependencies = ["torchlike"]\n[tool.uv.sources]\n'
    text += 'torchlike = {index = "cpu"}\n'
    space = make("pyproject: app", packages="")
    space.write("app/pyproject.toml", text)
    space.run("lock", "//:env", code=2).said(
        "there is no index 'cpu'", "under workspace.connections", "app/pyproject.toml:6"
    )
    space = make("pyproject: app", packages="acme-inner")
    space.write("app/pyproject.toml", text)
    space.run("lock", "//:env")
    assert (locked(space)["torchlike"], locked(space)["helper"]) == ("2.1.0+cpu", "2.0")


def test_a3_an_index_of_a_file_has_no_login_and_no_other_name(make: Make, indexes: tuple[Index, Index]) -> None:
    space = make("pyproject: app", packages="acme-inner")
    for old, new, said in (
        (
            indexes[1].url,
            indexes[1].url_with("u", "hush-hush"),
            "the address of the index 'wheels-cpu' cannot be taken",
        ),
        ("wheels-cpu", "cpu", "the index 'cpu' is"),
        ("explicit = true", "", "'index' of [tool.uv] is not taken from here"),
    ):
        text = PYPROJECT.format(cpu=indexes[1].url, source='{index = "wheels-cpu"}', dependencies='"torchlike"')
        text = text.replace("/simple", "/simple/x") if new == "cpu" else text
        space.write("app/pyproject.toml", text.replace(old, new))
        assert "hush" not in space.run("lock", "//:env", code=2).said(said).err


def test_a3_what_is_given_by_path_is_no_package_of_an_index(make: Make) -> None:
    space = make("requirements: [./wheels/torchlike-7.0-py3-none-any.whl]")
    filename, data = wheel("torchlike", "7.0")
    space.write(f"wheels/{filename}", data)
    space.run("lock", "//:env")
    assert locked(space) == {"torchlike": "7.0"}


def test_a3_pins_are_kept_while_stand_ins_are_found(make: Make, indexes: tuple[Index, Index]) -> None:
    """The versions of a lock hold for a package that only others ask for, until one is given up."""
    space = make("requirements: [vision]")
    space.run("lock", "//:env")
    indexes[1].add("torchlike", "2.2.0+cpu")
    space.edit("BUILD.yaml", "[vision]", "[vision, numlib]")
    space.run("lock", "//:env")
    assert locked(space)["torchlike"] == "2.1.0+cpu"
    space.run("lock", "//:env", "--upgrade-package", "torchlike")
    assert locked(space)["torchlike"] == "2.2.0+cpu"


def test_a3_who_asks_for_packages_for_gpus_is_found_out_at_the_same_index(
    make: Make, indexes: tuple[Index, Index]
) -> None:
    main, cpu = indexes
    cpu.add("nvidia_cublas_cu12", "1.0")
    cpu.add("torchlike", "3.0", requires=["nvidia-cublas-cu12"])
    space = make("requirements: [vision]", "torchlike, nvidia-cublas-cu12")
    space.run("lock", "//:env").said("nvidia-cublas-cu12; torchlike asks for them")
    assert not any("nvidia" in line or "torchlike" in line for line in main.seen)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("torchlike==2.1.0+cpu", "with packages: [torchlike]; or ask for torchlike==2.1.0"),
        (
            "torch==2.1.0+cu121, torchvision",
            'https://download.pytorch.org/whl/cu121", packages: [torch, torchvision]}',
        ),
    ],
)
def test_a3_a_build_that_only_another_index_has(
    make: Make, indexes: tuple[Index, Index], asked: str, hint: str
) -> None:
    indexes[0].add("torch", "2.1.0")
    indexes[0].add("torchvision", "1.0")
    space = make(f"requirements: [{asked}]", packages="")
    space.run("lock", "//:env", code=1).said(hint)


@pytest.mark.parametrize(
    ("asked", "option", "instead"),
    [
        ("./late", "--python-version", "The Python of the image"),
        ("helper==2.0", "--index-strategy", "`packages` of a connection"),
    ],
)
def test_a3_hints_of_uv_name_none_of_its_options(
    make: Make, indexes: tuple[Index, Index], asked: str, option: str, instead: str
) -> None:
    space = make(f"requirements: [{asked}]", packages="")
    space.write("late/pyproject.toml", '[project]\nname = "late"\nversion = "1"\nrequires-python = ">=3.99"\n')
    with open(space.folder / "uv.toml", "a") as file:
        file.write(f'[[index]]\nurl = "{indexes[1].url}"\n')
    assert option not in space.run("lock", "//:env", code=1).said(instead).err


def test_a3_the_way_out_of_a_build_that_another_index_has(make: Make) -> None:
    space = make("requirements: [torchlike==2.1.0+cpu]")
    space.run("lock", "//:env")
    assert locked(space)["torchlike"] == "2.1.0+cpu"
