import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.credentials.connections import Connections
from buildrules.errors import LoadError, Position
from buildrules.locking.python.collector import Requirements
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.requirement import parse
from buildrules.locking.python.requirements import collect
from tests.support.space import Space

from .conftest import TOKEN, Asking, make_wheel, project_files


def texts(found: object) -> list[str]:
    return [item.text for item in found.items]  # type: ignore[attr-defined]


def test_inline_list(root: Path) -> None:
    found = collect(
        str(root), "", requirements=["numpy==2.3.1", "Scikit_Learn >= 1.7 ; python_version > '3'"], asker="me"
    )
    assert texts(found) == ["numpy==2.3.1", 'Scikit_Learn>=1.7; python_version > "3"']
    assert [item.name for item in found.items] == ["numpy", "scikit-learn"]
    assert found.items[0].where() == "me"


def test_inline_errors_come_all_at_once_with_their_places(root: Path) -> None:
    def place(attribute: str, number: int) -> Position:
        assert attribute == "requirements"
        return Position("BUILD.yaml", 10 + number, 5)

    with pytest.raises(LoadError) as caught:
        collect(str(root), "", requirements=["numpy=1.2", "ok==1", "a b"], place=place)
    assert [str(error.position) for error in caught.value.errors] == ["BUILD.yaml:10:5", "BUILD.yaml:12:5"]
    assert caught.value.errors[0].hint == "write numpy==1.2"


def test_requirements_file_with_nesting_hashes_and_comments(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "requirements.txt").write_text(
        "# all of it\n-r b/more.txt\n--requirement=b/extra.txt\n-c constraints.txt\n"
        "numpy==2.3.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb  # pinned\n--pre\nflask[async]>=3,<4 # web\n"
    )
    (root / "a" / "b" / "more.txt").write_text("scipy\n")
    (root / "a" / "b" / "extra.txt").write_text("joblib\n")
    (root / "a" / "constraints.txt").write_text("threadpoolctl<4\n")
    found = collect(str(root), "a", requirements_file="a/requirements.txt")
    assert texts(found) == ["scipy", "joblib", "numpy==2.3.1", "flask[async]<4,>=3"]
    assert [item.text for item in found.constraints] == ["threadpoolctl<4"]
    assert found.items[2].hashes == ("sha256:aa", "sha256:bb")
    assert str(found.items[2].position) == "a/requirements.txt:5:1"
    assert found.prerelease
    assert found.files == ["a/requirements.txt", "a/b/more.txt", "a/b/extra.txt", "a/constraints.txt"]


@pytest.mark.parametrize(
    "line",
    [
        f"--index-url https://user:{TOKEN}@feed.example/simple",
        f"-i https://{TOKEN}@feed.example/simple",
        f"--extra-index-url=https://user:{TOKEN}@feed.example/simple",
        f"-f https://user:{TOKEN}@feed.example/files",
        "--trusted-host feed.example",
        "--no-index",
    ],
)
def test_index_options_are_refused_with_the_way_out_and_without_the_secret(root: Path, line: str) -> None:
    (root / "r.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(LoadError, match="says where from, not what") as caught:
        collect(str(root), "", requirements_file="r.txt")
    assert "UV_DEFAULT_INDEX" in str(caught.value.hint)
    assert str(caught.value.position) == "r.txt:2:1"
    assert TOKEN not in caught.value.message + str(caught.value.hint) + caught.value.position.excerpt  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-e ./here", "there is no 'here'"),
        ("-e git+https://x.example/a.git#egg=a", "names a repository"),
        ("--no-binary :all:", "option '--no-binary'"),
        ("-r https://x.example/r.txt", "from a url"),
        ("-r ../../outside.txt", "leaves the workspace"),
        ("-r none.txt", "no file 'none.txt'"),
        ("git+https://x.example/a.git", "names a repository"),
        ("a @ git+https://x.example/a.git", "no fixed content"),
        (f"a @ https://u:{TOKEN}@x.example/a-1-py3-none-any.whl", "credentials in its url"),
        ("a @ https://${TOKEN}@x.example/a-1-py3-none-any.whl", "credentials in its url"),
        ("a @ https://x.example/${VERSION}/a-1-py3-none-any.whl", "has a variable in its url"),
        ("./none.whl", "there is no 'none.whl'"),
        ("/etc/passwd.whl", "leaves the workspace"),
        ("../../x.whl", "leaves the workspace"),
        ("numpy --global-option=x", "options of a single requirement"),
    ],
)
def test_lines_that_cannot_be_used(root: Path, line: str, message: str) -> None:
    (root / "r.txt").write_text(f"\n{line}\n")
    with pytest.raises(LoadError, match=message) as caught:
        collect(str(root), "", requirements_file="r.txt")
    assert TOKEN not in str(vars(caught.value)) + str(caught.value) + caught.value.position.excerpt  # type: ignore[union-attr]
    assert caught.value.position.line == 2  # type: ignore[union-attr]


def test_files_that_include_each_other(root: Path) -> None:
    (root / "a.txt").write_text("-r b.txt\n")
    (root / "b.txt").write_text("-r a.txt\n")
    with pytest.raises(LoadError, match=r"a\.txt -> b\.txt -> a\.txt"):
        collect(str(root), "", requirements_file="a.txt")


def test_a_pipe_is_no_file(root: Path) -> None:
    """It would wait for its other end."""
    os.mkfifo(root / "pipe")
    (root / "requirements.txt").write_text("-r pipe\n")
    with pytest.raises(LoadError, match="cannot read 'pipe': it is not a regular file"):
        collect(str(root), "", requirements_file="requirements.txt")


def test_links_do_not_lead_out(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("numpy\n")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "r.txt").write_text("-r link.txt\n")
    with pytest.raises(LoadError, match="leaves the workspace"):
        collect(str(root), "", requirements_file="r.txt")


def test_local_wheels_archives_and_projects(root: Path) -> None:
    (root / "wheels").mkdir()
    filename, data = make_wheel("my_lib", "1.0")
    (root / "wheels" / filename).write_bytes(data)
    (root / "wheels" / "other-2.0.tar.gz").write_bytes(b"")
    (root / "lib").mkdir()
    (root / "lib" / "pyproject.toml").write_text("")
    (root / "m").mkdir()
    found = collect(str(root), "m", requirements=[f"../wheels/{filename}", "../wheels/other-2.0.tar.gz", "../lib"])
    assert [(item.text, item.name, item.local) for item in found.items] == [
        (f"wheels/{filename}", "my-lib", True),
        ("wheels/other-2.0.tar.gz", "other", True),
        ("lib", "", True),
    ]
    assert found.items[0].line(str(root)) == f"my-lib @ {(root / 'wheels' / filename).as_uri()}"
    with pytest.raises(LoadError, match=r"neither a pyproject.toml nor a setup.py"):
        collect(str(root), "", requirements=["./wheels"])


def test_pyproject_with_extras_and_groups(root: Path) -> None:
    (root / "pyproject.toml").write_text(
        """
[project]
name = "app"
dependencies = ["numpy==2.3.1"]
[project.optional-dependencies]
Serve_It = ["flask", "app[log]"]
log = ["structlog"]
[dependency-groups]
base = ["pandas"]
all = [{include-group = "base"}, "scipy"]
"""
    )
    assert texts(collect(str(root), "", pyproject="pyproject.toml")) == ["numpy==2.3.1"]
    found = collect(str(root), "", pyproject="pyproject.toml", extras=["serve-it"])
    assert texts(found) == ["numpy==2.3.1", "flask", "structlog"]
    assert str(found.items[0].position) == "pyproject.toml:4:18"
    found = collect(str(root), "", pyproject="pyproject.toml", groups=["all"])
    assert texts(found) == ["pandas", "scipy"]
    assert found.notes == ["pyproject.toml:4:1: project.dependencies are left out: groups are taken by themselves"]
    assert collect(str(root), "", pyproject="pyproject.toml", groups=["all"], extras=["log"]).notes == []
    with pytest.raises(LoadError, match="has no extra 'none'") as caught:
        collect(str(root), "", pyproject="pyproject.toml", extras=["none"])
    assert caught.value.hint == "it has: log, serve-it"
    with pytest.raises(LoadError, match="dependency group 'none'"):
        collect(str(root), "", pyproject="pyproject.toml", groups=["none"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project", "cannot read"),
        ('[project]\ndependencies = "numpy"\n', "must be a list of strings"),
        ('[project]\ndynamic = ["dependencies"]\n', "is dynamic"),
        ('[project]\ndependencies = ["num py"]\n', "is not a requirement"),
        ('project = "x"\n', "project must be a table"),
        ("[project]\ndynamic = 1\n", "project.dynamic must be a list of strings"),
        ('[project]\noptional-dependencies = ["a"]\n', "project.optional-dependencies must be a table"),
        ("[project.optional-dependencies]\nx = 5\n", "project.optional-dependencies.x must be a list of strings"),
        ("[project.optional-dependencies]\nx = [{a = 1}]\n", "project.optional-dependencies.x must be a list"),
        ("dependency-groups = 3\n", "dependency-groups must be a table"),
        ("[dependency-groups]\nx = 3\n", "dependency group 'x' of 'pyproject.toml' cannot be read"),
        ('[dependency-groups]\nx = [{include-group = ["x"]}]\n', "dependency group 'x' of .* cannot be read"),
    ],
)
def test_broken_pyproject(root: Path, text: str, message: str) -> None:
    (root / "pyproject.toml").write_text(text)
    with pytest.raises(LoadError) as caught:
        collect(
            str(root),
            "",
            pyproject="pyproject.toml",
            extras=["x"] if "optional" in text else [],
            groups=["x"] if "groups" in text else [],
        )
    assert any(re.search(message, error.message) for error in caught.value.errors)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--index-url http://[bad", "--index-url '<unreadable url>' is not an address"),
        ("--extra-index-url=https://me:word@host:port/simple", "says where from"),
        ("--extra-index-url https://host:port/simple", "says where from"),
        ("--find-links http://[bad", "says where from"),
        ("-r more\0.txt", "is not a path: it holds NUL"),
        ("-c more\0.txt", "is not a path: it holds NUL"),
        ("./lib\0", "holds a line break or NUL"),
        ("numpy @ http://[bad", "."),
    ],
)
def test_odd_lines_are_errors_with_their_place(root: Path, line: str, message: str) -> None:
    (root / "r.txt").write_text(f"scipy\n{line}\n")
    row = {"name": "c", "type": "http", "target": "https://host/simple", "kind": "none", "parts": {}}
    try:
        found = collect(str(root), "", requirements_file="r.txt", connections=Connections([row]))
    except LoadError as error:
        assert re.search(message, error.message)
        assert str(error.position).startswith("r.txt:2:")
        assert "word" not in error.message
    else:
        assert message == "."
        assert len(found.items) == 2


@given(st.text(max_size=60))
def test_any_text_is_a_requirement_or_a_load_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = str(tmp_path_factory.getbasetemp())
    try:
        item = parse(text, root, "", Position("BUILD.yaml", 1))
    except LoadError as error:
        assert error.position is not None
    else:
        assert item.name or item.local
        assert "\n" not in item.text


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.cfg", "setup.py"])
def test_what_a_local_project_needs_is_part_of_what_is_asked_for(root: Path, name: str) -> None:
    (root / "lib").mkdir()
    (root / "lib" / "pyproject.toml").write_text("[project]\nname = 'lib'\nversion = '1.0'\n")
    (root / "lib" / "module.py").write_text("")
    before = Projects(str(root)).asking("lib").digest
    (root / "lib" / "module.py").write_text("changed = True")
    assert Projects(str(root)).asking("lib").digest == before
    (root / "lib" / name).write_text("# dependencies: numpy")
    assert Projects(str(root)).asking("lib").digest != before


def test_a_local_wheel_is_part_of_what_is_asked_for(root: Path, asking: Asking) -> None:
    def digest(**more: Sequence[str]) -> str:
        filename, data = make_wheel("aa", "1.0", **more)  # type: ignore[arg-type]
        (root / filename).write_bytes(data)
        return asking(f"./{filename}").digest()

    assert digest() == digest()
    assert digest() != digest(requires=["numpy"])


def test_the_files_of_a_local_project_are_watched(root: Path) -> None:
    (root / "a" / "lib").mkdir(parents=True)
    (root / "a" / "lib" / "pyproject.toml").write_text("")
    found = collect(str(root), "a", requirements=["./lib"])
    assert found.files == ["a/lib/pyproject.toml", "a/lib/setup.py", "a/lib/setup.cfg"]


WHEEL = "build a wheel and give its path: `pip wheel --no-deps -w wheels"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "git+https://github.com/x/y.git@v1",
            "write NAME @ https://github.com/x/y/archive/v1.tar.gz; or build a wheel",
        ),
        ("git+https://github.com/x/y@v1#egg=why", "write why @ https://github.com/x/y/archive/v1.tar.gz"),
        ("y @ git+ssh://git@github.com/x/y.git", "write y @ https://github.com/x/y/archive/COMMIT.tar.gz"),
        (f"git+https://{TOKEN}@github.com/x/y.git@v1", f"{WHEEL} git+https://github.com/x/y.git@v1` makes"),
        (f"git+https://me:{TOKEN}@h.example/x/y.git", f"{WHEEL} git+https://h.example/x/y.git`"),
        (
            "-e git+ssh://git@host/team/common.git@abc#egg=x",
            f"{WHEEL} git+ssh://git@host/team/common.git@abc` makes wheels/x-",
        ),
        ("-e git@host.example:team/common.git", f"{WHEEL} git+ssh://git@host.example/team/common.git`"),
        ("git+git@host.example:team/common.git@v2", f"{WHEEL} git+ssh://git@host.example/team/common.git@v2`"),
        (
            "x[a] @ git+ssh://git@host:2222/mono.git@abc#egg=y&subdirectory=libs/x ; python_version > '3'",
            f"{WHEEL} 'git+ssh://git@host:2222/mono.git@abc#subdirectory=libs/x'` makes wheels/x-",
        ),
        ("hg+https://host/x#egg=q", f"{WHEEL} hg+https://host/x` makes wheels/q-"),
        ("svn+ssh://me@host/x/trunk#egg=q", f"{WHEEL} svn+ssh://me@host/x/trunk`"),
        ("x @ git+file:///home/me/x", f"{WHEEL} git+file:///home/me/x`"),
        ("ssh://git@host/x.git", f"{WHEEL} git+ssh://git@host/x.git`"),
    ],
)
def test_a17_what_git_would_bring_has_a_way_out(root: Path, line: str, hint: str) -> None:
    (root / "r.txt").write_text(f"{line}\n")
    with pytest.raises(LoadError) as caught:
        collect(str(root), "", requirements_file="r.txt")
    assert str(caught.value.hint).startswith(hint)
    host = next(word for word in ("github.com", "h.example", "host", "/home/me") if word in line)
    assert host in caught.value.message and "names a repository" in caught.value.message
    shown = f"{caught.value}{caught.value.hint}{caught.value.position and caught.value.position.excerpt}"
    assert TOKEN not in shown and shown.count(host) >= 3


def test_a17_the_way_out_of_git_works(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "common"
    for name, text in project_files("acme", "1.0").items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    with pytest.raises(LoadError) as caught:
        collect(str(root), "", requirements=[f"git+{source.as_uri()}@v1#egg=acme"])
    command = str(caught.value.hint).split("`")[1]
    subprocess.run([sys.executable, "-m", "pip", *shlex.split(command)[1:], "-q", "--no-index"], cwd=root, check=True)
    (wheel,) = (root / "wheels").iterdir()
    (item,) = collect(str(root), "", requirements=[f"wheels/{wheel.name}"]).items
    assert (item.text, item.name) == ("wheels/acme-1.0-py3-none-any.whl", "acme")


def test_a17_what_the_list_of_an_environment_does_not_take_has_a_way_out(workspace: Space) -> None:
    lines = {
        "-e ../lib": "leave the option out",
        "-c limits.txt": "`constraints`",
        "-r more.txt": "`requirements_file`",
        "--index-url https://h.example": "python_feed",
        "--pre": "name one in `requirements_file`",
        "-e git+ssh://git@host/common.git@abc#egg=x": f"{WHEEL} git+ssh://git@host/common.git@abc` makes wheels/x-",
        "https://h.example/acme-1.0-py3-none-any.whl": "write acme @ https://h.example/acme-1.0-py3-none-any.whl",
        "numlib=1.0": "write numlib==1.0",
        "lib\\\\common": "write it as lib/",
    }
    for line, hint in lines.items():
        workspace.edit("BUILD.yaml", "[numlib==1.0]", f'["{line}"]')
        workspace.run("query", "//:env", code=2).said("BUILD.yaml:9:20", hint)
        workspace.edit("BUILD.yaml", f'["{line}"]', "[numlib==1.0]")


def test_a17_the_list_of_an_environment_takes_paths_without_a_dot(workspace: Space) -> None:
    for name, text in project_files("acme", "1.0").items():
        workspace.write(f"libs/acme/{name}", text)
    name, data = make_wheel("numlib", "1.0")
    workspace.write(f"wheels/{name}", data)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", f"[wheels/{name}, \"libs/acme[more] ; python_version > '3'\"]")
    workspace.run("lock", "//:env")
    lock = workspace.path("pylock.env-linux-amd64.toml").read_text()
    assert f'path = "wheels/{name}"' in lock
    assert 'path = "libs/acme"' in lock


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "https://h.example/w/acme_x-1.0-py3-none-any.whl",
            "write acme_x @ https://h.example/w/acme_x-1.0-py3-none-any.whl",
        ),
        (f"https://u:{TOKEN}@h.example/archive/abc.zip", "write NAME @ https://h.example/archive/abc.zip"),
    ],
)
def test_an_address_without_a_name(root: Path, line: str, hint: str) -> None:
    with pytest.raises(LoadError, match="is not a requirement") as caught:
        collect(str(root), "", requirements=[line])
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("../lib[serve]", "lib[serve]"),
        ("../lib[b,a] ; python_version > '3'", "lib[a,b] ; python_version > '3'"),
        ("acme @ ../lib", "lib"),
        ("acme[x] @ ../lib", "lib[x]"),
        ("acme @ ./acme-1.0-py3-none-any.whl", "m/acme-1.0-py3-none-any.whl"),
        ("acme @ acme-1.0-py3-none-any.whl", "m/acme-1.0-py3-none-any.whl"),
        ("acme-1.0-py3-none-any.whl", "m/acme-1.0-py3-none-any.whl"),
        ("../lib", "lib"),
        (".[dev]", "m[dev]"),
        ("../lib#egg=acme", "lib"),
        ("../lib/", "lib"),
        ("sub/lib", "m/sub/lib"),
        ("sub/lib[serve]", "m/sub/lib[serve]"),
        (".#subdirectory=sub/lib", "m/sub/lib"),
        ("file:../lib", "lib"),
        ("acme @ file:../lib ; python_version > '3'", "lib ; python_version > '3'"),
        ("acme @ file://ROOT/lib", "lib"),
        ("file://localhostROOT/m/sub/lib", "m/sub/lib"),
    ],
)
def test_a17_paths_as_people_write_them(root: Path, line: str, asked: str) -> None:
    line = line.replace("ROOT", str(root))
    for folder, name in (("lib", "acme"), ("m", "here"), ("m/sub/lib", "acme")):
        (root / folder).mkdir(parents=True)
        (root / folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\n')
    filename, data = make_wheel("acme", "1.0")
    (root / "m" / filename).write_bytes(data)
    for found in (
        collect(str(root), "m", requirements=[line]),
        _from_file(root, line),
        _from_file(root, f"-e {line}"),
        _from_file(root, line, "utf-16"),
    ):
        assert [item.asked() for item in found.items] == [asked]
        assert found.items[0].name == ("here" if asked.startswith("m[") else "acme")


def _from_file(root: Path, line: str, encoding: str = "utf-8") -> Requirements:
    (root / "m/r.txt").write_text(f"{line}\r\n", encoding=encoding)
    return collect(str(root), "m", requirements_file="m/r.txt")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("ROOT/lib", "'ROOT/lib' is a path of this machine", "write it from the folder of the file: ../lib"),
        (
            "file:///nowhere/x.whl",
            "'/nowhere/x.whl' leaves the workspace",
            "copy it into the workspace, and name it by path",
        ),
        ("..\\lib", "is not a requirement", "write it as ../lib"),
        ("file:%0aa/../lib", "there is no ", None),
        ("~/lib", "there is no 'm/~/lib'", None),
    ],
)
def test_a17_paths_that_cannot_be_used(root: Path, line: str, message: str, hint: str | None) -> None:
    for folder in ("lib", "m"):
        (root / folder).mkdir()
    with pytest.raises(LoadError) as caught:
        _from_file(root, line.replace("ROOT", str(root)))
    assert message.replace("ROOT", str(root)) in str(caught.value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("idna==${VERSION}", "write what ${VERSION} stands for"),
        ("${HOME}/libs/common", "write what ${HOME} stands for"),
        ("a @ https://x.example/${VERSION}/a-1-py3-none-any.whl", "write what ${VERSION} stands for"),
        ("idna 3.10", "write idna==3.10"),
        ("idna = 3.10", "write idna==3.10"),
        ("--no-binary :all:", "remove it: what has a wheel for the image is taken as that"),
        ("--use-feature=fast-deps", "remove it"),
        ("--pre --no-binary=:all:", "remove it: what has a wheel for the image is taken as that"),
        (
            "--prefer-binary -i https://x.example/simple",
            '`feed: {type: python_feed, target: "https://x.example/simple"}`',
        ),
        ("idna --global-option=x", "`pip wheel --no-deps -w wheels idna --global-option=x`"),
        ("-i https://x.example/simple", '`feed: {type: python_feed, target: "https://x.example/simple"}`'),
    ],
)
def test_a17_what_only_pip_understands_has_a_way_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, line: str, hint: str
) -> None:
    monkeypatch.setenv("VERSION", "3.10")
    (root / "r.txt").write_text(f"{line}\n")
    with pytest.raises(LoadError) as caught:
        collect(str(root), "", requirements_file="r.txt")
    assert hint in (caught.value.hint or "")
