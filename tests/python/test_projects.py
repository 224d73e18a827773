"""What local projects ask for, wherever they keep it: a lock follows it, and no machine's cache answers for it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from buildrules.errors import ResolutionError
from buildrules.locking.python.lock import read_lock, write_lock
from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock, stale
from buildrules.net.session import Session

from .conftest import Asking, Index, make_wheel

READS = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name, info = "dyn-1.0-py3-none-any.whl", "dyn-1.0.dist-info"
    asked = [line for line in open("data/asked.txt").read().splitlines()]
    metadata = "Metadata-Version: 2.1\\nName: dyn\\nVersion: 1.0\\n"
    metadata += "".join(f"Requires-Dist: {line}\\n" for line in asked)
    metadata = metadata.replace("HERE", "file://" + os.getcwd())
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", "")
    open("left-behind", "w").close()
    return name
build_editable = build_wheel
"""
OWN_BACK_END = '[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n'
DYNAMIC = '[project]\nname = "dyn"\nversion = "1.0"\ndynamic = ["dependencies"]\n' + OWN_BACK_END


def lay(folder: Path, pyproject: str, **files: str) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(pyproject)
    for name, text in files.items():
        place = folder / name.replace("__", "/").replace("_", ".")
        place.write_text(text)


def static(name: str, asked: str = "", more: str = "") -> str:
    return f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = [{asked}]\n{OWN_BACK_END}{more}'


def versions(request: object) -> dict[str, str]:
    return make_lock(request, Session()).versions()  # type: ignore[arg-type]


@pytest.fixture
def aa(feed: Index) -> Index:
    feed.add("aa", "1.0")
    feed.add("aa", "2.0")
    return feed


def test_a1_any_file_of_a_project_may_say_what_it_asks_for(aa: Index, root: Path, asking: Asking) -> None:
    lay(root / "dyn", DYNAMIC, back_py=READS, data__asked_txt="aa==2.0\n")
    request = asking("./dyn")
    lock = make_lock(request, Session())
    assert lock.versions() == {"aa": "2.0", "dyn": ""}
    assert not (root / "dyn/left-behind").exists()
    assert read_lock(str(root), write_lock(lock, str(root))) == lock
    assert stale(lock, request) is None
    (root / "dyn/data/asked.txt").write_text("aa==1.0\n")
    assert stale(lock, request) == "the requirements have changed: the project in 'dyn' is not what it was"
    assert make_lock(request, Session(), existing=lock).versions() == {"aa": "1.0", "dyn": ""}


def test_a1_a_project_without_a_project_table_is_read_by_its_back_end(aa: Index, root: Path, asking: Asking) -> None:
    lay(root / "dyn", OWN_BACK_END, back_py=READS, data__asked_txt="aa==2.0\n")
    lock = make_lock(asking("./dyn"), Session())
    assert lock.versions() == {"aa": "2.0", "dyn": ""}
    (root / "dyn/data/asked.txt").write_text("aa==1.0\n")
    assert stale(lock, asking("./dyn"))


IN_A_PROGRAM = '__import__("subprocess").check_call(["cat", "../asked.txt"])'
IN_ITS_OWN_WORDS = 'exec("raise FileNotFoundError(\\"../asked.txt\\")")'


@pytest.mark.parametrize(
    "place",
    ['"../asked.txt"', 'os.path.join(os.getcwd(), "../asked.txt")', IN_A_PROGRAM, IN_ITS_OWN_WORDS],
)
def test_a1_a_file_outside_of_a_project_is_refused_and_a_link_to_it_is_watched(
    aa: Index, root: Path, asking: Asking, place: str
) -> None:
    lay(root / "dyn", DYNAMIC, back_py=READS.replace('"data/asked.txt"', place))
    (root / "asked.txt").write_text("aa==2.0\n")
    with pytest.raises(ResolutionError) as caught:
        make_lock(asking("./dyn"), Session())
    assert "reads 'asked.txt', which lies outside of its folder" in caught.value.message, caught.value.log
    assert "put a link to it" in str(caught.value.hint)
    (root / "dyn/data/asked.txt").symlink_to("../../asked.txt")
    lay(root / "dyn", DYNAMIC, back_py=READS)
    lock = make_lock(asking("./dyn"), Session())
    assert lock.versions() == {"aa": "2.0", "dyn": ""}
    (root / "asked.txt").write_text("aa==1.0\n")
    assert stale(lock, asking("./dyn"))


def test_a1_a_file_of_this_machine_that_a_project_reads_is_told(
    aa: Index, root: Path, asking: Asking, tmp_path: Path
) -> None:
    machine = tmp_path / "machine.txt"
    machine.write_text("aa==2.0\n")
    lay(root / "dyn", DYNAMIC, back_py=READS.replace('"data/asked.txt"', repr(str(machine))))
    said: list[str] = []
    assert make_lock(asking("./dyn"), Session(), warn=said.append).versions() == {"aa": "2.0", "dyn": ""}
    assert [text.partition(", which")[0] for text in said] == [f"a project that is installed reads {str(machine)!r}"]
    lay(root / "dyn", DYNAMIC, back_py=READS, data__asked_txt="aa==2.0\n")
    make_lock(asking("./dyn"), Session(), warn=said.append)
    assert len(said) == 1


def test_a1_of_a_project_that_says_it_all_only_that_counts(aa: Index, root: Path, asking: Asking) -> None:
    lay(root / "lib", static("lib", '"aa==1.0"'), back_py=READS)
    lock = make_lock(asking("./lib"), Session())
    assert lock.versions() == {"aa": "1.0", "lib": ""}
    (root / "lib/code.py").write_text("changed = True\n")
    lay(root / "lib", static("lib", '"aa==1.0"', "[tool.ruff]\nline-length = 100\n"))
    assert stale(lock, asking("./lib")) is None
    lay(root / "lib", static("lib", '"aa==2.0"'))
    assert stale(lock, asking("./lib"))


@pytest.mark.parametrize("way", ["path", "workspace", "url in metadata"])
def test_a1_a_project_reached_through_another(aa: Index, root: Path, asking: Asking, way: str) -> None:
    sources = {"path": 'path = "../dyn"', "workspace": "workspace = true"}
    lay(root / "libs/dyn", DYNAMIC, back_py=READS, data__asked_txt="aa==2.0\n")
    if way == "url in metadata":
        first = DYNAMIC.replace('"dyn"', '"first"')
        lay(root / "libs/first", first, back_py=READS.replace("dyn", "first"), data__asked_txt="dyn @ HERE/../dyn\n")
    else:
        lay(root / "libs/first", static("first", '"dyn"', f"[tool.uv.sources]\ndyn = {{{sources[way]}}}\n"))
    if way == "workspace":
        (root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["libs/*"]\n')
    request = asking("./libs/first")
    lock = make_lock(request, Session())
    assert lock.versions() == {"aa": "2.0", "dyn": "", "first": ""}
    assert {package.directory for package in lock.packages} == {None, "libs/dyn", "libs/first"}
    (root / "libs/dyn/data/asked.txt").write_text("aa==1.0\n")
    assert stale(lock, request) == "the requirements have changed: the project in 'libs/dyn' is not what it was"
    assert versions(request) == {"aa": "1.0", "dyn": "", "first": ""}


@pytest.mark.parametrize("excluded", ["libs/a*", "libs/adyn/"])
def test_a2_what_a_uv_workspace_excludes_is_no_member(aa: Index, root: Path, excluded: str) -> None:
    for name, version in (("adyn", "1.0"), ("dyn", "2.0")):
        lay(root / "libs" / name, static("dyn", f'"aa=={version}"'), back_py=READS)
    lay(root / "app", static("app", '"dyn"', "[tool.uv.sources]\ndyn = {workspace = true}\n"))
    members = f'members = ["app", "libs/*"]\nexclude = ["{excluded}"]\n'
    (root / "pyproject.toml").write_text(f"[tool.uv.workspace]\n{members}")
    assert [item.text for item in collect(str(root), "", pyproject="app").items] == ["libs/dyn"]


@pytest.mark.parametrize("odd", ["a #b", "50%", "a%20b", "${HOME}", "ümlaut", "[x]"])
def test_a14_paths_mean_themselves(
    aa: Index, root: Path, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setenv("BUILDRULES_CACHE_DIR", str(tmp_path / odd / "store"))
    lay(root / odd / "lib", static("lib", '"aa==1.0"'), back_py=READS)
    filename, data = make_wheel("bb", "1.0+cpu")
    (root / odd / filename).write_bytes(data)
    lock = make_lock(asking(f"./{odd}/lib", f"./{odd}/{filename}"), Session())
    assert lock.versions() == {"aa": "1.0", "bb": "1.0+cpu", "lib": ""}
    assert [package.directory for package in lock.packages][-1] == f"{odd}/lib"
    file = lock.packages[1].file
    assert file is not None and file.path == f"{odd}/{filename}"
    assert read_lock(str(root), write_lock(lock, str(root))) == lock


def test_a1_variables_of_the_machine_reach_no_back_end(
    aa: Index, root: Path, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = READS.replace('open("data/asked.txt").read().splitlines()', '[os.environ.get("WANTED", "aa==2.0")]')
    lay(root / "dyn", DYNAMIC, back_py=reads)
    monkeypatch.setenv("WANTED", "aa==1.0")
    assert versions(asking("./dyn")) == {"aa": "2.0", "dyn": ""}


def test_a1_two_machines_write_the_same_lock(
    aa: Index, root: Path, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(root / "libs/dyn", DYNAMIC, back_py=READS, data__asked_txt="aa\n")
    lay(root / "libs/lib", static("lib", '"dyn"', '[tool.uv.sources]\ndyn = {path = "../dyn"}\n'))
    first = make_lock(asking("./libs/lib"), Session())
    other = tmp_path / "an other #place" / "of the workspace"
    shutil.copytree(root, other)
    shutil.rmtree(other / "libs/dyn/data/__pycache__", ignore_errors=True)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    (tmp_path / "config/uv").mkdir(parents=True)
    (tmp_path / "config/uv/uv.toml").write_text('resolution = "lowest"\n')
    second = make_lock(
        replace(
            asking("./libs/lib"),
            root=str(other),
            asked=collect(str(other), "", requirements=["./libs/lib"], asker="the environment //:env"),
        ),
        Session(),
    )
    assert write_lock(second, str(other)) == write_lock(first, str(root))
    assert first.versions() == {"aa": "2.0", "dyn": "", "lib": ""}


def test_a8_no_setting_of_the_machine_chooses_versions(
    aa: Index, root: Path, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_lock(asking("aa"), Session())
    aa.add("aa", "3.0a1")
    (tmp_path / "config/uv").mkdir(parents=True)
    (tmp_path / "config/uv/uv.toml").write_text('resolution = "lowest"\n[pip]\nprerelease = "allow"\n')
    (tmp_path / "limits.txt").write_text("aa<2\n")
    monkeypatch.setenv("UV_CONSTRAINT", str(tmp_path / "limits.txt"))
    said: list[str] = []
    lock = make_lock(asking("aa"), Session(), warn=said.append)
    assert lock == plain
    assert [text.partition(" is left out")[0].split(" in ")[0] for text in said] == [
        "'resolution'",
        "'prerelease'",
        "UV_CONSTRAINT",
    ]


def test_a8_where_packages_come_from_is_the_machine_s(
    aa: Index, root: Path, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    (tmp_path / "config/uv").mkdir(parents=True)
    (tmp_path / "config/uv/uv.toml").write_text(f'resolution = "lowest"\n[[index]]\nurl = "{aa.url}"\ndefault = true\n')
    assert versions(asking("aa")) == {"aa": "2.0"}
    (root / "uv.toml").write_text('resolution = "lowest"\n')
    assert versions(asking("aa")) == {"aa": "1.0"}


def test_a1_a_path_in_the_metadata_of_a_project_has_a_way_out(aa: Index, root: Path, asking: Asking) -> None:
    other = DYNAMIC.replace('"dyn"', '"other"')
    lay(root / "other", other, back_py=READS.replace("dyn", "other"), data__asked_txt="aa\n")
    lay(root / "dyn", DYNAMIC, back_py=READS, data__asked_txt="other @ file:../other\n")
    with pytest.raises(ResolutionError, match=r"'dyn' asks for 'other' by the path '\.\./other'") as caught:
        versions(asking("./dyn"))
    told = '[tool.uv.sources] other = {path = "../other"}'
    assert told in (caught.value.hint or "")
    lay(root / "dyn", DYNAMIC + told.replace("] ", "]\n") + "\n", back_py=READS, data__asked_txt="other\n")
    assert versions(asking("./dyn")) == {"aa": "2.0", "dyn": "", "other": ""}
